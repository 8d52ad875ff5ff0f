-- The queue of users who wait for a support. One script, so that every change
-- is atomic and leaves its event in the log. All keys share one slot.
--
--   users    hash  chatId -> userId (32 bytes) .. the user's JSON as it is published
--   places   zset  chatId by place in the queue
--   present  zset  chatId by the time (ms) at which it is gone unless renewed
--   claims   zset  chatId by the time (ms) at which its claim runs out
--   holders  hash  chatId -> who claimed it
--   log      list  the latest events: time (ms) .. ' ' .. place .. ' ' .. JSON
--   meta     hash  epoch, version (number of events in this epoch), place, seen,
--                  asked (somebody wants to know how users stand)
--   records  hash  chatId -> waits since (us) .. ' ' .. number .. ' ' .. JSON with
--                  all that is known of the user; the higher number counts
--   takes    list  when (ms) supports have taken users, the latest first
--
-- No JSON is taken apart or put together here, but for its type around it. Servers
-- from before there were records may share these keys: their users have none, and
-- what they have in the log is then all that is known.
--
-- ARGV: operation, time to live of the keys (ms), how long a user stays present
-- without being renewed (ms), the channel on which to publish the events of this
-- call or '' to return them, the operation's arguments.
-- Reply: {epoch, version, number of users to be seen, events to publish, result}.
local users, places, present, claims, holders, log, meta, records, takes = unpack(KEYS)
local operation, ttl, lease, channel = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local chunk = 1000
-- How much of the log is kept, in events and ms; a lobby further behind looks at
-- the whole queue. What was there is not to be found in the log for long.
local kept, kept_for = 10000, math.min(ttl, 30000)
local empty_ttl = math.min(ttl, 5000)
-- How many takes are kept, and for how long (ms).
local takes_kept, takes_kept_for = 20, 1800000
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

local function emit(place, event, published)
  if epoch == '' then
    epoch = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
    redis.call('HSET', meta, 'epoch', epoch)
  end
  version = redis.call('HINCRBY', meta, 'version', 1)
  local length = redis.call('RPUSH', log, int(now) .. ' ' .. place .. ' ' .. event)
  if length == 1 then fresh = true end
  if length > kept then redis.call('LTRIM', log, -kept, -1) end
  if published then events[#events + 1] = event end
end

local function emit_joined(place, user)
  emit(int(tonumber(place)), '{"type":"UserJoined","args":' .. string.sub(user, 33) .. '}', true)
end

local function emit_removed(user)
  emit('0', '{"type":"RemoveUser","args":{"userId":"' .. string.sub(user, 1, 32) .. '"}}', true)
end

local function drop(chat)
  local user = redis.call('HGET', users, chat)
  redis.call('HDEL', users, chat)
  redis.call('HDEL', records, chat)
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
  local left, records_left = redis.call('PTTL', meta), redis.call('PTTL', records)
  if waiting > 0 and left > ttl and (records_left > ttl or records_left == -2) and not fresh then return end
  local rest = waiting > 0 and math.max(ttl + slack, left) or empty_ttl
  for _, key in ipairs(KEYS) do
    if key ~= takes then redis.call('PEXPIRE', key, int(rest)) end
  end
end

local run = {}

-- add chatId userId user number record: waits from now on, at the end; once.
function run.add(chat, id, user, number, record)
  sweep()
  local entry = string.format('%d%06d', tonumber(time[1]), tonumber(time[2])) .. ' ' .. number .. ' ' .. record
  if redis.call('HSETNX', users, chat, id .. user) == 1 then
    local place = redis.call('HINCRBY', meta, 'place', 1)
    redis.call('ZADD', places, place, chat)
    redis.call('HSET', records, chat, entry)
    if not seen then redis.call('HSET', meta, 'seen', int(now)) end
    emit_joined(place, id .. user)
  elseif redis.call('HSETNX', records, chat, entry) == 1 then
    fresh = true
  end
  redis.call('ZADD', present, int(now + lease), chat)
  if redis.call('ZCARD', places) == 1 then fresh = true end -- the last one may just have been swept
end

-- change (chatId number record)...: what is known of users has changed, unless it
-- is older than what is there.
function run.change(...)
  local args = {...}
  for i = 1, #args, 3 do
    local chat, number, record = args[i], args[i + 1], args[i + 2]
    local before = redis.call('HGET', records, chat)
    local place = redis.call('ZSCORE', places, chat)
    if before and place then
      local since, its_number = string.match(before, '^(%d+) (%d+) ')
      if tonumber(number) > tonumber(its_number) then
        redis.call('HSET', records, chat, since .. ' ' .. number .. ' ' .. record)
        if not redis.call('ZSCORE', claims, chat) then emit(int(tonumber(place)), '{"type":"UserChanged"}', false) end
      end
    end
  end
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

-- The times of takes are kept for long only where somebody asks how users stand: else
-- they live no longer than a chat.
local function keep_takes(time)
  if redis.call('PTTL', takes) < time then redis.call('PEXPIRE', takes, int(time)) end
end

-- taken chatId: the same, because a support has joined.
function run.taken(chat)
  if redis.call('HEXISTS', users, chat) == 1 then
    redis.call('LPUSH', takes, int(now))
    redis.call('LTRIM', takes, 0, takes_kept - 1)
    keep_takes(redis.call('HEXISTS', meta, 'asked') == 1 and takes_kept_for or ttl)
  end
  drop(chat)
end

-- stand chatId...: how users stand. Result: {mean interval between the takes (ms)
-- or -1 if there are too few, position...}: 1 is next, 0 is claimed, -1 not there.
function run.stand(...)
  if epoch ~= '' then redis.call('HSET', meta, 'asked', 1) end
  keep_takes(takes_kept_for)
  local claimed = {} -- their places, in order
  for _, chat in ipairs(redis.call('ZRANGE', claims, 0, -1)) do
    claimed[#claimed + 1] = tonumber(redis.call('ZSCORE', places, chat) or 0)
  end
  table.sort(claimed)
  local positions = {}
  for _, chat in ipairs({...}) do
    local rank, position = redis.call('ZRANK', places, chat), -1
    if rank and redis.call('ZSCORE', claims, chat) then
      position = 0
    elseif rank then
      local place, low, high = tonumber(redis.call('ZSCORE', places, chat)), 0, #claimed
      while low < high do -- how many are claimed before this one
        local middle = math.floor((low + high) / 2) + 1
        if claimed[middle] < place then low = middle else high = middle - 1 end
      end
      position = rank + 1 - low
    end
    positions[#positions + 1] = position
  end
  local latest, oldest, n = 0, 0, 0
  for _, took in ipairs(redis.call('LRANGE', takes, 0, takes_kept - 1)) do
    took = tonumber(took)
    if took <= now - takes_kept_for then break end
    if n == 0 then latest = took end
    oldest, n = took, n + 1
  end
  local interval = -1
  if n >= 3 then interval = math.floor((latest - oldest) / (n - 1)) end
  return {interval, positions}
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

-- What is known of a user: a record, or '' for users of a former server.
local function record_at(place)
  local chat = redis.call('ZRANGEBYSCORE', places, place, place)[1]
  return chat and redis.call('HGET', records, chat) or ''
end

-- sync epoch version: what has changed since. Result: {'events', log entries, for
-- each the record of a user who has joined or changed}, or {'all', log tail, queue
-- in the log's form, with records} where the log does not tell.
function run.sync(its_epoch, its_version)
  sweep()
  local missed = version - its_version
  if epoch == its_epoch and missed >= 0 and missed <= redis.call('LLEN', log) then
    local entries, found = missed > 0 and redis.call('LRANGE', log, -missed, -1) or {}, {}
    for i, entry in ipairs(entries) do
      local place = string.match(entry, '^%d+ (%d+) ')
      found[i] = place ~= '0' and record_at(place) or ''
    end
    return {'events', entries, found}
  end
  local pending = {}
  local order = redis.call('ZRANGE', places, 0, -1, 'WITHSCORES')
  for i = 1, #order, 2 do
    if not redis.call('ZSCORE', claims, order[i]) then
      local record = redis.call('HGET', records, order[i]) or string.sub(redis.call('HGET', users, order[i]), 33)
      pending[#pending + 1] = '0 ' .. order[i + 1] .. ' ' .. record
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
