-- Where an execution stands, in one look.
-- keys: queues due parked live waiting ended progress
-- with: streams entry
-- KEYS: the streams of all queues
-- ARGV: '', key
-- Reply: NONE | ENDED, record | SCHEDULED, queue, instant, blob | QUEUED, queue, token, blob
--        | RUNNING, queue, token, blob, worker, progress ('' = none told) | WAITING, queue, blob | QUEUES
--        Of a mark with nothing behind it LOST, and then what the mark says.
local key = ARGV[2]
local mark = call('HGET', live, key)
if not mark then
  local record = call('HGET', ended, key)
  return record and {'ENDED', record} or {'NONE'}
end
local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
if queue then
  if not stream[queue] then return {'LOST', 'QUEUED', queue, mark, ''} end
  if not good(queue) then return {'QUEUED', queue, mark, ''} end
  local whose, _, _, _, blob = entry(queue, id)
  local who = (whose == key or not blob) and owner(queue, id)
  if who then return {'RUNNING', queue, mark, blob or '', who, call('HGET', progress, key) or ''} end
  if whose ~= key then return {'LOST', 'QUEUED', queue, mark, ''} end
  return {'QUEUED', queue, mark, blob}
end
local place, blob = (call('HGET', parked, key) or ''):match('^([^/]*)/(.*)$')
if mark == '~due' then
  local instant = call('ZSCORE', due, key)
  if not instant then return {'LOST', 'SCHEDULED', place or '', '0', blob or ''} end
  return {'SCHEDULED', place or '', instant, blob or ''}
end
local order, name = mark:match('^~wait/([^/]*)/(.*)$')
if not (order and call('ZSCORE', waiting, name .. '\0' .. order .. '\0' .. key)) then
  return {'LOST', 'WAITING', place or '', blob or ''}
end
return {'WAITING', place or '', blob or ''}
