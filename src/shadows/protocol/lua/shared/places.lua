-- keys: due parked live
-- Puts a task where it belongs: into its queue's stream, or aside until its instant. `live` names the place.
local function place(queue, key, blob, instant)
  if instant > now then
    call('HSET', parked, key, queue .. '/' .. blob)
    call('ZADD', due, instant, key)
    call('HSET', live, key, '~due')
  else
    call('HSET', live, key, queue .. '/' .. call('XADD', stream[queue], '*', 'k', key, 'c', blob))
  end
end
