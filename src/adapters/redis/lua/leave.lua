-- Removes members from a set. Members that are not in it are ignored.
--
-- Keys: those of prelude.lua.
-- Arguments: the members.
-- Returns 1.

for _, member in ipairs(ARGV) do remove(member) end
return 1
