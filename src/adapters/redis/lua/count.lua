-- Counts a set.
--
-- Keys: those of prelude.lua.
-- Returns the numbers of users and of connections.

return {redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[1])}
