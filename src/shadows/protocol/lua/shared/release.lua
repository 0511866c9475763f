-- keys: due parked live permits held waiting
-- Frees a key behind whose mark nothing stands; false, with nothing written, where that cannot be done.
local function release(key, mark)
  if not (whole(parked, 'hash') and whole(due, 'zset') and givable()) then return false end
  call('HDEL', parked, key)
  call('ZREM', due, key)
  local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
  if not (stream[queue] and redis.pcall('XRANGE', stream[queue], id, id)[1]) then  -- (else it is another's)
    unhold(mark)
  end
  vacate(key)
  return true
end
