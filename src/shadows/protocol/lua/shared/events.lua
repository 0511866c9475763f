-- keys: queues
-- News for whoever listens, one message a call: who tells it, then a line STATE KEY for each. `meta` holds until when
-- somebody does: where nobody listens, nothing is put together or published.
local listening, news = (tonumber(facts[1]) or 0) > now, {}
local function tell(state, key)
  if listening then news[#news + 1] = state .. ' ' .. key end
end
local function publish(who)
  if #news > 0 then                                 -- who may not publish has done all else, and is not to fail for it
    redis.pcall('PUBLISH', queues:sub(1, -7) .. 'events', who .. '\n' .. table.concat(news, '\n'))
  end
end
