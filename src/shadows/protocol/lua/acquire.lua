-- Asks for what taken tasks need before they may start: all that one comes under, or nothing.
-- keys: queues due parked live windows permits held waiting leases controls ended ended:at
-- with: limits time streams facts events unique entry controls whole permits retire endings rates
-- KEYS: the streams of all queues
-- checks: keys
-- ARGV: instant, worker, ms to keep a record, records at most, dead letters at most, n,
--       n x token, key, who, m, m x need, name, amount, window in ms, drop (1 | 0)
--   permit: at most `amount` at once | rate: at most `amount` starts in a window | cooldown: one start, and none for a window
--   after it | debounce: a start when nothing of the name has come for a window; `who` tells executions of one key apart
-- Reply: OK, a letter for each: G granted, W set aside (it waits, and comes back by itself), D dropped (ended as cancelled),
--        S stale (the token is not this worker's any more, or another life has the key) | QUEUES
-- Keeps: never more than `amount` of a permit are in use, nor starts of a rate in a window; what waits stands in `waiting`
--        in the order in which it first came, or in `due` at the instant that is its own; asked again, what was granted is
--        granted, and nothing changes.
--   ~KEY in `held` is what a task has passed that was set aside: r/… a place in a rate, d/NAME a debounce, x/NAME one in
--   which a newer one took its place
--   \2NAME in `permits` is who last started under the cooldown c/NAME; \3NAME is whose key waits to be the debounced one
local wrong = wrong_key()
if wrong then return wrong end
local me, n = ARGV[2], tonumber(ARGV[6])
call('ZREM', due, '')                               -- from here on nothing is refused for memory
local leased = tonumber(call('ZSCORE', leases, me) or 0) > now
holding = true

local function listed(claims, claim)
  return (claims .. '\0'):find('\0' .. claim .. '\0', 1, true)
end
-- What waits to be the debounced one gives way to a newer one: at once, or when it asks.
local function supersede(name)
  local before = call('HGET', permits, '\3' .. name)
  local passed = before and call('HGET', held, '~' .. before)
  if not (passed and listed(passed, 'd/' .. name)) then return end
  local mark = call('HGET', live, before)
  if mark and mark:sub(1, 1) == '~' then
    local queue, blob = (call('HGET', parked, before) or ''):match('^([^/]*)/(.*)$')
    retire(before, mark)
    reserve(before, span_of((blob or ''):match('^%d+/%d+/(.*)$')))
    finish(before, 'cancelled', queue or '', '', blob or '')
  elseif mark then
    call('HSET', held, '~' .. before, passed .. '\0x/' .. name)
  end
end

local answers, i = {}, 7
for _ = 1, n do
  local token, key, who, m = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local first, last = i + 4, i + 4 + (m - 1) * 5
  i = last + 5
  local queue, id = token:match('^([^~/][^/]*)/(%d+%-%d+)$')
  local answer, body, blob, _ = 'S', nil, nil, nil
  if leased and queue and good(queue) and owner(queue, id) == me then
    local mark = call('HGET', live, key)
    if not mark or mark == token then
      _, _, _, body, blob = entry(queue, id)
      if body and not mark then call('HSET', live, key, token) end  -- its place was lost, and is found again
    else                                            -- another life has the key
      unwatch(token, queue, id)
      call('XACK', stream[queue], 'g', id)
      call('XDEL', stream[queue], id)
      unhold(token)
    end
  end
  if body then
    local granted = call('HGET', held, token) or ''
    local passed = call('HGET', held, '~' .. key) or ''
    local wait_for, wait_until, dropped = nil, nil, false
    for c = first, last, 5 do                       -- what stands in the way? Only capacities are written here
      local need, name, amount, window = ARGV[c], ARGV[c + 1], tonumber(ARGV[c + 2]), tonumber(ARGV[c + 3])
      local open
      if need == 'permit' then
        local use, capacity = permit(name)
        if capacity ~= amount and use > 0 then
          while use < amount and hand(name) do use = use + 1 end
          call('HSET', permits, name, use .. '/' .. amount)
        end
        if not listed(granted, 'p/' .. name) and use >= amount then wait_for = wait_for or name end
      elseif need == 'rate' then
        local slots = name .. '/' .. amount
        if not listed(granted, 'r/' .. slots) then
          local slot = place_of(passed, slots)
          if slot then
            open = score('r/' .. slots .. '/' .. slot)
          else
            _, open = next_slot(slots, amount)
            if open > now and ARGV[c + 4] == '1' then dropped = true end
          end
        end
      elseif need == 'cooldown' then
        if not listed(granted, 'c/' .. name) and score('c/' .. name) > now and call('HGET', permits, '\2' .. name) ~= who then
          dropped = true
        end
      elseif listed(passed, 'x/' .. name) then
        dropped = true
      elseif not (listed(granted, 'd/' .. name) or listed(passed, 'd/' .. name)) then
        open = now + window
      end
      if open and open > now then wait_until = math.max(wait_until or 0, open) end
    end
    local stop = false
    if dropped or wait_for or wait_until then
      stop = unwatch(token, queue, id)
      call('XACK', stream[queue], 'g', id)
      call('XDEL', stream[queue], id)
    end
    if dropped or stop then
      vacate(key)
      if not stop then reserve(key, span_of(body)) end
      finish(key, 'cancelled', queue, '', blob)
      answer = 'D'
    elseif wait_for or wait_until then
      call('HSET', parked, key, queue .. '/' .. blob)
      answer = 'W'
      if wait_until then                            -- its place in each window is taken: it comes back at that instant
        for c = first, last, 5 do
          local need, name, amount, window = ARGV[c], ARGV[c + 1], tonumber(ARGV[c + 2]), tonumber(ARGV[c + 3])
          if need == 'rate' then
            local open
            passed, open = reserve_slot(passed, name .. '/' .. amount, amount, window)
            wait_until = math.max(wait_until, open)
          elseif need == 'debounce' and not listed(passed, 'd/' .. name) then
            supersede(name)
            call('HSET', permits, '\3' .. name, key)
            call('ZADD', windows, now + window + 86400000, 'd/' .. name)
            passed = passed .. '\0d/' .. name
          end
        end
        call('ZADD', due, wait_until, key)
        call('HSET', live, key, '~due')
        tell('scheduled', key)
      else
        local order = granted:match('%zo/([^%z]*)')    -- (it has waited in line before)
        if not order then
          local ms, nth = id:match('^(%d+)%-(%d+)$')
          order = ('0'):rep(16 - #ms) .. ms .. '-' .. ('0'):rep(20 - #nth) .. nth
        end
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
          elseif need == 'rate' then
            start_in_slot(passed, name .. '/' .. amount, amount, window)
          elseif need == 'cooldown' then
            if score(claim) <= now then
              call('ZADD', windows, now + window, claim)
              call('HSET', permits, '\2' .. name, who)
            end
          else
            call('HDEL', permits, '\3' .. name)
            call('ZREM', windows, claim)
          end
        end
      end
      call('HSET', held, token, granted)
      call('HDEL', held, '~' .. key)
    end
    if answer ~= 'G' then unhold(token) end
  end
  answers[#answers + 1] = answer
end
sweep(2 * n)
publish(me)
return {'OK', table.concat(answers)}
