-- keys: due parked live
-- Takes away whatever stands for a key; false, with nothing written, where that cannot be done.
local function retire(key, mark)
  if mark == '~due' then
    call('ZREM', due, key)
    call('HDEL', parked, key)
  else
    local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
    if not (queue and good(queue)) then return false end
    unwatch(mark, queue, id)
    call('XACK', stream[queue], 'g', id)
    call('XDEL', stream[queue], id)
  end
  call('HDEL', live, key)
  return true
end
