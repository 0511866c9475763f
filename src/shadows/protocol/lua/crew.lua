-- Who is alive: the workers whose leases hold, what they said of themselves, and how much each of them was given.
-- keys: queues leases workers
-- with: time streams
-- KEYS: the streams of all queues
-- ARGV: instant, how many to pass over, most
-- Reply: OK, the instant, incarnation, its words (nothing = none yet), running, ... | QUEUES
-- Keeps: it writes nothing.
local running = {}
for _, queue in ipairs(names) do
  if good(queue) then
    for _, consumer in ipairs(redis.pcall('XPENDING', stream[queue], 'g')[4] or {}) do
      running[consumer[1]] = (running[consumer[1]] or 0) + consumer[2]
    end
  end
end
local reply = {'OK', now}
for _, who in ipairs(call('ZRANGEBYSCORE', leases, '(' .. now, '+inf', 'LIMIT', ARGV[2], ARGV[3])) do
  reply[#reply + 1] = who
  reply[#reply + 1] = call('HGET', workers, who)
  reply[#reply + 1] = running[who] or 0
end
return reply
