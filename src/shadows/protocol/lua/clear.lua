-- Removes a page of what is pending: what waits, then what is ready, then what is scheduled, then marks with nothing behind
-- them. What runs is left alone.
-- keys: due parked live waiting windows permits held leases controls ended ended:at producers progress
-- with: limits time streams facts events given stands controls whole permits retire release endings
-- KEYS: the streams of all queues
-- checks: keys
-- ARGV: instant, '', ms to keep a record, records at most, dead letters at most, most
-- Reply: OK, how many were removed, 1 where more are left | QUEUES
-- Keeps: what is removed never runs, and its key is free at once. It is on record as cancelled, unless nobody works and
--        nothing runs: then all records and all bookkeeping go with the last page. What waits goes first, since a permit
--        that a ready one gives back would make it ready. It takes away before it writes, so a full server does not refuse it.
local wrong = wrong_key()
if wrong then return wrong end
local most = tonumber(ARGV[6])
local removed, seen, running, from = 0, 0, 0, {}
local idle = #call('ZRANGEBYSCORE', leases, '(' .. now, '+inf', 'LIMIT', 0, 1) == 0
for _, queue in ipairs(names) do
  if good(queue) then
    local pending, start = given(queue)
    from[queue], running = start, running + pending
    idle = idle and pending == 0
  end
end
if idle then keep = 0 end

local function remove(take_away, key, mark, queue, blob)
  if not take_away(key, mark) then return end
  if facts[4] then call('ZREM', windows, 'u/' .. key) end  -- what was kept of one before it
  finish(key, 'cancelled', queue or '', '', blob or '')
  removed = removed + 1
end
local function aside(key)
  return (not idle and call('HGET', parked, key) or ''):match('^([^/]*)/(.*)$')
end

for _, member in ipairs(call('ZRANGE', waiting, 0, most - 1)) do
  local name, order, key = member:match('^([^%z]*)%z([^%z]*)%z(.*)$')
  local mark = name and '~wait/' .. order .. '/' .. name
  if mark and call('HGET', live, key) == mark then
    remove(retire, key, mark, aside(key))
  else
    call('ZREM', waiting, member)                   -- another life has the key
  end
  seen = seen + 1
end

for _, queue in ipairs(names) do
  for _ = 1, 20 do                                  -- few at a time, as their calls may be large
    if not from[queue] or seen >= most then break end
    local entries = call('XRANGE', stream[queue], from[queue], '+', 'COUNT', math.min(10, most - seen))
    for _, item in ipairs(entries) do
      local id, fields = item[1], item[2]
      local token, key = queue .. '/' .. id, fields[2]
      if call('HGET', live, key) == token then
        remove(retire, key, token, queue, fields[4])
      else                                          -- not ours, or another life has the key
        call('XDEL', stream[queue], id)
        removed = removed + 1
      end
      seen = seen + 1
    end
    if #entries == 0 then break end
  end
end

if seen < most then
  local keys = call('ZRANGE', due, 0, most - seen - 1)
  local marks = #keys > 0 and call('HMGET', live, unpack(keys))
  for i, key in ipairs(keys) do
    local mark = marks[i] or '~due'
    if mark == '~due' then
      remove(retire, key, mark, aside(key))
    else                                            -- another life has the key
      call('ZREM', due, key)
      if mark:sub(1, 1) ~= '~' then call('HDEL', parked, key) end
    end
    seen = seen + 1
  end
end

local unsure = false
if seen < most and call('HLEN', live) > running then
  local cursor = '0'
  for _ = 1, 10 do
    local page = call('HSCAN', live, cursor, 'COUNT', 200)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local key, mark = page[2][i], page[2][i + 1]
      if seen < most and not stands(key, mark) then
        remove(release, key, mark, aside(key))
        seen, unsure = seen + 1, true
      end
    end
    if cursor == '0' or seen >= most then break end
  end
  unsure = unsure and cursor ~= '0'                 -- there may be more of them: they are looked for once more
end

if seen < most and idle and not unsure then
  call('UNLINK', ended, ended_at, producers, windows, permits, held, progress, controls)
else
  sweep(2 * seen + 10)
end
publish('')
return {'OK', removed, seen < most and not unsure and 0 or 1}
