-- Agents, what is offered to them, and the chats that they have. A deployment without
-- agents has none of these keys, and its scripts have alone.lua instead of this file:
--
--   staff     hash  born (which generation of these keys this is), stirs (number of
--                   changes), floor (changes up to this number are forgotten), watched
--                   (until when (ms) somebody wants to hear of agents and chats), seen,
--                   turn, assign (the policy, '' for off), and offer (how long an
--                   offer lasts, ms)
--   desks     zset  lobby server (16 bytes) by the time (ms) at which it counts as dead
--   seats     hash  server .. agent -> loaded at (us) .. ' ' .. whether offers can be
--                   shown (0, 1) .. ' ' .. length of the teams in bytes .. ' ' ..
--                   teams, each between line feeds .. what the server tells of the agent
--   statuses  hash  agent -> said at (us) .. ' ' .. 'online' or 'away' .. ' ' .. capacity
--   turns     hash  agent -> when they were last offered a user, or when they came (us)
--   ready     zset  turn (16 digits) .. agent, for agents who can be offered a user, by
--                   how busy they are if the policy asks for that
--   offered   hash  chatId -> agent, as in index, then the offer's end (ms) .. ' ' ..
--                   what the offer says
--   offers    zset  chatId by the offer's end
--   held      zset  chatId by the time (ms) at which the chat has no support any more
--                   unless renewed; 'x' .. chatId .. supportId if that is over, so that
--                   a late renewal does not bring it back
--   chats     hash  chatId -> agent, as in index, then supportId .. ' ' .. record
--   index     zset  kind .. length of the agent .. ':' .. agent .. id, for the kinds
--                   h (has this chat), c (has claimed it), o (is offered it) and s (is
--                   at this server); and 'd' .. server .. agent. All scores are 0
--   stirred   zset  'a' .. agent, 'o' .. chatId or 'h' .. chatId by the number of its
--                   last change
local agents = true
local staff, desks, seats, statuses, turns, ready, offered, offers, held, chats, index, stirred = unpack(KEYS, 12, 23)
local born, stirs, floor, watched, staff_seen, policy, offer_time = unpack(redis.call('HMGET', staff, 'born', 'stirs', 'floor', 'watched', 'seen', 'assign', 'offer'))
stirs, floor = tonumber(stirs or 0), tonumber(floor or 0)
local watching = watched and tonumber(watched) > now
local assigning = policy and policy ~= ''
local desk_lease, held_lease, stirred_kept = 15000, 20000, 20000
local touched = false  -- these keys need their time to live renewed
local restless = {}    -- agents whose readiness may have changed
local was_ready = {}   -- agents who were ready when this call began to offer them somebody
local reseated = {}    -- agents about whom a server has told something new

local function entry(kind, agent, id) return kind .. #agent .. ':' .. agent .. id end

-- Ids are hex digits, which all come before 'g'.
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

-- take_up notes that a chat is offered to an agent, or claimed by them (see the kinds of
-- index); put_down notes that it is not any more.
local function take_up(kind, agent, chat)
  redis.call('ZADD', index, 0, entry(kind, agent, chat))
  touched = true
  changed(agent)
end

local function put_down(kind, agent, chat)
  if redis.call('ZREM', index, entry(kind, agent, chat)) == 1 then changed(agent) end
end

-- after_agent splits a value that begins with an agent: into the agent and the rest.
local function after_agent(value)
  local length, rest = string.match(value, '^(%d+):(.*)$')
  length = tonumber(length)
  return string.sub(rest, 1, length), string.sub(rest, length + 1)
end

-- unoffer ends the offer of a chat, if there is one. why says how it ended.
local function unoffer(chat, why)
  if redis.call('ZREM', offers, chat) == 0 then return end
  counts = counts or {0, 0, 0, 0, 0}
  counts[why] = counts[why] + 1
  put_down('o', after_agent(redis.call('HGET', offered, chat)), chat)
  redis.call('HDEL', offered, chat)
  stir('o' .. chat)
end
