-- Strikes, takes strikes back, or only looks what is stricken.
-- keys: meta due strikes
-- with: time
-- ARGV: instant, strike | restore | look, the version that the caller knows, strikes at most, n x strike
-- Reply: OK, version, the strikes (none where the caller knows them already) | FULL: nothing was written
-- Keeps: the version grows with every change, and with nothing else; so the same request sent again changes nothing.
local what, known, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if what ~= 'look' then
  call('ZREM', due, '')                             -- from here on nothing is refused for memory
  local changed = {}
  for i = 5, #ARGV do
    if (call('HEXISTS', strikes, ARGV[i]) == 0) == (what == 'strike') then changed[#changed + 1] = ARGV[i] end
  end
  if what == 'strike' and call('HLEN', strikes) + #changed > most then return {'FULL'} end
  if #changed > 0 then
    local grown = redis.pcall('HINCRBY', meta, 'strikes', 1)
    if type(grown) == 'table' then
      if grown.err:find('WRONGTYPE', 1, true) then return grown end
      call('HSET', meta, 'strikes', now)            -- it was no number: the instant is a version that nobody knows
    end
    for _, one in ipairs(changed) do
      if what == 'strike' then
        call('HSET', strikes, one, now)
      else
        call('HDEL', strikes, one)
      end
    end
  end
end
local version = tonumber(call('HGET', meta, 'strikes')) or 0
return {'OK', version, version == known and {} or call('HKEYS', strikes)}
