-- Registers tenants that have members, or lists them all. Runs without prelude.lua.
--
-- Keys: 1 sorted set, tenant → end of the latest lease of its members, in ms since the Unix epoch.
-- Arguments: none to list; else 1 lease in ms, then the tenants to register.
-- Returns the tenants with current leases when it lists, else nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[1])), ARGV[index]) end
if #ARGV > 1 then return {} end
return redis.call('ZRANGE', KEYS[1], 0, -1)
