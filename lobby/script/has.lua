-- has agent chatId. Result: 1 if the agent has the chat.
local function has(agent, chat)
  return born and holding(chat) == agent and 1 or 0
end
