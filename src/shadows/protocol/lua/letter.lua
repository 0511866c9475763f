-- Keeps calls that were turned away among the dead letters: they were never scheduled, and their keys stay free.
-- keys: dead dead:at
-- with: time limits letters
-- checks: keys
-- ARGV: instant, reason, ms to keep a record, records at most, dead letters at most,
--       n x mode (add | replace), id, key, queue, call
-- Reply: OK
-- Keeps: one letter an id, however often it is sent: the first of those added, the last of those that replace.
local wrong = wrong_key()
if wrong then return wrong end
for i = 6, #ARGV, 5 do
  local id = ARGV[i + 1]
  if ARGV[i] == 'replace' or call('HEXISTS', dead, id) == 0 then
    bury(id, ARGV[i + 2], ARGV[2], ARGV[i + 3], '', '1/0/' .. ARGV[i + 4])
  end
end
return {'OK'}
