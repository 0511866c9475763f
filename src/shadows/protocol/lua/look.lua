-- How much there is of everything, exactly and at one instant; and pages of what is unfinished.
-- keys: meta queues due parked live waiting dead:at
-- with: time streams given entry
-- KEYS: the streams of all queues
-- ARGV: instant, bytes of a call to answer at most (0 = all), n, n x kind, queue, where to begin ('-' = at the beginning), most
--   due: soonest first, behind INSTANT/KEY or at @RANK; an item = key, instant, QUEUE/BLOB
--   waiting: by what they wait for, then in order, behind NAME\0ORDER\0KEY; an item = key, order, QUEUE/BLOB
--   ready: of one queue, oldest first, behind an entry's id; an item = key, id, blob
--   running: of one queue, oldest first, behind an entry's id; an item = key, id, blob, worker, ms since he was given it
-- Reply: OK, the instant, the server's own, unfinished, scheduled, waiting, dead, paused,
--        {queue, ready, running, ids of the oldest and the newest that are ready ('' = none), ...},
--        {for each page: where it goes on ('' = it ends here), items} | QUEUES
-- Keeps: it writes nothing; 200 items at most in all, and fewer where their calls take a MiB.
local cut, n = tonumber(ARGV[2]), tonumber(ARGV[3])
local room, bytes = 200, 1048576

local depths = {}
for _, queue in ipairs(names) do
  local ready, running, oldest, newest = 0, 0, '', ''
  if good(queue) then
    local pending, from = given(queue)
    running = pending
    ready = math.max(0, call('XLEN', stream[queue]) - pending)
    local first = call('XRANGE', stream[queue], from, '+', 'COUNT', 1)[1]
    if first then
      oldest, newest = first[1], call('XREVRANGE', stream[queue], '+', '-', 'COUNT', 1)[1][1]
    end
  end
  for _, fact in ipairs({queue, ready, running, oldest, newest}) do depths[#depths + 1] = fact end
end

local page, last
local function add(place, ...)                      -- the third fact of an item is its call
  local item = {...}
  bytes = bytes - #item[3]
  if cut > 0 then item[3] = item[3]:sub(1, cut) end
  for _, fact in ipairs(item) do page[#page + 1] = fact end
  last, room = place, room - 1
end
local function later(a, b)
  local a_ms, a_number = a:match('^(%d+)%-(%d+)$')
  local b_ms, b_number = b:match('^(%d+)%-(%d+)$')
  if not a_ms then return b end                     -- ('-', the beginning)
  a_ms, b_ms = tonumber(a_ms), tonumber(b_ms)
  if a_ms ~= b_ms then return a_ms > b_ms and a or b end
  return tonumber(a_number) > tonumber(b_number) and a or b
end

local pages = {}
for i = 4, 3 + n * 4, 4 do
  local kind, queue, from, most = ARGV[i], ARGV[i + 1], ARGV[i + 2], math.min(tonumber(ARGV[i + 3]), room)
  local found = most
  page, last = {''}, from
  if most < 1 then
    found = most                                    -- no room: it goes on where it was
  elseif kind == 'due' then
    local start, instant, key = from:match('^@(%d+)$') or 0, from:match('^([^/]*)/(.*)$')
    if instant and call('ZSCORE', due, key) == instant then
      start = call('ZRANK', due, key) + 1
    elseif instant then                             -- it has gone: what is due with it may come twice
      start = call('ZCOUNT', due, '-inf', '(' .. instant)
    end
    local items = call('ZRANGE', due, start, start + most - 1, 'WITHSCORES')
    found = #items / 2
    for j = 1, #items, 2 do
      if bytes <= 0 then break end
      add(items[j + 1] .. '/' .. items[j], items[j], items[j + 1], call('HGET', parked, items[j]) or '')
    end
  elseif kind == 'waiting' then
    local items = call('ZRANGEBYLEX', waiting, from == '-' and '-' or '(' .. from, '+', 'LIMIT', 0, most)
    found = #items
    for _, member in ipairs(items) do
      if bytes <= 0 then break end
      local order, key = member:match('^[^%z]*%z([^%z]*)%z(.*)$')
      add(member, key or '', order or '', key and call('HGET', parked, key) or '')
    end
  elseif not good(queue) then
    found = 0
  elseif kind == 'ready' then
    local _, start = given(queue)
    if from ~= '-' then start = later(start, following(from)) end
    found = 0
    for _ = 1, 20 do
      local items = call('XRANGE', stream[queue], start, '+', 'COUNT', math.min(10, most - found))
      for _, item in ipairs(items) do
        if bytes <= 0 then break end
        local fields = item[2]
        local ours = #fields == 4 and fields[1] == 'k' and fields[3] == 'c'
        add(item[1], ours and fields[2] or '', item[1], ours and fields[4] or '')
        start = following(item[1])
      end
      found = found + #items
      if #items == 0 or found == most or bytes <= 0 then break end
    end
  else
    local items = redis.pcall('XPENDING', stream[queue], 'g', from == '-' and '-' or following(from), '+', most)
    found = #items
    for _, item in ipairs(items) do
      if bytes <= 0 then break end
      local key, _, _, _, blob = entry(queue, item[1])
      add(item[1], key or '', item[1], key and blob or '', item[2], item[3])
    end
  end
  if found == most or bytes <= 0 then page[1] = last end
  pages[#pages + 1] = page
end

local clock = call('TIME')
return {'OK', now, clock[1] * 1000 + math.floor(clock[2] / 1000), call('HLEN', live), call('ZCARD', due),
        call('ZCARD', waiting), call('ZCARD', dead_at), call('HGET', meta, 'paused') or '', depths, pages}
