-- How much is ready, running, due and scheduled, and for how long the oldest has waited. It only reads.
-- keys: queues due strikes
-- with: time streams
-- KEYS: the streams of all queues
-- ARGV: instant
-- Reply: OK, scheduled for later, due and not yet promoted, ms since the first of these was due, strikes,
--        {queue, ready, running, ms since its oldest ready task came, ...} | QUEUES
local later = call('ZCOUNT', due, '(' .. now, '+inf')
local overdue = call('ZCOUNT', due, '-inf', now)
local first = overdue > 0 and now - math.floor(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) or 0
local time = call('TIME')                           -- entries bear the server's own time, whatever a test says
local present = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for _, queue in ipairs(names) do
  local ready, running, age = 0, 0, 0
  if call('TYPE', stream[queue]).ok == 'stream' then
    local ms, sequence = '0', '0'
    for _, group in ipairs(call('XINFO', 'GROUPS', stream[queue])) do
      local said = {}
      for i = 1, #group, 2 do said[group[i]] = group[i + 1] end
      if said.name == 'g' then
        running = said.pending
        ms, sequence = said['last-delivered-id']:match('^(%d+)%-(%d+)$')
      end
    end
    ready = call('XLEN', stream[queue]) - running
    local after = ms .. '-' .. string.format('%.0f', sequence + 1)
    local oldest = call('XRANGE', stream[queue], after, '+', 'COUNT', 1)[1]
    if oldest then age = present - oldest[1]:match('^%d+') end
  end
  answer[#answer + 1] = queue
  answer[#answer + 1] = ready
  answer[#answer + 1] = running
  answer[#answer + 1] = age
end
return {'OK', later, overdue, first, call('HLEN', strikes), answer}
