-- Each call ends here.
if assigning or #freed > 0 then settle() end
local waiting = redis.call('ZCARD', places)

-- None of the keys outlives its chats for long, even if every server dies. The keys of a
-- queue that has been empty have little time left.
if operation ~= 'sync' or #events > 0 or fresh then
  local left, records_left = redis.call('PTTL', meta), redis.call('PTTL', records)
  local enough = left > ttl and (records_left > ttl or records_left == -2)
  if waiting == 0 or fresh or not enough then
    local rest = waiting > 0 and math.max(ttl + slack, left) or empty_ttl
    for i = 1, 11 do
      if KEYS[i] ~= takes then redis.call('PEXPIRE', KEYS[i], int(rest)) end
    end
  end
end
if agents then touch_staff() end

if channel ~= '' then
  for _, event in ipairs(events) do redis.call('PUBLISH', channel, event) end
  events = {}
end
if told then redis.call('PUBLISH', told[1], told[2]) end
return {epoch, version, waiting - redis.call('ZCARD', claims), events, result or '', stirring and 1 or 0, counts or 0,
  agents and redis.call('HLEN', staff) > 0 and 1 or 0}
