-- One call.
trim()
forgive()
if watching then forgive_staff() end
local result = run[operation](unpack(ARGV, 5))
settle()
local waiting = redis.call('ZCARD', places)
if operation ~= 'sync' or #events > 0 or fresh then touch(waiting) end
touch_staff()
if channel ~= '' then
  for _, event in ipairs(events) do redis.call('PUBLISH', channel, event) end
  events = {}
end
if told then redis.call('PUBLISH', told[1], told[2]) end
return {epoch, version, waiting - redis.call('ZCARD', claims), events, result or '', stirring and 1 or 0, counts or 0}
