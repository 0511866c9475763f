-- What a queue's group has given out: how many entries are pending, and where those begin that nobody was given yet.
-- Where somebody removed the group, nobody was given anything.
local function following(id)                        -- (Redis 6.0 has no "all after this one")
  local ms, number = id:match('^(%d+)%-(%d+)$')
  return ms .. '-' .. string.format('%.0f', number + 1)
end
local function given(queue)
  for _, group in ipairs(redis.pcall('XINFO', 'GROUPS', stream[queue])) do
    if group[2] == 'g' then return group[6], following(group[8]) end
  end
  return 0, '-'
end
