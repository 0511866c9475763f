-- keys: ended ended:at
-- Records how an execution ended: STATE/INSTANT/QUEUE/LENGTH/INFO BLOB, INFO being the worker's own words, LENGTH theirs.
-- `ended:at` holds the instant until which a record is kept. At most `max_ended` are; the oldest go first, those of
-- failures (half a ms later than the clock counts) after others.
local function finish(key, state, queue, info, blob)
  tell(state, key)
  if keep > 0 and key ~= '' then
    call('HSET', ended, key, state .. '/' .. now .. '/' .. queue .. '/' .. #info .. '/' .. info .. blob)
    call('ZADD', ended_at, now + keep + (state == 'failed' and 0.5 or 0), key)
  end
end
local function remove(old)
  if #old > 0 then
    call('ZREM', ended_at, unpack(old))
    call('HDEL', ended, unpack(old))
  end
end
local function forget(most)                         -- what was kept long enough; how many more may be removed
  local old = call('ZRANGEBYSCORE', ended_at, '-inf', now, 'LIMIT', 0, most)
  remove(old)
  return most - #old
end
local function trim(most)                           -- what is too much
  local surplus = math.min(call('ZCARD', ended_at) - max_ended, most)
  if surplus <= 0 then return end
  local old, kept = {}, {}
  local oldest = call('ZRANGE', ended_at, 0, most - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    if surplus > 0 and oldest[i + 1] % 1 == 0 then
      old[#old + 1] = oldest[i]
      surplus = surplus - 1
    else
      kept[#kept + 1] = oldest[i]
    end
  end
  for i = 1, math.min(surplus, #kept) do old[#old + 1] = kept[i] end
  remove(old)
end
local function sweep(most) trim(forget(most)) end
