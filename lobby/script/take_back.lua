-- take_back chatId supportId gives the chat back to its former support, unless somebody
-- has claimed the user. Result: 1 if it did.
local function take_back(chat, support)
  sweep()
  if redis.call('ZSCORE', claims, chat) then return 0 end
  drop(chat)
  if born then redis.call('ZREM', held, 'x' .. chat .. support) end
  return 1
end
