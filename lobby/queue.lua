-- The queue of users who wait for a support. One script, so that every change
-- is atomic and leaves its event in the log. All keys share one slot.
--
--   users    hash  chatId -> userId (32 bytes) .. the user's JSON
--   places   zset  chatId by place in the queue
--   present  zset  chatId by the time (ms) at which it is gone unless renewed
--   claims   zset  chatId by the time (ms) at which its claim runs out
--   holders  hash  chatId -> who claimed it
--   log      list  the latest events: time (ms) .. ' ' .. place .. ' ' .. JSON
--   meta     hash  epoch, version (number of events in this epoch), place, seen
--
-- ARGV: operation, time to live of the keys (ms), how long a user stays present
-- without being renewed (ms), the channel on which to publish the events of this
-- call or '' to return them, the operation's arguments.
-- Reply: {epoch, version, number of users to be seen, events to publish, result}.
local users, places, present, claims, holders, log, meta = unpack(KEYS)
local operation, ttl, lease, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local chunk = 1000
-- How much of the log is kept, in events and ms; a lobby further behind looks at
-- the whole queue. What was there is not to be found in the log for long.
local kept, kept_for = 10000, math.min(ttl, 30000)
local empty_ttl = math.min(ttl, 5000)
-- The keys are given this much more than they need, so that not every call has
-- to renew them all.
local slack = math.ceil(ttl / 10)

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known = redis.call('HMGET', meta, 'epoch', 'version', 'seen')
local epoch, version, seen = known[1] or '', tonumber(known[2] or 0), known[3]
local events = {}
local fresh = false -- a key has come into being and has no time to live yet

-- Who is verified stands at the end of a user's JSON, for the log alone: anybody
-- may publish, so what is published says nothing of it.
local verified_end = ',"verified":true}'
local function public(user)
  if string.sub(user, -#verified_end) ~= verified_end then return user end
  return string.sub(user, 1, -#verified_end - 1) .. '}'
end

local function emit(place, event, published)
  if epoch == '' then
    epoch = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
    redis.call('HSET', meta, 'epoch', epoch)
  end
  version = redis.call('HINCRBY', meta, 'version', 1)
  local length = redis.call('RPUSH', log, int(now) .. ' ' .. place .. ' ' .. event)
  if length == 1 then fresh = true end
  if length > kept then redis.call('LTRIM', log, -kept, -1) end
  events[#events + 1] = published
end

local function emit_joined(place, user)
  local head, json = '{"type":"UserJoined","args":', string.sub(user, 33)
  emit(int(tonumber(place)), head .. json .. '}', head .. public(json) .. '}')
end

local function emit_removed(user)
  local event = '{"type":"RemoveUser","args":{"userId":"' .. string.sub(user, 1, 32) .. '"}}'
  emit('0', event, event)
end

local function drop(chat)
  local user = redis.call('HGET', users, chat)
  redis.call('HDEL', users, chat)
  redis.call('ZREM', places, chat)
  redis.call('ZREM', present, chat)
  if redis.call('ZREM', claims, chat) == 1 then
    redis.call('HDEL', holders, chat) -- the claim has removed the user from the lists already
  elseif user then
    emit_removed(user)
  end
end

local function sweep()
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', int(now), 'LIMIT', 0, chunk)) do
    drop(chat)
  end
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', claims, '-inf', int(now), 'LIMIT', 0, chunk)) do
    redis.call('ZREM', claims, chat)
    redis.call('HDEL', holders, chat)
    local user = redis.call('HGET', users, chat)
    if user then emit_joined(redis.call('ZSCORE', places, chat), user) end
  end
end

-- While the store was away nobody could renew: those who were present then get
-- the time to do so. The calls of a queue at work are less than this apart.
local function forgive()
  if not seen or now - tonumber(seen) <= lease / 16 then return end
  redis.call('HSET', meta, 'seen', int(now))
  if now - tonumber(seen) <= lease / 2 then return end
  local soonest = now + lease / 4
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', int(soonest))) do
    redis.call('ZADD', present, int(soonest), chat)
  end
end

local function trim()
  for _ = 1, chunk do
    local oldest = redis.call('LINDEX', log, 0)
    if not oldest or tonumber(string.match(oldest, '^%d+')) > now - kept_for then return end
    redis.call('LPOP', log)
  end
end

-- Nothing here outlives its chats for long, even if every server dies. The keys
-- of a queue that was empty till now have little time left.
local function touch(waiting)
  local left = redis.call('PTTL', meta)
  if waiting > 0 and left > ttl and not fresh then return end
  local rest = waiting > 0 and math.max(ttl + slack, left) or empty_ttl
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, int(rest)) end
end

local run = {}

-- add chatId userId user: waits from now on, at the end; once.
function run.add(chat, id, user)
  sweep()
  if redis.call('HSETNX', users, chat, id .. user) == 1 then
    local place = redis.call('HINCRBY', meta, 'place', 1)
    redis.call('ZADD', places, place, chat)
    if not seen then redis.call('HSET', meta, 'seen', int(now)) end
    emit_joined(place, id .. user)
  end
  redis.call('ZADD', present, int(now + lease), chat)
  if redis.call('ZCARD', places) == 1 then fresh = true end -- the last one may just have been swept
end

-- renew chatId...: still there. Result: those that are not in the queue.
function run.renew(...)
  local missing = {}
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + lease), chat)
    else
      missing[#missing + 1] = chat
    end
  end
  sweep()
  return missing
end

-- leave grace chatId...: gone unless renewed or added within the grace.
function run.leave(grace, ...)
  for _, chat in ipairs({...}) do
    if redis.call('HEXISTS', users, chat) == 1 then
      redis.call('ZADD', present, int(now + grace), chat)
    end
  end
end

-- remove chatId: waits no more.
function run.remove(chat)
  drop(chat)
end

-- claim chatId userId holder time. Result: 'won', 'again', 'lost' to another
-- holder, or 'absent'.
function run.claim(chat, id, holder, time)
  sweep()
  local user = redis.call('HGET', users, chat)
  if not user or string.sub(user, 1, 32) ~= id then return 'absent' end
  if redis.call('ZSCORE', claims, chat) then
    return redis.call('HGET', holders, chat) == holder and 'again' or 'lost'
  end
  redis.call('ZADD', claims, int(now + time), chat)
  redis.call('HSET', holders, chat, holder)
  fresh = true
  emit_removed(user)
  return 'won'
end

-- sync epoch version: what has changed since. Result: {'events', log entries},
-- or {'all', log tail, queue in the log's form} where the log does not tell.
function run.sync(its_epoch, its_version)
  sweep()
  local missed = version - its_version
  if epoch == its_epoch and missed >= 0 and missed <= redis.call('LLEN', log) then
    return {'events', missed > 0 and redis.call('LRANGE', log, -missed, -1) or {}}
  end
  local pending = {}
  local order = redis.call('ZRANGE', places, 0, -1, 'WITHSCORES')
  for i = 1, #order, 2 do
    if not redis.call('ZSCORE', claims, order[i]) then
      pending[#pending + 1] = '0 ' .. order[i + 1] .. ' ' .. string.sub(redis.call('HGET', users, order[i]), 33)
    end
  end
  return {'all', redis.call('LRANGE', log, -chunk, -1), pending}
end

trim()
forgive()
local result = run[operation](unpack(ARGV, 5))
local waiting = redis.call('ZCARD', places)
if operation ~= 'sync' or #events > 0 then touch(waiting) end
if channel ~= '' then
  for _, event in ipairs(events) do redis.call('PUBLISH', channel, event) end
  events = {}
end
return {epoch, version, waiting - redis.call('ZCARD', claims), events, result or ''}
