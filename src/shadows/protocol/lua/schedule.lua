-- Accepts n calls, each by itself: to run at once, or at an instant.
-- keys: queues wake due parked live windows controls producers
-- with: time streams places controls retire
-- KEYS: the streams of all queues
-- ARGV: instant, producer, batch number, ms to remember the producer for ('' = as noted before), n,
--       n x mode (add | replace), key, queue, instant (0 = now), call
-- Reply: OK, a letter for each: A accepted, E exists (add, and the key is taken), B bad (nothing was written for it)
--        | LATE: a newer batch of this producer was here, nothing was done | QUEUES
-- Keeps: what is accepted stands in exactly one place, named in `live`; the same batch sent again changes nothing.
local producer, batch, remember, n = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local noted = call('HGET', producers, producer)
if noted then
  local seen, said = noted:match('^(%d+) (.*)$')
  seen = tonumber(seen)
  if seen == batch then return {'OK', said} end
  if seen > batch then return {'LATE'} end
end
call('SADD', queues, KEYS[#KEYS]:sub(#queues + 1))  -- changes nothing, but a full server refuses it: here, before any write
local said, nearest = {}, nil
for i = 6, 1 + n * 5, 5 do
  local key, queue, instant = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local mark = call('HGET', live, key)
  local answer = 'B'
  if instant and good(queue) then
    if mark and ARGV[i] == 'add' then
      answer = 'E'
    elseif not mark or retire(key, mark) then
      if instant > now then
        nearest = nearest or tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or math.huge)
        if instant < nearest then
          nearest = instant
          redis.pcall('XADD', wake, 'MAXLEN', 1, '*', 'k', '')
        end
      end
      place(queue, key, '1/0/' .. ARGV[i + 4], instant)
      answer = 'A'
    end
  end
  said[#said + 1] = answer
end
said = table.concat(said)
call('HSET', producers, producer, batch .. ' ' .. said)
if remember then
  call('ZADD', windows, now + remember, 'p/' .. producer)
  local old = call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, 10)
  for _, name in ipairs(old) do
    if name:sub(1, 2) == 'p/' then call('HDEL', producers, name:sub(3)) end
    call('ZREM', windows, name)
  end
end
return {'OK', said}
