-- at_seats returns what the servers tell about an agent: whether offers can be shown, the
-- teams, and the whole seats; nil if the agent is at no server.
local function at_seats(agent)
  local shows, its_teams, all = false, '', {}
  for i, server in ipairs(ids('s', agent)) do
    local seat = redis.call('HGET', seats, server .. agent)
    if seat then
      local can, length, rest = string.match(seat, '^%d+ (%d) (%d+) (.*)$')
      if can == '1' or #all == 0 then its_teams = string.sub(rest, 1, tonumber(length)) end
      shows = shows or can == '1'
      all[#all + 1] = seat
    end
  end
  if #all == 0 then return nil end
  return shows, its_teams, all
end

-- standing returns an agent's status and capacity, and how many chats they have, have
-- claimed and are offered.
local function standing(agent)
  local _, status, capacity = string.match(redis.call('HGET', statuses, agent) or '0 online 0', '^(%d+) (%a+) (%d+)$')
  return status, tonumber(capacity), count('h', agent), count('c', agent), count('o', agent)
end

-- seat notes that an agent is at a server. The status that they have set last counts.
local function seat(server, agent, at, flags, its_teams, about, status)
  local value = at .. ' ' .. flags .. ' ' .. #its_teams .. ' ' .. its_teams .. about
  local before = redis.call('HGET', seats, server .. agent)
  if before ~= value then
    redis.call('HSET', seats, server .. agent, value)
    reseated[agent] = true
    changed(agent)
  end
  if not before then
    redis.call('ZADD', index, 0, entry('s', agent, server))
    redis.call('ZADD', index, 0, 'd' .. server .. agent)
    -- Servers' clocks differ a little. For agents who come now the store's clock counts.
    local turn = tonumber(at)
    if turn > tonumber(now_us) - 1000000 then turn = tonumber(now_us) end
    redis.call('HSETNX', turns, agent, string.format('%016.0f', turn))
  end
  if status == '' then return end
  local said = redis.call('HGET', statuses, agent)
  if not said or tonumber(string.match(said, '^%d+')) < tonumber(string.match(status, '^%d+')) then
    redis.call('HSET', statuses, agent, status)
    changed(agent)
  end
end

-- vacate takes an agent from a server. An agent who is at no server any more is forgotten.
local function vacate(server, agent)
  redis.call('HDEL', seats, server .. agent)
  redis.call('ZREM', index, 'd' .. server .. agent)
  if redis.call('ZREM', index, entry('s', agent, server)) == 0 then return end
  changed(agent)
  if count('s', agent) > 0 then return end
  redis.call('HDEL', statuses, agent)
  local turn = redis.call('HGET', turns, agent)
  if turn then redis.call('ZREM', ready, turn .. agent) end
  redis.call('HDEL', turns, agent)
  for _, chat in ipairs(ids('o', agent)) do
    unclaim(chat, gone)
    freed[#freed + 1] = chat
  end
end

local function close_desk(server)
  redis.call('ZREM', desks, server)
  for _, one in ipairs(redis.call('ZRANGEBYLEX', index, '[d' .. server, '(d' .. server .. '\255')) do
    vacate(server, string.sub(one, 18))
  end
end

-- While the store was away, nobody could renew anything: see begin.lua.
local function forgive_staff()
  local before = tonumber(staff_seen or now)
  if staff_seen and now - before <= 1000 then return end
  redis.call('HSET', staff, 'seen', int(now))
  touched = true
  if now - before <= desk_lease / 2 then return end
  local soonest = int(now + desk_lease / 3)
  for _, key in ipairs({desks, held}) do
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', soonest)) do
      redis.call('ZADD', key, soonest, one)
    end
  end
end

local function sweep_staff()
  -- An older server, which knows no offers, may have ended the claim.
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', offers, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unoffer(chat, expired)
  end
  for _, server in ipairs(redis.call('ZRANGEBYSCORE', desks, '-inf', int(now), 'LIMIT', 0, chunk)) do
    close_desk(server)
  end
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unhold_chat(chat, false)
  end
end

local function touch_staff()
  if not touched then return end
  local rest = int(math.max(60000, tonumber(offer_time or 0) + 30000))
  for i = 12, 23 do redis.call('PEXPIRE', KEYS[i], rest) end
end
