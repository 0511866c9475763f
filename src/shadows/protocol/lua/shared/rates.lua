-- keys: windows permits
-- Rates. `amount` starts in a window are so many slots, taken in turn: starts in one slot are a window apart, so no window
-- ever sees more than `amount`, however late one starts. SLOTS is NAME/AMOUNT: \1SLOTS in `permits` counts the turns;
-- r/SLOTS/i in `windows` is the instant at which slot i is free again, q/SLOTS/i that at which it will be once all have
-- started who have a place in it. Such a place is among what a task has passed: r/SLOTS\1i/INSTANT.
local function score(window) return tonumber(call('ZSCORE', windows, window) or 0) end
local function place_of(passed, slots)
  local at = passed:find('\0r/' .. slots .. '\1', 1, true)
  if not at then return end
  local slot, instant = passed:match('^(%d+)/(%d+)', at + #slots + 4)
  return slot, tonumber(instant)
end
local function turns(slots)
  local taken = tonumber(call('HGET', permits, '\1' .. slots)) or 0
  return taken >= 0 and taken < 2 ^ 53 and math.floor(taken) or 0
end
local function next_slot(slots, amount)
  local slot = turns(slots) % amount
  return slot, math.max(score('r/' .. slots .. '/' .. slot), score('q/' .. slots .. '/' .. slot))
end
-- Gives a task its place, or a later one where it came back and the one before it in its slot had started late; answers
-- what it has passed then, and the instant. Late by more than a window, it goes behind all others.
local function reserve_slot(passed, slots, amount, window)
  local slot, instant = place_of(passed, slots)
  local open
  if not slot then
    slot, open = next_slot(slots, amount)
    open = math.max(now, open)
    call('HSET', permits, '\1' .. slots, turns(slots) + 1)
  else
    open = score('r/' .. slots .. '/' .. slot)
    if open <= now then return passed, instant end
    if instant < open - window then open = math.max(open, score('q/' .. slots .. '/' .. slot)) end
    passed = passed:gsub('%zr/[^%z]*', function(claim) return claim:find('\0r/' .. slots .. '\1', 1, true) and '' end)
  end
  local queue = 'q/' .. slots .. '/' .. slot
  call('ZADD', windows, math.max(score(queue), open + window), queue)
  return passed .. '\0r/' .. slots .. '\1' .. slot .. '/' .. open, open
end
local function start_in_slot(passed, slots, amount, window)
  local slot = place_of(passed, slots)
  if not slot then
    slot = next_slot(slots, amount)
    call('HSET', permits, '\1' .. slots, turns(slots) + 1)
  end
  call('ZADD', windows, now + window, 'r/' .. slots .. '/' .. slot)
end
