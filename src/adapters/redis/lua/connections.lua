-- Counts the connections of users in a set.
--
-- Keys: those of prelude.lua.
-- Arguments: the users, at most a thousand: Lua unpacks no more than some thousand arguments.
-- Returns the number of connections of each user, in the order of the arguments; nil for none.

return redis.call('HMGET', KEYS[2], unpack(ARGV))
