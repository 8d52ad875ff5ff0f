-- What can be done with the queue.
local function drop(chat, user)
  user = user or redis.call('HGET', users, chat)
  redis.call('HDEL', users, chat)
  redis.call('HDEL', records, chat)
  redis.call('HDEL', teams, chat)
  redis.call('ZREM', places, chat)
  redis.call('ZREM', present, chat)
  if born then redis.call('HDEL', asked, chat) end
  local holder = unclaim(chat, gone) -- a claim has removed the user from the lists already
  if not holder and user then emit_removed(user) end
  return holder
end

local function sweep()
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', present, '-inf', int(now), 'LIMIT', 0, chunk)) do
    drop(chat)
  end
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', claims, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unclaim(chat, expired)
    freed[#freed + 1] = chat
  end
  if born then sweep_staff() end
  settle()
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
  for i = 1, 11 do
    if KEYS[i] ~= takes then redis.call('PEXPIRE', KEYS[i], int(rest)) end
  end
end

local last_place = tonumber(known[4] or 0)
local run = {}

-- put takes a user into the queue.
local function put(chat, id, user, since, number, record, team, place)
  redis.call('HSET', users, chat, id .. user)
  redis.call('ZADD', places, int(place), chat)
  redis.call('HSET', records, chat, since .. ' ' .. number .. ' ' .. record)
  if team ~= '' then
    redis.call('HSET', teams, chat, team)
    fresh = true
  end
  if place > last_place then
    last_place = place
    redis.call('HSET', meta, 'place', int(place))
  end
  if not seen then redis.call('HSET', meta, 'seen', int(now)) end
end

-- renewed says that a user is there.
local function renewed(chat)
  redis.call('ZADD', present, int(now + lease), chat)
  if redis.call('ZCARD', places) == 1 then fresh = true end -- the last one may just have been swept
end

-- add puts a user at the end of the queue who is not there, and returns 1 then.
local function add(chat, id, user, number, record, since, team)
  sweep()
  if since == '0' then since = now_us end
  local result = 0
  if redis.call('HEXISTS', users, chat) == 0 then
    local place = math.max(tonumber(since), last_place + 1)
    put(chat, id, user, since, number, record, team, place)
    if assigning then freed[#freed + 1] = chat else emit_joined(place, id .. user) end
    result = 1
  elseif redis.call('HSETNX', records, chat, since .. ' ' .. number .. ' ' .. record) == 1 then
    fresh = true
  end
  renewed(chat)
  return result
end

-- append puts entries behind those of the log, if it is there, which lives for life (ms)
-- then, and returns its length, and whether that was after before.
local function append(after, life, ...)
  local length = redis.call('RPUSHX', KEYS[#KEYS], ...)
  if length == 0 then return 0, false end
  redis.call('PEXPIRE', KEYS[#KEYS], life)
  return length, length == after + select('#', ...)
end

-- The times of takes are kept for long only where somebody asks how users stand: else
-- they live no longer than a chat.
local function keep_takes(time)
  if redis.call('PTTL', takes) < time then redis.call('PEXPIRE', takes, int(time)) end
end

-- taken takes a user out of the queue whom a support has taken, and returns who had
-- claimed them.
local function taken(chat, support, agent, record)
  local user = redis.call('HGET', users, chat)
  if user then
    if redis.call('LPUSH', takes, int(now)) > 2 * takes_counted then redis.call('LTRIM', takes, 0, takes_counted - 1) end
    keep_takes(known[5] and takes_kept_for or ttl)
  end
  local is_offered = born and redis.call('ZSCORE', offers, chat)
  local holder = drop(chat, user)
  if is_offered then holder = nil end
  if watching and support ~= '' then
    redis.call('ZREM', held, 'x' .. chat .. support)
    hold(chat, support, agent ~= '' and agent or holder or '', record)
  end
  return holder or ''
end

-- claim_for is a claim as its holder wants it: see run.claim.
local function claim_for(chat, id, holder, time, its_teams)
  sweep()
  local user = redis.call('HGET', users, chat)
  if not user or string.sub(user, 1, 32) ~= id then return 'absent' end
  if redis.call('ZSCORE', claims, chat) then
    if redis.call('HGET', holders, chat) ~= holder then return 'lost' end
    if not born or not redis.call('ZSCORE', offers, chat) then return 'again' end
    unoffer(chat, accepted)
    claim(chat, holder, time)
    return 'accepted'
  end
  local team = its_teams ~= '' and redis.call('HGET', teams, chat)
  if team and not string.find(its_teams, '\n' .. team .. '\n', 1, true) then return 'absent' end
  claim(chat, holder, time)
  emit_removed(user)
  return 'won'
end

-- stand is how the users of these chats stand: {mean interval between the takes (ms) or -1
-- if there are too few, positions, how many wait}: 1 is next, 0 is claimed, -1 not
-- there. Who is offered to somebody waits as before.
local function stand(...)
  if epoch ~= '' then redis.call('HSET', meta, 'asked', 1) end
  keep_takes(takes_kept_for)
  local claimed = {} -- their places, in order
  for _, chat in ipairs(redis.call('ZRANGE', claims, 0, -1)) do
    if not born or not redis.call('ZSCORE', offers, chat) then
      claimed[#claimed + 1] = tonumber(redis.call('ZSCORE', places, chat) or 0)
    end
  end
  table.sort(claimed)
  local positions = {}
  for _, chat in ipairs({...}) do
    local rank, position = redis.call('ZRANK', places, chat), -1
    if rank and redis.call('ZSCORE', claims, chat) and not (born and redis.call('ZSCORE', offers, chat)) then
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
  for _, took in ipairs(redis.call('LRANGE', takes, 0, takes_counted - 1)) do
    took = tonumber(took)
    if took <= now - takes_kept_for then break end
    if n == 0 then latest = took end
    oldest, n = took, n + 1
  end
  local interval = -1
  if n >= 3 then interval = math.floor((latest - oldest) / (n - 1)) end
  return {interval, positions, redis.call('ZCARD', places) - #claimed}
end

-- watch says that for this time (ms) somebody wants to know of agents and chats.
local function watch(time)
  local till = now + tonumber(time)
  if time == '0' or watched and tonumber(watched) >= till then return end
  redis.call('HSET', staff, 'watched', int(till))
  watched, touched = till, true
  if watching then return end
  watching = true
  for _, chat in ipairs(redis.call('ZRANGE', claims, 0, -1)) do -- which nobody has counted
    if not redis.call('ZSCORE', offers, chat) then take_up('c', redis.call('HGET', holders, chat), chat) end
  end
end
