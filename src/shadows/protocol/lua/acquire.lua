-- Asks for what taken tasks need before they may start: all that one comes under, or nothing.
-- keys: queues due parked live windows permits held waiting leases controls ended ended:at
-- with: limits time streams events places entry controls permits endings
-- KEYS: the streams of all queues
-- ARGV: instant, worker, ms to keep a record, records at most, dead letters at most, n,
--       n x token, key, who, m, m x need, name, amount, window in ms, drop (1 | 0)
--   permit: at most `amount` at once | rate: at most `amount` starts in a window | cooldown: one start, and none for a window
--   after it | debounce: a start when nothing of the name has come for a window; `who` tells executions of one key apart
-- Reply: OK, a letter for each: G granted, W set aside (it waits, and comes back by itself), D dropped (ended as cancelled),
--        S stale (the token is not this worker's any more; nothing changed) | QUEUES
-- Keeps: never more than `amount` of a permit are in use, nor starts of a rate in a window; what waits stands in `waiting`
--        in the order in which it came, or in `due` at the instant that is its own; the same request again answers the same.
--   \1NAME/AMOUNT in `permits` counts the starts of a rate, r/NAME/AMOUNT/n in `windows` is free again at its instant;
--   \2NAME is who last started under the cooldown c/NAME; \3NAME = INSTANT/WHO waits to be the debounced one
local me, n = ARGV[2], tonumber(ARGV[6])
call('ZREM', due, '')                               -- from here on nothing is refused for memory
local leased = tonumber(call('ZSCORE', leases, me) or 0) > now

local function listed(claims, claim)
  return (claims .. '\0'):find('\0' .. claim .. '\0', 1, true)
end

local answers, i = {}, 7
for _ = 1, n do
  local token, key, who, m = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local first, last = i + 4, i + 4 + (m - 1) * 5
  i = last + 5
  local queue, id = token:match('^([^~/][^/]*)/(%d+%-%d+)$')
  local answer, body, blob, _ = 'S', nil, nil, nil
  if leased and queue and good(queue) and owner(queue, id) == me and call('HGET', live, key) == token then
    _, _, _, body, blob = entry(queue, id)
  end
  if body then
    local granted = call('HGET', held, token) or ''
    local passed = call('HGET', held, '~' .. key) or ''
    local wait_for, wait_until, dropped = nil, nil, false
    for c = first, last, 5 do                       -- what stands in the way? Only capacities are written here
      local need, name, amount, window = ARGV[c], ARGV[c + 1], tonumber(ARGV[c + 2]), tonumber(ARGV[c + 3])
      if need == 'permit' then
        local use, capacity = permit(name)
        if capacity ~= amount and use > 0 then
          while use < amount and hand(name) do use = use + 1 end
          call('HSET', permits, name, use .. '/' .. amount)
        end
        if not listed(granted, 'p/' .. name) and use >= amount then wait_for = wait_for or name end
      elseif need == 'rate' then
        local slots = name .. '/' .. amount
        if not (listed(granted, 'r/' .. slots) or listed(passed, 'r/' .. slots)) then
          local start = tonumber(call('HGET', permits, '\1' .. slots) or 0)
          local open = tonumber(call('ZSCORE', windows, 'r/' .. slots .. '/' .. start % amount) or 0)
          if open > now then
            if ARGV[c + 4] == '1' then dropped = true else wait_until = math.max(wait_until or 0, open) end
          end
        end
      elseif need == 'cooldown' then
        local open = tonumber(call('ZSCORE', windows, 'c/' .. name) or 0)
        if not listed(granted, 'c/' .. name) and open > now and call('HGET', permits, '\2' .. name) ~= who then dropped = true end
      elseif not listed(granted, 'd/' .. name) then
        local instant, other = (call('HGET', permits, '\3' .. name) or ''):match('^(%d+)/(.*)$')
        if other == who then
          if tonumber(instant) > now then wait_until = math.max(wait_until or 0, tonumber(instant)) end
        else
          wait_until = math.max(wait_until or 0, now + window)
        end
      end
    end
    local stop = (dropped or wait_for or wait_until) and unwatch(token, queue, id)
    if dropped or wait_for or wait_until then
      call('XACK', stream[queue], 'g', id)
      call('XDEL', stream[queue], id)
    end
    if dropped or stop then
      call('HDEL', live, key)
      call('HDEL', held, '~' .. key)
      finish(key, 'cancelled', queue, '', blob)
      answer = 'D'
    elseif wait_for or wait_until then
      call('HSET', parked, key, queue .. '/' .. blob)
      answer = 'W'
      if wait_until then                            -- its place in each window is taken: it comes back at that instant
        for c = first, last, 5 do
          local need, name, amount, window = ARGV[c], ARGV[c + 1], tonumber(ARGV[c + 2]), tonumber(ARGV[c + 3])
          if need == 'rate' then
            local slots = name .. '/' .. amount
            if not (listed(granted, 'r/' .. slots) or listed(passed, 'r/' .. slots)) then
              local start = tonumber(call('HGET', permits, '\1' .. slots) or 0)
              local slot = 'r/' .. slots .. '/' .. start % amount
              local open = math.max(now, tonumber(call('ZSCORE', windows, slot) or 0))
              wait_until = math.max(wait_until, open)
              call('ZADD', windows, open + window, slot)
              call('HSET', permits, '\1' .. slots, start + 1)
              passed = passed .. '\0r/' .. slots
            end
          elseif need == 'debounce' then
            local instant, other, before = (call('HGET', permits, '\3' .. name) or ''):match('^(%d+)/(([^%z]*).*)$')
            if other ~= who then
              if before and before ~= key and call('HGET', live, before) == '~due'
                and listed(call('HGET', held, '~' .. before) or '', 'd/' .. name) then
                local place, call_of = (call('HGET', parked, before) or ''):match('^([^/]*)/(.*)$')
                call('ZREM', due, before)
                call('HDEL', parked, before)
                call('HDEL', held, '~' .. before)
                call('HDEL', live, before)
                finish(before, 'cancelled', place or '', '', call_of or '')
              end
              call('HSET', permits, '\3' .. name, now + window .. '/' .. who)
              call('ZADD', windows, now + window + 86400000, 'd/' .. name)
              passed = passed .. '\0d/' .. name
            end
          end
        end
        call('ZADD', due, wait_until, key)
        call('HSET', live, key, '~due')
        tell('scheduled', key)
      else
        local ms, nth = id:match('^(%d+)%-(%d+)$')
        local order = ('0'):rep(16 - #ms) .. ms .. '-' .. ('0'):rep(20 - #nth) .. nth
        call('ZADD', waiting, 0, wait_for .. '\0' .. order .. '\0' .. key)
        call('HSET', live, key, '~wait/' .. order .. '/' .. wait_for)
        tell('waiting', key)
      end
      if passed ~= '' then call('HSET', held, '~' .. key, passed) end
    else
      answer = 'G'
      for c = first, last, 5 do
        local need, name, amount, window = ARGV[c], ARGV[c + 1], tonumber(ARGV[c + 2]), tonumber(ARGV[c + 3])
        local claim = need:sub(1, 1) .. '/' .. name .. (need == 'rate' and '/' .. amount or '')
        if not listed(granted, claim) then
          granted = granted .. '\0' .. claim
          if need == 'permit' then
            call('HSET', permits, name, permit(name) + 1 .. '/' .. amount)
          elseif need == 'rate' and not listed(passed, claim) then
            local start = tonumber(call('HGET', permits, '\1' .. name .. '/' .. amount) or 0)
            call('ZADD', windows, now + window, claim .. '/' .. start % amount)
            call('HSET', permits, '\1' .. name .. '/' .. amount, start + 1)
          elseif need == 'cooldown' then
            if tonumber(call('ZSCORE', windows, claim) or 0) <= now then
              call('ZADD', windows, now + window, claim)
              call('HSET', permits, '\2' .. name, who)
            end
          elseif need == 'debounce' then
            call('HDEL', permits, '\3' .. name)
            call('ZREM', windows, claim)
          end
        end
      end
      call('HSET', held, token, granted)
      call('HDEL', held, '~' .. key)
    end
    if answer ~= 'G' and granted ~= '' then
      holding = true
      unhold(token)
    end
  end
  answers[#answers + 1] = answer
end
sweep(2 * n)
publish(me)
return {'OK', table.concat(answers)}
