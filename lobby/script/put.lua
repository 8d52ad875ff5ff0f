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

-- renewed notes that a user is present.
local function renewed(chat)
  redis.call('ZADD', present, int(now + lease), chat)
  if redis.call('ZCARD', places) == 1 then fresh = true end -- the last one may just have been swept
end
