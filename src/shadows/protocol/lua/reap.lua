-- Takes a bounded batch of tasks back from a worker whose lease has expired, or from a consumer that never had one.
-- keys: queues wake due parked live leases workers controls ended ended:at dead dead:at progress
-- with: limits time streams facts events unique places entry controls whole permits endings letters
-- KEYS: the streams of all queues
-- checks: keys
-- ARGV: instant, worker, ms to keep a record, records at most, dead letters at most, most deliveries, take back at most
-- Reply: ALIVE | OK, tasks taken back, 1 where some are left | QUEUES
-- Keeps: the first step sets the lease to -1 or -2, so that the owner's next beat answers LOST; the lease goes with the
--        last batch; the consumer is deleted only when it owns nothing. Without a lease nothing was started: no charge.
--        Where it held suspects (workers have died of them before), the lease is -2 and they alone are charged: of the
--        first 1,000 that it held, one is enough. Else it is -1, and all are.
local who, max_deliveries, most = ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[7])
local lease = call('ZSCORE', leases, who)
if lease and tonumber(lease) > now then return {'ALIVE'} end
call('ZREM', due, '')                               -- from here on nothing is refused for memory
local function suspects()
  local most = 1000
  for i = FIXED + 1, #KEYS do
    local queue = KEYS[i]:sub(#queues + 1)
    local pending = redis.pcall('XPENDING', stream[queue], 'g', '-', '+', most, who)  -- (of a broken one, nothing)
    for _, item in ipairs(pending) do
      local _, _, deliveries = entry(queue, item[1])
      if deliveries and deliveries > 0 then return true end
    end
    most = most - #pending
    if most < 1 then return false end
  end
  return false
end
local ran = tonumber(lease)                         -- below 0 an earlier batch has looked
if ran then
  if ran >= 0 then ran = suspects() and -2 or -1 end
  call('ZADD', leases, ran, who)
end
local moved, left = 0, 0
for i = FIXED + 1, #KEYS do
  local queue = KEYS[i]:sub(#queues + 1)
  if good(queue) then                               -- what a broken one holds is out of reach, and must not keep the lease
    local pending = most > moved and redis.pcall('XPENDING', stream[queue], 'g', '-', '+', most - moved, who) or {}
    local wrong = #pending > 0 and wrong_key()
    if wrong then return wrong end
    for _, item in ipairs(pending) do
      local id = item[1]
      local token = queue .. '/' .. id
      local key, attempt, deliveries, body, blob = entry(queue, id)
      local stop = unwatch(token, queue, id)
      call('XACK', stream[queue], 'g', id)
      call('XDEL', stream[queue], id)
      unhold(token)
      moved = moved + 1
      local mark = key and call('HGET', live, key)
      if mark == token then call('HDEL', progress, key) end
      if not body then                              -- nobody can run it: somebody else wrote it, or deleted it
        if mark == token then
          vacate(key)
          finish(key, 'failed', queue, '', blob)
        end
        bury(token, key or '', blob and 'undecodable' or 'lost', queue, '', blob or '')
      elseif not mark or mark == token then
        if ran == -1 or ran and deliveries > 0 then deliveries = deliveries + 1 end
        blob = attempt .. '/' .. deliveries .. '/' .. body
        if stop then
          vacate(key)
          finish(key, 'cancelled', queue, '', blob)
        elseif deliveries >= max_deliveries then
          vacate(key)
          reserve(key, span_of(body))
          finish(key, 'failed', queue, '', blob)
          bury(token, key, 'deliveries', queue, '', blob)
        else
          place(queue, key, blob, 0)
          tell('queued', key)
        end
      end
    end
    if #redis.pcall('XPENDING', stream[queue], 'g', '-', '+', 1, who) > 0 then
      left = 1
    else
      redis.pcall('XGROUP', 'DELCONSUMER', stream[queue], 'g', who)
    end
  end
end
sweep(2 * moved + 10)
publish(who)
if left == 0 then
  redis.pcall('XGROUP', 'DELCONSUMER', wake, 'g', who)  -- a wake that it did not hear is nobody's loss: all look every second
  call('ZREMRANGEBYLEX', controls, '[' .. who .. '\0', '(' .. who .. '\1')  -- (left over where somebody removed a group)
  call('HDEL', workers, who)
  call('ZREM', leases, who)
end
return {'OK', moved, left}
