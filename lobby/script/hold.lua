-- hold (chatId supportId agent record)...: these chats have these supports. Result: {until
-- when (ms) somebody wants to hear of chats, 0 for nobody; the generation of the keys}.
local function hold(...)
  local args = {...}
  if not watching then return {0, born or ''} end
  if born then sweep() end
  for i = 1, #args, 4 do hold_chat(args[i], args[i + 1], args[i + 2], args[i + 3]) end
  return {tonumber(watched), born or ''}
end
