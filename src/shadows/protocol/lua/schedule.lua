-- Accepts n calls, each by itself: to run at once, or at an instant.
-- keys: queues wake due parked live
-- with: streams facts moment events unique batches
-- KEYS: the streams of all queues
-- ARGV: as shared/batches.lua, how many tasks a queue may hold ('' = any), then for each run of calls that go to one queue
--       at one instant: queue, instant (0 = now), n, n x key, n x body
-- Reply: OK, a letter for each: A accepted, E exists (the key is taken, or not free again yet), B bad, F its queue is
--        full (nothing was written for either), the version of the strikes | LATE: a newer batch of this producer was here, nothing was done | QUEUES
-- Keeps: what is accepted stands in exactly one place, named in `live`; the same batch sent again changes nothing. The
--        first write is one that a full server refuses, and with it all.
if answered then return answered end

local longest, said, nearest, failed, row = tonumber(ARGV[5]), {}, nil, nil, 6
while ARGV[row] do
  local queue, instant, n = ARGV[row], tonumber(ARGV[row + 1]), tonumber(ARGV[row + 2])
  local known = instant and stream[queue]
  local later = known and instant > now
  -- Where the keys of a run stand is read at once and written at once: `placed` are those that came to stand meanwhile.
  local standing, placed, marks = call('HMGET', live, unpack(ARGV, row + 3, row + 2 + n)), {}, {}
  for i = 1, n do
    local key, body = ARGV[row + 2 + i], '1/0/' .. ARGV[row + 2 + n + i]
    local mark, answer = nil, 'B'
    if instant and (standing[i] or placed[key] or reserved(key)) then
      answer = 'E'
    elseif later then
      if good(queue) then
        if nearest == nil then
          local head = redis.pcall('ZRANGE', due, 0, 0, 'WITHSCORES')
          nearest = not head.err and tonumber(head[2] or math.huge)
        end
        local set = nearest and redis.pcall('HSET', parked, key, queue .. '/' .. body)
        if type(set) == 'number' then
          if instant < nearest then
            nearest = instant
            redis.pcall('XADD', wake, 'MAXLEN', 1, '*', 'k', '')
          end
          call('ZADD', due, instant, key)
          mark = '~due'
        elseif set and not set.err:find('WRONGTYPE', 1, true) then
          failed = set
        end
      end
    elseif known then
      if longest and good(queue) and call('XLEN', known) >= longest then
        answer = 'F'
      else
        local entry = redis.pcall('XADD', known, '*', 'k', key, 'c', body)
        if not entry.err then
          mark = queue .. '/' .. entry
        elseif not entry.err:find('WRONGTYPE', 1, true) then
          failed = entry                            -- the server is full, say: what stands already is not to be lost
        end
      end
    end
    if mark then
      answer, placed[key] = 'A', true
      marks[#marks + 1] = key
      marks[#marks + 1] = mark
      tell(later and 'scheduled' or 'queued', key)
    end
    said[#said + 1] = answer
  end
  if #marks > 0 then call('HSET', live, unpack(marks)) end
  row = row + 3 + 2 * n
end
return failed or note(table.concat(said))
