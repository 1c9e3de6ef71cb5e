-- Takes tokens that a node has already spent from a shared bucket, and returns the level that is left, which may be
-- negative. A bucket that is full again expires, since a missing one counts as full.
--
-- Keys:
--   1  hash   level: tokens at the time `at`; at: in ms since the Unix epoch, by the server's clock
--
-- Arguments: tokens gained per ms, the burst, the tokens spent.

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local per_ms, burst, spent = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local stored = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = burst
if stored[1] then
  level = math.min(burst, tonumber(stored[1]) + math.max(0, now - tonumber(stored[2])) * per_ms)
end
level = level - spent

redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, (burst - level) / per_ms + 1)))
return string.format('%.6f', level)
