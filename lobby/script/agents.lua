-- Agents, what is offered to them, and the chats that they have. Who wants none of
-- it finds none of these keys, and has alone.lua instead:
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
local agents = true
local staff, desks, seats, statuses, turns, ready, offered, offers, held, chats, index, stirred = unpack(KEYS, 12, 23)
local born, stirs, floor, watched, staff_seen, policy, offer_time = unpack(redis.call('HMGET', staff, 'born', 'stirs', 'floor', 'watched', 'seen', 'assign', 'offer'))
stirs, floor = tonumber(stirs or 0), tonumber(floor or 0)
local watching = watched and tonumber(watched) > now
local assigning = policy and policy ~= ''
local desk_lease, held_lease, stirred_kept = 15000, 20000, 20000
local touched = false  -- these keys need their time to live
local restless = {}    -- agents whose readiness may have changed
local was_ready = {}   -- agents who were ready when this call began to offer them somebody
local reseated = {}    -- agents of whom a server has told something new

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
