-- Adds a member to a set, unless its mode forbids it: "first" is refused while others are in the room, "last" removes
-- them, "any" does neither. All in one step, so that of several nodes that take a room at the same time one succeeds.
-- Connections of the member's own user and instance are stale: "first" is not refused by them, and removes them.
--
-- Keys: those of prelude.lua.
-- Arguments: 1 lease in ms; 2 member; 3 info; 4 channel, 5 tenant and 6 room for the notice about kicked members.
-- Returns {0} when it is refused; else 1, then member and token of each member that was kicked. The notice, published
-- on the channel, reaches the nodes of those members: {"tenant", "room", "kicked": [[member, token], …]}.

local lease, member, info = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local mode, _, instance = parse(info)
local answer = {1}
if mode ~= 'any' then
  local others = {}
  for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if other ~= member then others[#others + 1] = other end
  end
  local infos = {}
  for index, other in ipairs(others) do
    infos[index] = redis.call('HGET', KEYS[3], other) or ''
    local _, _, other_instance = parse(infos[index])
    local is_stale = instance ~= '' and other_instance == instance and user_of(other) == user_of(member)
    if mode == 'first' and not is_stale then return {0} end
  end
  local kicked = {}
  for index, other in ipairs(others) do
    local _, token = parse(infos[index])
    remove(other)
    redis.call('ZADD', KEYS[4], text(now), other .. '\n' .. token)
    kicked[index] = {other, token}
    answer[#answer + 1] = other
    answer[#answer + 1] = token
  end
  if #kicked > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now - lease * 10))
    redis.call('PUBLISH', ARGV[4], cjson.encode({tenant = ARGV[5], room = ARGV[6], kicked = kicked}))
  end
end
-- A kick without a token was of an earlier membership.
redis.call('ZREM', KEYS[4], member .. '\n')
add(member, info, lease)
extend(lease)
return answer
