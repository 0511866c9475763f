-- Ends an execution that has not started; tells the worker of one that has.
-- keys: queues due parked live windows controls ended ended:at
-- with: limits time streams facts events unique entry controls whole permits retire endings
-- KEYS: the streams of all queues
-- ARGV: instant, key, ms to keep a record, records at most, dead letters at most
-- Reply: CANCELLED | TOLD (it runs; the note stays until its token is retired) | NONE | BAD | QUEUES
-- Keeps: what is cancelled before its start never runs, and its key is free at once, whatever was kept of one before it.
local key = ARGV[2]
local mark = call('HGET', live, key)
if not mark then return {'NONE'} end
call('HDEL', ended, '')                             -- from here on nothing is refused for memory
local room = forget(10)
local place, blob = '', nil
local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
if queue then
  if not good(queue) then return {'BAD'} end
  local who = owner(queue, id)
  if who then
    call('ZADD', controls, 0, who .. '\0' .. mark)
    return {'TOLD'}
  end
  local _, _, _, _, found = entry(queue, id)
  place, blob = queue, found
else
  place, blob = (call('HGET', parked, key) or ''):match('^([^/]*)/(.*)$')
end
if facts[4] and not whole(windows, 'zset') then return {'BAD'} end
if not retire(key, mark) then return {'BAD'} end
unreserve(key)
finish(key, 'cancelled', place or '', '', blob or '')
trim(room)
publish('')
return {'CANCELLED'}
