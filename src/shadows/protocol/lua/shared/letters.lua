-- keys: dead dead:at
-- Keeps what failed for good, under its last token (the key is free again): REASON/QUEUE/LENGTH/LENGTH/KEY INFO BLOB.
-- At most `max_dead` are kept; the oldest go first.
local function bury(id, key, reason, queue, info, blob)
  call('HSET', dead, id, reason .. '/' .. queue .. '/' .. #key .. '/' .. #info .. '/' .. key .. info .. blob)
  call('ZADD', dead_at, now, id)
  local surplus = call('ZCARD', dead_at) - max_dead
  if surplus > 0 then
    local gone = call('ZPOPMIN', dead_at, math.min(surplus, 2))
    for i = 1, #gone, 2 do call('HDEL', dead, gone[i]) end
  end
end
