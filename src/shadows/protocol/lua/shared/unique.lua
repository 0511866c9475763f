-- keys: meta windows
-- The time after its end for which a key stays taken: u/KEY in `windows`, until that instant.
local function reserve(key, span)
  if span and span > 0 then
    call('ZADD', windows, now + span, 'u/' .. key)
    call('HSET', meta, 'unique', 1)
    facts[4] = '1'
  end
end
local function reserved(key)
  return facts[4] and tonumber(call('ZSCORE', windows, 'u/' .. key) or 0) > now
end
local function unreserve(key)
  if facts[4] then call('ZREM', windows, 'u/' .. key) end
end
local function span_of(body)
  return tonumber(body and body:match('^u(%d+)/'))
end
