-- Where an execution stands, in one look.
-- keys: queues due parked live ended progress
-- with: streams entry
-- KEYS: the streams of all queues
-- ARGV: '', key
-- Reply: NONE | ENDED, record | SCHEDULED, queue, instant, blob | QUEUED, queue, token, blob
--        | RUNNING, queue, token, blob, worker, progress ('' = none told) | WAITING, queue, blob | QUEUES
local key = ARGV[2]
local mark = call('HGET', live, key)
if not mark then
  local record = call('HGET', ended, key)
  return record and {'ENDED', record} or {'NONE'}
end
local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
if queue then
  if not good(queue) then return {'QUEUED', queue, mark, ''} end
  local _, _, _, _, blob = entry(queue, id)
  local who = owner(queue, id)
  if who then return {'RUNNING', queue, mark, blob or '', who, call('HGET', progress, key) or ''} end
  return {'QUEUED', queue, mark, blob or ''}
end
local place, blob = (call('HGET', parked, key) or ''):match('^([^/]*)/(.*)$')
if mark == '~due' then
  return {'SCHEDULED', place or '', call('ZSCORE', due, key) or '0', blob or ''}
end
return {'WAITING', place or '', blob or ''}
