-- Ends an execution that has not started; tells the worker of one that has.
-- keys: queues due parked live windows controls ended ended:at
-- with: limits time streams facts events unique entry stands controls whole permits retire release endings
-- KEYS: the streams of all queues
-- ARGV: instant, key, ms to keep a record, records at most, dead letters at most
-- Reply: CANCELLED | TOLD (it runs; the note stays until its token is retired) | NONE | BAD | QUEUES
-- Keeps: what is cancelled before its start never runs, and its key is free at once, whatever was kept of one before it; so
--        is that of a mark with nothing behind it.
local key = ARGV[2]
local mark = call('HGET', live, key)
if not mark then return {'NONE'} end
call('HDEL', ended, '')                             -- from here on nothing is refused for memory
local place, blob, lost = '', nil, false
local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
if stream[queue] then
  if not good(queue) then return {'BAD'} end
  local whose, _, _, _, found = entry(queue, id)
  local who = (whose == key or not found) and owner(queue, id)
  if who then
    call('ZREMRANGEBYSCORE', controls, '-inf', '(0')  -- (what stands at another score hides the others)
    call('ZREMRANGEBYSCORE', controls, '(0', '+inf')
    call('ZADD', controls, 0, who .. '\0' .. mark)
    return {'TOLD'}
  end
  place, lost = queue, whose ~= key
  if not lost then blob = found end
else
  place, blob = (call('HGET', parked, key) or ''):match('^([^/]*)/(.*)$')
  lost = not stands(key, mark)
end
local room = forget(10)                             -- (before the first write: a broken index refuses it)
if facts[4] and not whole(windows, 'zset') then return {'BAD'} end
if not (lost and release or retire)(key, mark) then return {'BAD'} end
unreserve(key)
finish(key, 'cancelled', place or '', '', blob or '')
trim(room)
publish('')
return {'CANCELLED'}
