-- offer reserves an unclaimed chat for an agent. text is what the offer says.
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
  if turn then -- all others come first now
    was_ready[agent] = redis.call('ZREM', ready, turn .. agent) == 1 or was_ready[agent]
    turn = math.max(tonumber(now_us), tonumber(redis.call('HGET', staff, 'turn') or 0) + 1)
    redis.call('HSET', staff, 'turn', int(turn))
    redis.call('HSET', turns, agent, string.format('%016.0f', turn))
  end
  take_up('o', agent, chat)
  stir('o' .. chat)
end

-- holding returns the agent and the supportId that have a chat; nil if nobody does.
local function holding(chat)
  local before = redis.call('HGET', chats, chat)
  if not before then return nil end
  local agent, rest = after_agent(before)
  return agent, string.match(rest, '^(%S*) '), before
end

local function hold_chat(chat, support, agent, record)
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

-- unhold_chat notes that nobody has a chat any more. over says that this support will not
-- have it again.
local function unhold_chat(chat, over)
  local agent, support = holding(chat)
  redis.call('ZREM', held, chat)
  if not agent then return end
  redis.call('HDEL', chats, chat)
  put_down('h', agent, chat)
  stir('h' .. chat)
  if over then redis.call('ZADD', held, int(now + held_lease), 'x' .. chat .. support) end
end
