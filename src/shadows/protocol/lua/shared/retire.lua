-- keys: due parked live permits held waiting
-- Takes away whatever stands for a key; false, with nothing written, where that cannot be done.
local function retire(key, mark)
  local order, name = mark:match('^~wait/([^/]*)/(.*)$')
  if mark == '~due' or order then
    if not (whole(parked, 'hash') and whole(order and waiting or due, 'zset')) then return false end
    if order then
      call('ZREM', waiting, name .. '\0' .. order .. '\0' .. key)
    else
      call('ZREM', due, key)
    end
    call('HDEL', parked, key)
  else
    local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
    if not (queue and good(queue) and givable()) then return false end
    unwatch(mark, queue, id)
    call('XACK', stream[queue], 'g', id)
    call('XDEL', stream[queue], id)
    unhold(mark)
  end
  vacate(key)
  return true
end
