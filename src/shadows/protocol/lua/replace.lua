-- Accepts n calls as `schedule` does, where some take the place of what stands under their keys.
-- keys: queues wake due parked live
-- with: time streams facts events unique places stands controls whole permits retire release batches
-- KEYS: the streams of all queues
-- ARGV: as shared/batches.lua, how many tasks a queue may hold ('' = any), then for each call: mode, key, queue,
--       instant (0 = now), body
--   add | replace: in the place of what stands there | reclaim: as add, where nothing stands behind the key's mark as well
-- Reply: as `schedule`
-- Keeps: as `schedule`; of what is replaced nothing runs any more, and no outcome of it counts.
if answered then return answered end
call('SADD', queues, KEYS[#KEYS]:sub(#queues + 1)) -- changes nothing, but a full server refuses it: here, before any write
local said, nearest, longest = {}, nil, tonumber(ARGV[5])
-- Sets a call aside until its instant, as `place` does; false, with nothing written, where a key for that is broken.
local function defer(queue, key, blob, instant, mark, take_away)
  if mark and not (whole(parked, 'hash') and whole(due, 'zset') and take_away(key, mark)) then return false end
  if nearest == nil then
    local head = redis.pcall('ZRANGE', due, 0, 0, 'WITHSCORES')
    nearest = not head.err and tonumber(head[2] or math.huge)
  end
  if not nearest then return false end
  if type(redis.pcall('HSET', parked, key, queue .. '/' .. blob)) == 'table' then return false end
  if instant < nearest then
    nearest = instant
    redis.pcall('XADD', wake, 'MAXLEN', 1, '*', 'k', '')
  end
  call('ZADD', due, instant, key)
  call('HSET', live, key, '~due')
  return true
end
for i = 6, #ARGV, 5 do
  local key, queue, instant = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local mark = call('HGET', live, key)
  local lost = mark and ARGV[i] ~= 'add' and not stands(key, mark)
  local take_away = lost and release or retire
  local answer = 'B'
  if instant then
    if ARGV[i] ~= 'replace' and (mark and not lost or reserved(key)) then
      answer = 'E'
    elseif good(queue) then
      if longest and instant <= now and call('XLEN', stream[queue]) >= longest
        and (mark or ''):sub(1, #queue + 1) ~= queue .. '/' then  -- (what it replaces there makes room for it)
        answer = 'F'
      elseif instant > now then
        if defer(queue, key, '1/0/' .. ARGV[i + 4], instant, mark, take_away) then
          tell('scheduled', key)
          answer = 'A'
        end
      elseif not mark or take_away(key, mark) then
        place(queue, key, '1/0/' .. ARGV[i + 4], 0)
        tell('queued', key)
        answer = 'A'
      end
    end
  end
  said[#said + 1] = answer
end
return note(table.concat(said))
