-- keys: queues wake due parked live producers windows
-- Accepts n calls, each by itself. `retire` is what takes away what stands under the key of a replace.
-- ARGV: instant, producer, batch number, ms to remember the producer for ('' = as noted before), n,
--       n x mode (add | replace), key, queue, instant (0 = now), body; and, where there is one, how many a queue may hold
local function accept(retire)
  local producer, batch, remember, n = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local noted = call('HGET', producers, producer)
  if noted then
    local seen, said = noted:match('^(%d+) (.*)$')
    seen = tonumber(seen)
    if seen == batch then return {'OK', said, facts[2] or 0} end
    if seen > batch then return {'LATE'} end
  end
  call('SADD', queues, KEYS[#KEYS]:sub(#queues + 1)) -- changes nothing, but a full server refuses it: here, before any write
  local said, nearest, longest = {}, nil, tonumber(ARGV[6 + n * 5])
  for i = 6, 1 + n * 5, 5 do
    local key, queue, instant = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
    local mark = call('HGET', live, key)
    local answer = 'B'
    if instant and good(queue) then
      if ARGV[i] == 'add' and (mark or reserved(key)) then
        answer = 'E'
      elseif longest and instant <= now and call('XLEN', stream[queue]) >= longest
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
    said[#said + 1] = answer
  end
  said = table.concat(said)
  call('HSET', producers, producer, batch .. ' ' .. said)
  if remember then call('ZADD', windows, now + remember, 'p/' .. producer) end
  publish(producer)
  return {'OK', said, facts[2] or 0}
end
