-- The times of takes are kept for long only where somebody asks how users stand: else
-- they live no longer than a chat.
local function keep_takes(time)
  if redis.call('PTTL', takes) < time then redis.call('PEXPIRE', takes, int(time)) end
end
