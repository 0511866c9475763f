-- Accepts n calls as `schedule` does, where some take the place of what stands under their keys.
-- keys: queues wake due live
-- with: time streams facts events unique places controls permits retire batches
-- KEYS: the streams of all queues
-- ARGV: as shared/batches.lua, how many tasks a queue may hold ('' = any), then for each call: mode (add | replace), key,
--       queue, instant (0 = now), body
-- Reply: as `schedule`
-- Keeps: as `schedule`; of what is replaced nothing runs any more, and no outcome of it counts.
if answered then return answered end
call('SADD', queues, KEYS[#KEYS]:sub(#queues + 1)) -- changes nothing, but a full server refuses it: here, before any write
local said, nearest, longest = {}, nil, tonumber(ARGV[5])
for i = 6, #ARGV, 5 do
  local key, queue, instant = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local mark = call('HGET', live, key)
  local answer = 'B'
  if instant then
    if ARGV[i] == 'add' and (mark or reserved(key)) then
      answer = 'E'
    elseif good(queue) then
      if longest and instant <= now and call('XLEN', stream[queue]) >= longest
        and (mark or ''):sub(1, #queue + 1) ~= queue .. '/' then  -- (what it replaces there makes room for it)
        answer = 'F'
      elseif not mark or retire(key, mark) then
        if instant > now then
          nearest = nearest or tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or math.huge)
          if instant < nearest then
            nearest = instant
            redis.pcall('XADD', wake, 'MAXLEN', 1, '*', 'k', '')
          end
        end
        place(queue, key, '1/0/' .. ARGV[i + 4], instant)
        tell(instant > now and 'scheduled' or 'queued', key)
        answer = 'A'
      end
    end
  end
  said[#said + 1] = answer
end
return note(table.concat(said))
