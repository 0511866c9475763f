-- What a living worker does for the shadow now and then: forgets windows that are over, hands out permits that are free.
-- keys: queues due parked live permits held waiting windows producers
-- with: time streams events permits
-- KEYS: the streams of all queues
-- ARGV: instant, worker, the name of a limit to go on behind ('' = from the beginning)
-- Reply: OK, the name to go on behind ('' = all were looked at) | QUEUES
-- Keeps: nobody waits for a permit that nobody holds, also where something was removed by hand.
call('ZREM', due, '')                               -- from here on nothing is refused for memory
local old = call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, 200)
for _, window in ipairs(old) do
  local kind, name = window:sub(1, 2), window:sub(3)
  if kind == 'p/' then call('HDEL', producers, name) end
  if kind == 'c/' then call('HDEL', permits, '\2' .. name) end
  if kind == 'd/' then call('HDEL', permits, '\3' .. name) end
  if kind == 'r/' then
    local slots, slot = name:match('^(.*)/(%d+)$')
    local amount = tonumber(slots:match('(%d+)$'))
    if (tonumber(call('HGET', permits, '\1' .. slots) or 0) - 1) % amount == tonumber(slot) then
      call('HDEL', permits, '\1' .. slots)         -- it was the newest
    end
  end
  call('ZREM', windows, window)
end

local name = ARGV[3]
for _ = 1, 100 do
  local first = call('ZRANGEBYLEX', waiting, name == '' and '-' or '(' .. name .. '\1', '+', 'LIMIT', 0, 1)[1]
  name = first and first:match('^([^%z]*)%z') or ''
  if name == '' then break end
  local use, most = permit(name)
  local before = use
  while use < most and hand(name) do use = use + 1 end
  if use > before then call('HSET', permits, name, use .. '/' .. most) end
end
publish(ARGV[2])
return {'OK', name}
