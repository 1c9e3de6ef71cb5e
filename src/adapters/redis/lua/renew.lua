-- Renews the leases of a node's members, and adds those that Redis does not have: it may have lost its memory, or their
-- leases may have ended while the node was cut off. A member is lost instead of added when its membership was kicked,
-- or when its lease ended and another member has taken the room for itself since.
--
-- Keys: those of prelude.lua.
-- Arguments: 1 lease in ms; then member and info of each member.
-- Returns the numbers of users and of connections in the set now, then each member that is lost: its node may not have
-- received the notice about it.

local lease = tonumber(ARGV[1])
local lost = {}

-- Whether another member entered the room by "first" or "last".
local function is_taken(member)
  local infos = redis.call('HGETALL', KEYS[3])
  for index = 1, #infos, 2 do
    if infos[index] ~= member and parse(infos[index + 1]) ~= 'any' then return true end
  end
  return false
end

local function is_kicked(member, token)
  local kicked = KEYS[4]
  return redis.call('ZSCORE', kicked, member .. '\n' .. token) or redis.call('ZSCORE', kicked, member .. '\n')
end

for index = 2, #ARGV, 2 do
  local member, info = ARGV[index], ARGV[index + 1]
  local mode, token = parse(info)
  if info == '' or redis.call('ZSCORE', KEYS[1], member) then
    add(member, info, lease)
  elseif is_kicked(member, token) or (mode ~= 'any' and is_taken(member)) then
    lost[#lost + 1] = member
  else
    add(member, info, lease)
  end
end
extend(lease)
local answer = {redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[1])}
for _, member in ipairs(lost) do answer[#answer + 1] = member end
return answer
