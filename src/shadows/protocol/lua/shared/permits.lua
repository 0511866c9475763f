-- keys: due parked live permits held waiting
-- Limits on how many run at once. `permits`: NAME -> IN USE/CAPACITY; `held`: TOKEN -> the claims it was granted, each
-- behind a \0 (p/NAME is a permit, o/ORDER the place in line of one that was handed it), ~KEY -> what a task which is set
-- aside has passed already; `waiting`: NAME\0ORDER\0KEY, and the mark ~wait/ORDER/NAME in `live`. A permit that is given
-- back goes at once to the first in line, so none is lost on its way; nowhere else may `in use` fall while somebody waits.
local holding, pops = call('HLEN', held) > 0, 0
local function givable()                            -- whether a permit can be handed over
  return not holding or whole(permits, 'hash') and whole(waiting, 'zset') and whole(parked, 'hash') and whole(due, 'zset')
end
local function vacate(key)                          -- nothing stands under the key any more
  call('HDEL', live, key)
  if holding then call('HDEL', held, '~' .. key) end
end
local function hand(name)
  while pops < 400 do                               -- beyond, `tidy` hands on
    pops = pops + 1
    local first = call('ZRANGEBYLEX', waiting, '[' .. name .. '\0', '(' .. name .. '\1', 'LIMIT', 0, 1)[1]
    if not first then return false end
    call('ZREM', waiting, first)
    local order, key = first:sub(#name + 2):match('^([^%z]*)%z?(.*)$')
    local mark, aside = call('HGET', live, key), call('HGET', parked, key)
    if mark == '~wait/' .. order .. '/' .. name or aside and not mark then  -- (its place was lost, and is found again)
      local queue, blob = (aside or ''):match('^([^/]*)/(.*)$')
      if queue and good(queue) then
        local token = queue .. '/' .. call('XADD', stream[queue], '*', 'k', key, 'c', blob)
        call('HDEL', parked, key)
        call('HSET', live, key, token)
        call('HSET', held, token, '\0p/' .. name .. '\0o/' .. order)
        tell('queued', key)
        return true
      end
      call('ZADD', due, now, key)                   -- lost, or its stream is broken: promotion deals with both
      call('HSET', live, key, '~due')
    elseif mark and mark:sub(1, 1) ~= '~' then      -- another life has the key
      call('HDEL', parked, key)
    end
  end
end
local function permit(name)
  local use, most = (call('HGET', permits, name) or ''):match('^(%d+)/(%d+)$')
  return tonumber(use or 0), math.max(1, tonumber(most or 1))
end
local function set_use(name, use, most)
  if use > 0 then
    call('HSET', permits, name, use .. '/' .. most)
  else
    call('HDEL', permits, name)
  end
end
local function give_back(name)
  local use, most = permit(name)
  use = use - 1
  if use < most and hand(name) then use = use + 1 end
  set_use(name, use, most)
end
local function unhold(token)
  if not holding then return end
  local claims = call('HGET', held, token)
  if not claims then return end
  call('HDEL', held, token)
  for name in claims:gmatch('%zp/([^%z]+)') do give_back(name) end
end
