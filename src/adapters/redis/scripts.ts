/**
 * What Redis does at once, in Lua. A place is a tenant or a room: who is in it holds a lease, which ends by the server's
 * clock, so that no node's clock matters. Each script first takes out those whose leases have ended. The keys of a place
 * share a hash tag, so that a script finds them together in a Cluster.
 *
 * Keys: 1 the members, by the end of their leases; 2 users, with how many of their connections are in; 3 what members said
 * when they came in: entrance, token, instance; 4 who was kicked, as member and token, by when. A member is a connection and
 * its user, with a newline between.
 */
const common = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function user_of(member) return string.sub(member, string.find(member, '\\n', 1, true) + 1) end
local function said(info)
  local entrance, token, instance = string.match(info or '', '^(%a*)\\n(%d*)\\n(.*)$')
  return entrance or 'any', token or '', instance or ''
end
local function drop(member)
  if redis.call('ZREM', KEYS[1], member) == 0 then return end
  redis.call('HDEL', KEYS[3], member)
  local user = user_of(member)
  if redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then redis.call('HDEL', KEYS[2], user) end
end
local function add(member, info, lease)
  if redis.call('ZADD', KEYS[1], text(now + lease), member) == 1 then redis.call('HINCRBY', KEYS[2], user_of(member), 1) end
  if info ~= '' then redis.call('HSET', KEYS[3], member, info) end
end
local function keep(lease)
  for index = 1, 4 do redis.call('PEXPIRE', KEYS[index], text(lease * 10)) end
end
repeat
  local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, 1000)
  for _, member in ipairs(ended) do drop(member) end
until #ended < 1000
`;

/**
 * Arguments: lease in ms, member, info, channel, tenant, room. Answers 0 for a refusal; else 1, and then member and token
 * of each who was kicked, which the channel is told, too.
 */
const enter = `${common}
local lease, member, info = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local entrance, _, instance = said(info)
local answer = {1}
if entrance ~= 'any' then
  local others = {}
  for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if other ~= member then others[#others + 1] = other end
  end
  local infos = {}
  for index, other in ipairs(others) do
    infos[index] = redis.call('HGET', KEYS[3], other) or ''
    local _, _, theirs = said(infos[index])
    local is_ghost = instance ~= '' and theirs == instance and user_of(other) == user_of(member)
    if entrance == 'first' and not is_ghost then return {0} end
  end
  local kicked = {}
  for index, other in ipairs(others) do
    local _, token = said(infos[index])
    drop(other)
    redis.call('ZADD', KEYS[4], text(now), other .. '\\n' .. token)
    kicked[index] = {other, token}
    answer[#answer + 1] = other
    answer[#answer + 1] = token
  end
  if #kicked > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', text(now - lease * 10))
    redis.call('PUBLISH', ARGV[4], cjson.encode({tenant = ARGV[5], room = ARGV[6], kicked = kicked}))
  end
end
add(member, info, lease)
keep(lease)
return answer
`;

/**
 * Arguments: lease in ms, then member and info of each. Answers users and connections now, then those who are out: they
 * were kicked and may not have heard of it; or their lease had ended, and somebody has the room to himself since.
 */
const renew = `${common}
local lease = tonumber(ARGV[1])
local lost = {}
local function is_taken(member)
  local infos = redis.call('HGETALL', KEYS[3])
  for index = 1, #infos, 2 do
    if infos[index] ~= member and said(infos[index + 1]) ~= 'any' then return true end
  end
  return false
end
for index = 2, #ARGV, 2 do
  local member, info = ARGV[index], ARGV[index + 1]
  local entrance, token = said(info)
  if info == '' or redis.call('ZSCORE', KEYS[1], member) then
    add(member, info, lease)
  elseif redis.call('ZSCORE', KEYS[4], member .. '\\n' .. token) or (entrance ~= 'any' and is_taken(member)) then
    lost[#lost + 1] = member
  else
    add(member, info, lease)
  end
end
keep(lease)
local answer = {redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[1])}
for _, member in ipairs(lost) do answer[#answer + 1] = member end
return answer
`;

/** Arguments: members. */
const leave = `${common}
for _, member in ipairs(ARGV) do drop(member) end
return 1
`;

/** Answers users and connections. */
const count = `${common}
return {redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[1])}
`;

/** Arguments: users. Answers their connections. */
const connections = `${common}
return redis.call('HMGET', KEYS[2], unpack(ARGV))
`;

/** Key: tenants by the end of the longest lease. Arguments: lease in ms, then tenants. Answers all tenants with leases. */
const tenants = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[1])), ARGV[index]) end
if #ARGV > 1 then return {} end
return redis.call('ZRANGE', KEYS[1], 0, -1)
`;

/** By name. */
export const scripts = { enter, renew, leave, count, connections, tenants } as const;
