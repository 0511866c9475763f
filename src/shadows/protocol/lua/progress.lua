-- Notes how far running tasks have come.
-- keys: queues due live progress
-- with: time facts events
-- ARGV: instant, worker, n x token, key, words ('' = forget them)
-- Reply: OK
-- Keeps: nothing is noted for a task that is not the worker's any more.
call('ZREM', due, '')                               -- from here on nothing is refused for memory
for i = 3, #ARGV, 3 do
  local key, words = ARGV[i + 1], ARGV[i + 2]
  local mark = call('HGET', live, key)
  if words == '' then
    if mark ~= ARGV[i] then call('HDEL', progress, key) end
  elseif mark == ARGV[i] then
    call('HSET', progress, key, words)
    tell('progress', key)
  end
end
publish(ARGV[2])
return {'OK'}
