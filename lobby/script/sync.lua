-- sync epoch version born stirs wants returns what has changed since then: {'events', log
-- entries, for each of them the record of a user who has joined or changed, news}. If the
-- log does not reach back so far: {'all', the log's end, the queue in the log's form with
-- records, news}.
local function sync(its_epoch, its_version, its_born, its_stirs, wants)
  -- What is known of the user at a place: a record, or '' if an older server has added them.
  local function record_at(place)
    local chat = redis.call('ZRANGEBYSCORE', places, place, place)[1]
    return chat and redis.call('HGET', records, chat) or ''
  end

  sweep()
  local news = {'', 0, 0, wants == '' and 0 or 1} -- this is everything if there are no agents
  if agents then news = staff_news(its_born, tonumber(its_stirs), wants) end
  local missed = version - its_version
  if epoch == its_epoch and missed >= 0 and missed <= redis.call('LLEN', log) then
    local entries, found = missed > 0 and redis.call('LRANGE', log, -missed, -1) or {}, {}
    for i, entry in ipairs(entries) do
      local place = string.match(entry, '^%d+ (%d+) ')
      found[i] = place ~= '0' and record_at(place) or ''
    end
    return {'events', entries, found, news}
  end
  local pending = {}
  local order = redis.call('ZRANGE', places, 0, -1, 'WITHSCORES')
  for i = 1, #order, 2 do
    if not redis.call('ZSCORE', claims, order[i]) then
      local record = redis.call('HGET', records, order[i]) or string.sub(redis.call('HGET', users, order[i]), 33)
      pending[#pending + 1] = '0 ' .. order[i + 1] .. ' ' .. record
    end
  end
  return {'all', redis.call('LRANGE', log, -chunk, -1), pending, news}
end
