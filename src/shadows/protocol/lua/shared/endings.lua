-- keys: ended ended:at
-- Records how an execution ended: STATE/INSTANT/QUEUE/LENGTH/INFO BLOB, INFO being the worker's own words, LENGTH theirs.
-- `ended:at` holds the instant until which a record is kept. At most `max_ended` are; the oldest go first.
local function finish(key, state, queue, info, blob)
  if keep > 0 and key ~= '' then
    call('HSET', ended, key, state .. '/' .. now .. '/' .. queue .. '/' .. #info .. '/' .. info .. blob)
    call('ZADD', ended_at, now + keep, key)
  end
end
local function sweep(most)
  local old = call('ZRANGEBYSCORE', ended_at, '-inf', now, 'LIMIT', 0, most)
  local surplus = call('ZCARD', ended_at) - #old - max_ended
  if surplus > 0 then
    old = call('ZRANGE', ended_at, 0, math.min(#old + surplus, most) - 1)
  end
  if #old > 0 then
    call('ZREM', ended_at, unpack(old))
    call('HDEL', ended, unpack(old))
  end
end
