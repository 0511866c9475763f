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
  -- Sets a call aside until its instant, as `place` does; false, with nothing written, where a key for that is broken.
  local function defer(queue, key, blob, instant, mark)
    if mark and not (whole(parked, 'hash') and whole(due, 'zset') and retire(key, mark)) then return false end
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
      elseif instant > now then
        if defer(queue, key, '1/0/' .. ARGV[i + 4], instant, mark) then
          tell('scheduled', key)
          answer = 'A'
        end
      elseif not mark or retire(key, mark) then
        place(queue, key, '1/0/' .. ARGV[i + 4], 0)
        tell('queued', key)
        answer = 'A'
      end
    end
    said[#said + 1] = answer
  end
  said = table.concat(said)
  call('HSET', producers, producer, batch .. ' ' .. said)
  if remember then redis.pcall('ZADD', windows, now + remember, 'p/' .. producer) end  -- (broken, it is tried again)
  publish(producer)
  return {'OK', said, facts[2] or 0}
end
