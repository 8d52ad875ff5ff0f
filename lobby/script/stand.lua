-- stand chatId... returns users' positions: {mean interval between takes (ms), or -1 if
-- there are too few; positions; how many wait}. Position 1 is next, 0 is claimed, and -1
-- is not in the queue. A user who is offered to an agent still waits.
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
