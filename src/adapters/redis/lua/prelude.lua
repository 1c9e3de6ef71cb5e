-- Runs before every script about one member set, which is a tenant's open streams or the members of one of its rooms.
--
-- A member holds a lease, which ends by the server's clock, so that no node's clock matters. The prelude first removes
-- the members whose leases have ended: a script sees only current ones. The keys of a set share a hash tag, so that a
-- Cluster keeps them on one server.
--
-- Keys:
--   1  sorted set   member → end of its lease, in ms since the Unix epoch
--   2  hash         user → number of the user's connections in the set
--   3  hash         member → info; members of rooms only
--   4  sorted set   member, newline, token → when that membership was kicked, in ms since the Unix epoch; the token is
--                   empty when the info of the member was lost
--
-- Redis may forget a whole key at any time: by eviction, by a DEL, or in a failover. The counts in key 2 are therefore
-- checked against the leases in key 1 before every script, while a loss still shows as a key without its partner, and made
-- again from them. Members whose leases are lost come back with their next renewal.
--
-- A member is a connection's id and its user, joined by a newline. An info is mode ("any", "first" or "last"), token
-- and instance, joined by newlines; the token distinguishes a membership from earlier and later ones of the same
-- connection.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Formats an integer: tostring() would give large ones an exponent.
local function text(number) return string.format('%.0f', number) end

local function user_of(member) return string.sub(member, string.find(member, '\n', 1, true) + 1) end

-- Returns mode, token and instance; of a tenant's member, which has no info, "any" and empty strings.
local function parse(info)
  local mode, token, instance = string.match(info or '', '^(%a*)\n(%d*)\n(.*)$')
  return mode or 'any', token or '', instance or ''
end

local function remove(member)
  if redis.call('ZREM', KEYS[1], member) == 0 then return end
  redis.call('HDEL', KEYS[3], member)
  local user = user_of(member)
  if redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then redis.call('HDEL', KEYS[2], user) end
end

-- Makes the counts of users and the infos agree with the leases again after one of the keys was lost.
local function repair()
  redis.call('DEL', KEYS[2])
  local members = redis.call('ZRANGE', KEYS[1], 0, -1)
  for _, member in ipairs(members) do redis.call('HINCRBY', KEYS[2], user_of(member), 1) end
  -- Infos without leases would keep a room taken for members that nobody renews.
  if #members == 0 then redis.call('DEL', KEYS[3]) end
  local ttl = redis.call('PTTL', KEYS[1])
  if ttl > 0 then redis.call('PEXPIRE', KEYS[2], text(ttl)) end
end

-- Adds a member, or renews its lease.
local function add(member, info, lease)
  local is_new = redis.call('ZADD', KEYS[1], text(now + lease), member) == 1
  if is_new then redis.call('HINCRBY', KEYS[2], user_of(member), 1) end
  if info ~= '' then redis.call('HSET', KEYS[3], member, info) end
end

-- Lets the keys expire after ten leases, so that a set that is no longer used goes by itself.
local function extend(lease)
  for index = 1, 4 do redis.call('PEXPIRE', KEYS[index], text(lease * 10)) end
end

if redis.call('EXISTS', KEYS[1]) ~= redis.call('EXISTS', KEYS[2]) then repair() end

-- In steps, since Lua unpacks no more than some thousand results.
repeat
  local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, 1000)
  for _, member in ipairs(ended) do remove(member) end
until #ended < 1000
