-- keep_takes keeps the times of takes for a time (ms). They are kept for long only if
-- somebody asks for users' positions; otherwise they live no longer than a chat.
local function keep_takes(time)
  if redis.call('PTTL', takes) < time then redis.call('PEXPIRE', takes, int(time)) end
end
