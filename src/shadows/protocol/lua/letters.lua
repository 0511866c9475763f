-- A page of the dead letters, newest first.
-- keys: dead dead:at
-- ARGV: '', the id behind which to begin ('' = the newest), most
-- Reply: OK, 1 where there are more, id, instant, letter, ... | NONE: no letter has that id
-- Keeps: it writes nothing; a page ends early where its letters take a MiB.
local start, most, bytes = 0, tonumber(ARGV[3]), 1048576
if ARGV[2] ~= '' then
  local rank = call('ZREVRANK', dead_at, ARGV[2])
  if not rank then return {'NONE'} end
  start = rank + 1
end
local reply, found = {'OK', 0}, call('ZREVRANGE', dead_at, start, start + most, 'WITHSCORES')
for i = 1, #found, 2 do
  if i > most * 2 or bytes <= 0 then
    reply[2] = 1
    break
  end
  local letter = call('HGET', dead, found[i]) or ''
  bytes = bytes - #letter
  for _, fact in ipairs({found[i], found[i + 1], letter}) do reply[#reply + 1] = fact end
end
return reply
