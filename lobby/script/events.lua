local function emit(place, event, published)
  if epoch == '' then
    epoch = now_us
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
