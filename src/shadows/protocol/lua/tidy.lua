-- What a living worker does for the shadow at every heartbeat: says what it is, forgets windows that are over and dead
-- letters of more than 30 days ago, hands out permits that are free, mends what lost its place. One request, as waiting
-- workers send it too.
-- keys: meta queues due parked live permits held waiting windows producers dead dead:at
-- with: time streams facts events stands whole permits rates words
-- KEYS: the streams of all queues
-- checks: keys
-- ARGV: instant, worker, the name of a limit to go on behind ('' = from the beginning), what it says of itself ('' = nothing)
-- Reply: OK, the name to go on behind ('' = all were looked at) | QUEUES
-- Keeps: nobody waits for a permit that nobody holds, also where something was removed by hand: where somebody waits
--        those who hold are counted, unless they are more than 2,000, and of those who seem to hold all of one whether
--        they are there. Where there are more marks than places, those with nothing behind them are looked for, a page at
--        a time (`mended` in `meta` is where it goes on): they are due now. What has its call runs, the others are lost.
local wrong = wrong_key()
if wrong then return wrong end
call('ZREM', due, '')                               -- from here on nothing is refused for memory
if ARGV[4] ~= '' then say(ARGV[2], ARGV[4]) end

-- What nobody can have meant: an instant 30,000 years ahead would never come.
for _, index in ipairs({due, leases, dead_at}) do
  for _, member in ipairs(call('ZRANGEBYSCORE', index, 1e15, '+inf', 'LIMIT', 0, 200)) do
    call('ZADD', index, 'XX', index == leases and now + 60000 or now, member)
  end
end
for _, member in ipairs(call('ZRANGEBYSCORE', windows, 1e15, '+inf', 'LIMIT', 0, 200)) do call('ZREM', windows, member) end

local old = call('ZRANGEBYSCORE', windows, '-inf', now, 'LIMIT', 0, 200)
for _, window in ipairs(old) do
  local kind, name = window:sub(1, 2), window:sub(3)
  if kind == 'p/' then call('HDEL', producers, name) end
  if kind == 'c/' then call('HDEL', permits, '\2' .. name) end
  local waits = false
  if kind == 'd/' then
    local key = call('HGET', permits, '\3' .. name)
    waits = key and ((call('HGET', held, '~' .. key) or '') .. '\0'):find('\0d/' .. name .. '\0', 1, true)
    if not waits then call('HDEL', permits, '\3' .. name) end
  end
  if kind == 'r/' or kind == 'q/' then
    local slots, amount, slot = name:match('^(.*/(%d+))/(%d+)$')
    if slots and (turns(slots) - 1) % amount == tonumber(slot)  -- it is the newest
      and math.max(score('r/' .. name), score('q/' .. name)) <= now then
      call('HDEL', permits, '\1' .. slots)
    end
  end
  if waits then
    call('ZADD', windows, now + 86400000, window)   -- a newer one is to find it, however long it waits
  else
    call('ZREM', windows, window)
  end
end

local aged = call('ZRANGEBYSCORE', dead_at, '-inf', now - 2592000000, 'LIMIT', 0, 200)
if #aged > 0 then
  call('HDEL', dead, unpack(aged))
  call('ZREM', dead_at, unpack(aged))
end

local holders = nil                                 -- NAME -> the tokens that hold it, once somebody waits for one
local function held_by(name)
  if not holders then
    holders = {}
    local claims = call('HGETALL', held)
    for i = 1, #claims, 2 do
      for permit_name in claims[i + 1]:gmatch('%zp/([^%z]+)') do
        holders[permit_name] = holders[permit_name] or {}
        table.insert(holders[permit_name], claims[i])
      end
    end
  end
  return holders[name]
end
local checked = 0
local function is_there(token)                      -- whether there is an entry, or somebody who was given it
  checked = checked + 1
  local queue, id = token:match('^([^~/][^/]*)/(%d+%-%d+)$')
  if not stream[queue] then return false end
  return not good(queue) or owner(queue, id) or redis.pcall('XRANGE', stream[queue], id, id)[1]
end

local name, countable = ARGV[3], call('HLEN', held) <= 2000
if call('ZCARD', waiting) > 0 then                  -- what stands at another score hides the others
  for _, from in ipairs({'-inf', '(0'}) do
    for _, member in ipairs(call('ZRANGEBYSCORE', waiting, from, from == '(0' and '+inf' or '(0', 'LIMIT', 0, 200)) do
      call('ZADD', waiting, 0, member)
    end
  end
end
for _ = 1, 100 do
  local first = call('ZRANGEBYLEX', waiting, name == '' and '-' or '(' .. name .. '\1', '+', 'LIMIT', 0, 1)[1]
  if not first then
    name = ''
    break
  end
  local found = first:match('^([^%z]+)%z[^%z]*%z')
  if found then
    name = found
    local noted, most = permit(name)
    local tokens = countable and held_by(name) or {}
    local use = countable and #tokens or noted
    if use >= most then
      for _, token in ipairs(tokens) do
        if not is_there(token) then
          call('HDEL', held, token)
          use = use - 1
        end
      end
    end
    while use < most and hand(name) do use = use + 1 end
    if use ~= noted then set_use(name, use, most) end
    if checked >= 400 then break end
  else
    call('ZREM', waiting, first)                    -- nobody stands there
  end
end

local places = call('ZCARD', due) + call('ZCARD', waiting)
for _, queue in ipairs(names) do places = places + (good(queue) and call('XLEN', stream[queue]) or math.huge) end
if call('HLEN', live) > places then
  local from = call('HGET', meta, 'mended') or '0'
  local page = redis.pcall('HSCAN', live, from, 'COUNT', 200)
  if page.err then page = call('HSCAN', live, '0', 'COUNT', 200) end
  for i = 1, #page[2], 2 do
    local key, mark = page[2][i], page[2][i + 1]
    if not stands(key, mark) then
      if not is_there(mark) then unhold(mark) end   -- (else it is another's)
      call('ZADD', due, 'NX', now, key)
      call('HSET', live, key, '~due')
    end
  end
  if page[1] == '0' then
    call('HDEL', meta, 'mended')
  else
    call('HSET', meta, 'mended', page[1])
  end
end
publish(ARGV[2])
return {'OK', name}
