-- A worker's cycle: settle what finished, promote what has come due, take what is ready. One round trip for all three.
-- keys: meta queues wake due parked live windows leases controls ended ended:at dead dead:at
-- with: limits time streams facts events unique places entry controls whole permits endings letters
-- KEYS: the streams of all queues
-- ARGV: instant, worker, ms to keep a record, records at most, dead letters at most, take at most, promote at most,
--       an entry of `wake` that was read ('' = none), n, n x token, key, outcome, instant, data; the queues to take from
--   completed | failed | cancelled | expired: data = info; dead: data = REASON/info; of all these the instant is for how
--     many ms the key stays taken (0 = it is free)
--   retry: at the instant, attempt + 1 | release: at the instant, data = changed call ('' = as it is)
--   next: at the instant, data = call | started: nothing but news, of what a blocking read has brought
--   a row without a token follows from the outcome above it: key, queue, instant, call are scheduled with it
-- Reply: OK, a letter for each outcome, {queue, entries, ...} taken, ms until the next due instant ('' = none),
--        tokens to cancel, 1 where the lease holds, number of unfinished tasks, version of the strikes, paused queues
--        | QUEUES
--   letters: O recorded, S stale (the token is not the holder's any more; nothing changed), B bad (nothing changed)
-- Keeps: an outcome counts only from the holder of the present token, and atomically with all that follows from it;
--        nothing is taken without a lease, or from a queue that is paused.
local me, take, most = ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[7])
local woken, n = ARGV[8], tonumber(ARGV[9])
local first_queue = 10 + n * 5
call('HDEL', ended, '')                             -- from here on nothing is refused for memory
local room = forget(2 * n + 10)
if woken ~= '' and call('TYPE', wake).ok == 'stream' then
  call('XACK', wake, 'g', woken)
end

local answers, settled, broken = {}, {}, false
-- Whether all that an outcome may write is whole; what it surely writes has been touched by now.
local function writable(outcome, later, lasting)
  return givable() and (not later or whole(parked, 'hash') and whole(due, 'zset'))
    and (outcome == 'completed' or outcome == 'next' or whole(dead, 'hash') and whole(dead_at, 'zset'))
    and (not lasting or whole(windows, 'zset'))
end
local i = 10
while i < first_queue do
  local token, key, outcome, instant, data = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4]
  local queue, id = token:match('^([^~/][^/]*)/(%d+%-%d+)$')
  local answer, beyond = 'B', i + 5
  local sound_followers, later = true, false
  while ARGV[beyond] == '' do                       -- its followers: all of them can be scheduled, or none is
    sound_followers = sound_followers and tonumber(ARGV[beyond + 3]) and good(ARGV[beyond + 2])
    later = later or (tonumber(ARGV[beyond + 3]) or 0) > now
    beyond = beyond + 5
  end
  if outcome == 'started' then
    if listening and call('HGET', live, key) == token then tell('running', key) end
    answer = 'O'
  elseif queue and instant and sound_followers and good(queue) then
    local mark, attempt, deliveries, body, blob, _ = call('HGET', live, key)
    if outcome ~= 'completed' and (outcome ~= 'next' or watched) then
      _, attempt, deliveries, body, blob = entry(queue, id)
    end
    local lasting = outcome ~= 'retry' and outcome ~= 'release' and outcome ~= 'next'
    if not writable(outcome, later or not lasting and instant > now, lasting and instant > 0) then
      broken = true                                 -- it is asked again once that is mended
      answer = ''
    end
    local stop = answer ~= '' and unwatch(token, queue, id)
    if answer == '' then                            -- (nothing was written of it)
    elseif call('XACK', stream[queue], 'g', id) == 0 then  -- the fence
      answer = 'S'
      if watched then call('ZREM', controls, me .. '\0' .. token) end  -- (left over where somebody removed a group)
    else
      settled[queue] = settled[queue] or {}
      settled[queue][#settled[queue] + 1] = id
      if mark and mark ~= token then                -- another life has the key
        answer = 'S'
      else
        answer = 'O'
        local again = outcome == 'retry' or outcome == 'release' or outcome == 'next'
        if stop and again then outcome, data, instant = 'cancelled', '', 0 end
        if again and outcome ~= 'cancelled' and outcome ~= 'next' and not body then
          vacate(key)
          finish(key, 'failed', queue, '', '')
          bury(token, key, 'lost', queue, '', blob or '')
        elseif outcome == 'retry' then
          place(queue, key, (attempt + 1) .. '/0/' .. body, instant)
          tell(instant > now and 'scheduled' or 'queued', key)
        elseif outcome == 'release' then
          place(queue, key, attempt .. '/' .. deliveries .. '/' .. (data == '' and body or data), instant)
          tell(instant > now and 'scheduled' or 'queued', key)
        elseif outcome == 'next' then
          place(queue, key, '1/0/' .. data, instant)
          tell(instant > now and 'scheduled' or 'queued', key)
        else
          vacate(key)
          reserve(key, instant)
          if outcome == 'completed' then
            finish(key, outcome, queue, data, '')
          elseif outcome == 'cancelled' or outcome == 'expired' then
            finish(key, outcome, queue, data, blob or '')
          else
            local reason, info = 'failed', data
            if outcome == 'dead' then reason, info = data:match('^(%l*)/?(.*)$') end
            finish(key, 'failed', queue, info, blob or '')
            bury(token, key, reason, queue, info, blob or '')
          end
        end
        for row = i + 5, beyond - 5, 5 do
          local follower = ARGV[row + 1]
          local free = not stop                     -- its own next run ends with it where it was to be cancelled
          if follower ~= key then free = not reserved(follower) end
          if free and not call('HGET', live, follower) then
            local at = tonumber(ARGV[row + 3])
            place(ARGV[row + 2], follower, '1/0/' .. ARGV[row + 4], at)
            tell(at > now and 'scheduled' or 'queued', follower)
          end
        end
      end
      unhold(token)
    end
  end
  answers[#answers + 1] = answer
  i = beyond
end
for queue, ids in pairs(settled) do call('XDEL', stream[queue], unpack(ids)) end
if broken then return redis.error_reply('WRONGTYPE of a key that an outcome needs') end

local head = tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
if most > 0 and head and head <= now then
  local ripe = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)
  local marks, calls = call('HMGET', live, unpack(ripe)), call('HMGET', parked, unpack(ripe))
  for i, key in ipairs(ripe) do
    local mark, queue, blob = marks[i], (calls[i] or ''):match('^(%w[%w._:@+-]*)/(.*)$')  -- (as queues are called)
    if mark and mark ~= '~due' then                 -- another life has the key
      call('ZREM', due, key)
      if mark:sub(1, 1) ~= '~' then call('HDEL', parked, key) end
    elseif not queue or not stream[queue] and not (call('ZSCORE', due, key) % 1 < 600 / 1024) then
      if not (whole(dead, 'hash') and whole(dead_at, 'zset')) then return redis.error_reply('WRONGTYPE of dead letters') end
      call('ZREM', due, key)
      vacate(key)
      call('HDEL', parked, key)
      finish(key, 'failed', queue or '', '', blob or calls[i] or '')
      bury('lost/' .. now .. '/' .. key, key, 'lost', queue or '', '', blob or calls[i] or '')
    elseif not stream[queue] then                   -- nobody has registered it: for ten minutes, counted in 1,024ths of a ms
      call('ZADD', due, now + 1000 + call('ZSCORE', due, key) % 1 + 1 / 1024, key)
    elseif good(queue) then
      call('ZREM', due, key)
      call('HDEL', parked, key)
      place(queue, key, blob, 0)
      tell('queued', key)
    else
      call('ZADD', due, now + 1000, key)            -- its stream is broken: out of the way of the others
    end
  end
  head = tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2])
end
trim(room)

local taken, lease = {}, tonumber(call('ZSCORE', leases, me) or 0) > now
local paused = facts[3] or ''
if lease and not (' ' .. paused):find(' * ', 1, true) then
  for i = first_queue, #ARGV do
    if take <= 0 then break end
    local queue = ARGV[i]
    if good(queue) and not (' ' .. paused):find(' ' .. queue .. ' ', 1, true) then
      local reply = redis.pcall('XREADGROUP', 'GROUP', 'g', me, 'COUNT', take, 'STREAMS', stream[queue], '>')
      if reply and reply.err then                   -- somebody removed the group: what it had pending is read again
        if not reply.err:find('NOGROUP', 1, true) then return reply end
        call('XGROUP', 'CREATE', stream[queue], 'g', '0', 'MKSTREAM')
        reply = call('XREADGROUP', 'GROUP', 'g', me, 'COUNT', take, 'STREAMS', stream[queue], '>')
      end
      if reply then
        local entries = reply[1][2]
        taken[#taken + 1] = queue
        taken[#taken + 1] = entries
        take = take - #entries
        if listening then
          for _, item in ipairs(entries) do tell('running', item[2][2]) end
        end
      end
    end
  end
end
publish(me)
local stops = {}
if watched then
  for _, member in ipairs(call('ZRANGEBYLEX', controls, '[' .. me .. '\0', '(' .. me .. '\1', 'LIMIT', 0, 200)) do
    stops[#stops + 1] = member:sub(#me + 2)
  end
end
return {'OK', table.concat(answers), taken, head and math.max(0, math.min(1e12, math.ceil(head - now))) or '', stops, lease and 1 or 0,
        call('HLEN', live), tonumber(facts[2]) or 0, paused}
