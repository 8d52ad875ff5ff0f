-- Agents, what is offered to them, and the chats that they have. Who wants none of
-- it finds none of these keys, and pays one look at the first:
--
--   staff     hash  born (which generation of these keys this is), stirs (number of
--                   changes), floor (changes up to it are forgotten), watched (until
--                   when (ms) somebody wants to know of agents and chats), seen,
--                   turn, assign (the policy, '' for off) and offer (its time, ms)
--   desks     zset  lobby server (16 bytes) by the time (ms) at which it is dead
--   seats     hash  server .. agent -> loaded at (us) .. ' ' .. whether offers can be
--                   shown (0, 1) .. ' ' .. how many bytes the teams are, each between
--                   line feeds .. ' ' .. teams .. what the server tells of the agent
--   statuses  hash  agent -> said at (us) .. ' ' .. 'online' or 'away' .. ' ' .. capacity
--   turns     hash  agent -> when they were last offered somebody, or came (us)
--   ready     zset  turn (16 digits) .. agent, of those who can be offered somebody,
--                   by how busy they are where that counts
--   offered   hash  chatId -> agent, as in index, then until when (ms) .. ' ' .. what
--                   the offer says
--   offers    zset  chatId by the same time
--   held      zset  chatId by the time (ms) at which it counts as nobody's unless
--                   renewed; 'x' .. chatId .. supportId of one that is over, so that
--                   who renews it late does not bring it back
--   chats     hash  chatId -> agent, as in index, then supportId .. ' ' .. record
--   index     zset  all by score 0: kind .. length of the agent .. ':' .. agent ..
--                   id, for the kinds h (has this chat), c (has claimed it), o (is
--                   offered it), s (is at this server); 'd' .. server .. agent
--   stirred   zset  what has changed by the number of its last change: 'a' .. agent,
--                   'o' .. chatId, 'h' .. chatId
local staff, desks, seats, statuses, turns, ready, offered, offers, held, chats, index, stirred = unpack(KEYS, 12, 23)
local born, stirs, floor, watched, staff_seen, policy, offer_time = unpack(redis.call('HMGET', staff, 'born', 'stirs', 'floor', 'watched', 'seen', 'assign', 'offer'))
stirs, floor = tonumber(stirs or 0), tonumber(floor or 0)
local watching = watched and tonumber(watched) > now
local assigning = policy and policy ~= ''
local desk_lease, held_lease, stirred_kept = 15000, 20000, 20000
local stirring = false -- something has changed in this call
local touched = false  -- these keys need their time to live
local restless = {}    -- agents whose readiness may have changed
local was_ready = {}   -- agents who were ready when this call began to offer them somebody
local reseated = {}    -- agents of whom a server has told something new
local freed = {}       -- chats that are nobody's any more, and not announced yet
local counts           -- of offers in this call, by what has become of them; nil for none
local made, accepted, declined, expired, gone = 1, 2, 3, 4, 5

local function entry(kind, agent, id) return kind .. #agent .. ':' .. agent .. id end

-- 'g' comes after every hex digit.
local function count(kind, agent)
  return redis.call('ZLEXCOUNT', index, '[' .. entry(kind, agent, ''), '(' .. entry(kind, agent, 'g'))
end

local function ids(kind, agent)
  local list = redis.call('ZRANGEBYLEX', index, '[' .. entry(kind, agent, ''), '(' .. entry(kind, agent, 'g'))
  for i, one in ipairs(list) do list[i] = string.sub(one, #entry(kind, agent, '') + 1) end
  return list
end

local function stir(what)
  if not born then
    born = now_us
    redis.call('HSET', staff, 'born', born)
  end
  stirs = redis.call('HINCRBY', staff, 'stirs', 1)
  redis.call('ZADD', stirred, stirs, what)
  if stirs % 1000 == 0 and redis.call('ZCARD', stirred) > stirred_kept then
    floor = tonumber(redis.call('ZRANGE', stirred, -stirred_kept, -stirred_kept, 'WITHSCORES')[2])
    redis.call('ZREMRANGEBYSCORE', stirred, '-inf', int(floor))
    redis.call('HSET', staff, 'floor', int(floor))
  end
  stirring, touched = true, true
end

local function changed(agent)
  if agent == '' then return end
  restless[agent] = true
  stir('a' .. agent)
end

-- What is offered to an agent, or claimed by them, and then that it is not.
local function take_up(kind, agent, chat)
  redis.call('ZADD', index, 0, entry(kind, agent, chat))
  touched = true
  changed(agent)
end

local function put_down(kind, agent, chat)
  if redis.call('ZREM', index, entry(kind, agent, chat)) == 1 then changed(agent) end
end

-- after_agent takes a value apart that begins with an agent.
local function after_agent(value)
  local length, rest = string.match(value, '^(%d+):(.*)$')
  length = tonumber(length)
  return string.sub(rest, 1, length), string.sub(rest, length + 1)
end

-- unoffer ends the offer of a chat, if there is one. why is what has become of it.
local function unoffer(chat, why)
  if redis.call('ZREM', offers, chat) == 0 then return end
  counts = counts or {0, 0, 0, 0, 0}
  counts[why] = counts[why] + 1
  put_down('o', after_agent(redis.call('HGET', offered, chat)), chat)
  redis.call('HDEL', offered, chat)
  stir('o' .. chat)
end

-- unclaim ends the claim of a chat, and returns whose it was; nil if there is none. why
-- is what has become of it if it was an offer.
local function unclaim(chat, why)
  if redis.call('ZREM', claims, chat) == 0 then return nil end
  local holder = redis.call('HGET', holders, chat) or ''
  redis.call('HDEL', holders, chat)
  if born then
    unoffer(chat, why)
    put_down('c', holder, chat)
  end
  return holder
end

local function claim(chat, holder, time)
  redis.call('ZADD', claims, int(now + time), chat)
  redis.call('HSET', holders, chat, holder)
  fresh = true
  if watching then take_up('c', holder, chat) end
end

-- offer holds an unclaimed chat for an agent. text is what the offer says.
local function offer(chat, agent, time, text)
  redis.call('ZADD', claims, int(now + time), chat)
  redis.call('HSET', holders, chat, agent)
  redis.call('ZADD', offers, int(now + time), chat)
  redis.call('HSET', offered, chat, entry('', agent, '') .. int(now + time) .. ' ' .. text)
  redis.call('HSET', asked, chat, (redis.call('HGET', asked, chat) or '') .. '\n' .. agent .. '\n')
  fresh = true
  counts = counts or {0, 0, 0, 0, 0}
  counts[made] = counts[made] + 1
  local turn = redis.call('HGET', turns, agent)
  if turn then -- it is now the turn of all others
    was_ready[agent] = redis.call('ZREM', ready, turn .. agent) == 1 or was_ready[agent]
    turn = math.max(tonumber(now_us), tonumber(redis.call('HGET', staff, 'turn') or 0) + 1)
    redis.call('HSET', staff, 'turn', int(turn))
    redis.call('HSET', turns, agent, string.format('%016.0f', turn))
  end
  take_up('o', agent, chat)
  stir('o' .. chat)
end

-- holding is who holds a chat: agent and supportId, nil if nobody does.
local function holding(chat)
  local before = redis.call('HGET', chats, chat)
  if not before then return nil end
  local agent, rest = after_agent(before)
  return agent, string.match(rest, '^(%S*) '), before
end

local function hold(chat, support, agent, record)
  local who, what, before = holding(chat)
  if not who and redis.call('ZSCORE', held, 'x' .. chat .. support) then return end
  if agent == '' and what == support then agent = who end
  local value = entry('', agent, '') .. support .. ' ' .. record
  if value ~= before then
    redis.call('HSET', chats, chat, value)
    if who and who ~= agent then put_down('h', who, chat) end
    if who ~= agent and agent ~= '' then take_up('h', agent, chat) end
    stir('h' .. chat)
  end
  redis.call('ZADD', held, int(now + held_lease), chat)
  touched = true
end

-- unhold ends that somebody has a chat; over says that this support will not again.
local function unhold(chat, over)
  local agent, support = holding(chat)
  redis.call('ZREM', held, chat)
  if not agent then return end
  redis.call('HDEL', chats, chat)
  put_down('h', agent, chat)
  stir('h' .. chat)
  if over then redis.call('ZADD', held, int(now + held_lease), 'x' .. chat .. support) end
end

-- at_seats is what the servers tell of an agent: whether offers can be shown, the
-- teams, and all of it; nil where there is none.
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

-- standing is an agent's status, capacity, and how many chats count for it.
local function standing(agent)
  local _, status, capacity = string.match(redis.call('HGET', statuses, agent) or '0 online 0', '^(%d+) (%a+) (%d+)$')
  return status, tonumber(capacity), count('h', agent), count('c', agent), count('o', agent)
end

-- seat says that an agent is at a server. What they have said of themselves last counts.
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
    -- Servers' clocks differ a little: of those who come now the store's counts.
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

-- vacate takes an agent from a server. Who is nowhere any more is gone.
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

-- While the store was away nobody could renew: see forgive.
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
  -- A server that knows no offers may have ended the claim.
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', offers, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unoffer(chat, expired)
  end
  for _, server in ipairs(redis.call('ZRANGEBYSCORE', desks, '-inf', int(now), 'LIMIT', 0, chunk)) do
    close_desk(server)
  end
  for _, chat in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', int(now), 'LIMIT', 0, chunk)) do
    unhold(chat, false)
  end
end

-- agent_news, offer_news and chat_news are what a lobby is told of one of them: no
-- more than the name where it is gone.
local function agent_news(agent)
  local shows, _, all = at_seats(agent)
  if shows == nil then return {'a' .. agent} end
  local status, capacity, has, claimed, asked_for = standing(agent)
  return {'a' .. agent, status, capacity, has, claimed, asked_for, all}
end

local function offer_news(chat)
  local value, user = redis.call('HGET', offered, chat), redis.call('HGET', users, chat)
  if not value or not user then return {'o' .. chat} end
  local agent, rest = after_agent(value)
  return {'o' .. chat, agent, rest, redis.call('HGET', records, chat) or string.sub(user, 33)}
end

local function chat_news(chat)
  local value = redis.call('HGET', chats, chat)
  if not value then return {'h' .. chat} end
  return {'h' .. chat, after_agent(value)}
end

local teller = {a = agent_news, o = offer_news, h = chat_news}

-- staff_news is what has changed since then of the kinds that are wanted. Result:
-- {born, stirs, whether somebody wants to know, whether this is all there is, news...}.
local function staff_news(its_born, its_stirs, wants)
  local result = {born or '', stirs, watching and 1 or 0, 0}
  if wants == '' then return result end
  local list
  if its_born == born and its_stirs >= floor and its_stirs <= stirs then
    list = redis.call('ZRANGEBYSCORE', stirred, '(' .. int(its_stirs), '+inf')
  else
    result[4] = 1
    list = {}
    for kind, key in pairs({a = turns, o = offered, h = chats}) do
      for _, one in ipairs(redis.call('HKEYS', key)) do list[#list + 1] = kind .. one end
    end
  end
  for _, one in ipairs(list) do
    local kind = string.sub(one, 1, 1)
    if string.find(wants, kind, 1, true) then result[#result + 1] = teller[kind](string.sub(one, 2)) end
  end
  return result
end

local function touch_staff()
  if not touched then return end
  local rest = int(math.max(60000, tonumber(offer_time or 0) + 30000))
  for i = 12, 23 do redis.call('PEXPIRE', KEYS[i], rest) end
end
