-- keys: due waiting
-- Whether something stands behind a key's mark: its entry, its place among what is due, or its place in line. Where that is
-- broken nobody can tell, and it does; where no queue has the name that the mark says, it does not.
local function stands(key, mark)
  if mark == '~due' then return redis.pcall('ZSCORE', due, key) end
  local order, name = mark:match('^~wait/([^/]*)/(.*)$')
  if order then return redis.pcall('ZSCORE', waiting, name .. '\0' .. order .. '\0' .. key) end
  local queue, id = mark:match('^([^~/][^/]*)/(%d+%-%d+)$')
  if not stream[queue] then return false end
  if not good(queue) then return true end
  local found = redis.pcall('XRANGE', stream[queue], id, id)[1]
  if found then return found[2][2] == key end
  return owner(queue, id) ~= nil                    -- (deleted by hand, and yet somebody was given it)
end
