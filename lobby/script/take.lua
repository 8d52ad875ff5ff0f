-- take chatId userId supportId agent record time channel news after life entry... appends
-- to the chat's log that a support has joined. An agent claims the user for a time (ms)
-- first; if somebody else has the claim, nothing is appended. If the log had after entries
-- before, it does what taken does, and publishes the news on the channel. Result: {length
-- of the log, or -1 for a lost claim; the result of taken, or 0 if it was not called}.
local function take(chat, id, support, agent, record, time, channel, news, after, life, ...)
  if agent ~= '' and claim(chat, id, agent, time, '') == 'lost' then return {-1, 0} end
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  if channel ~= '' then told = {channel, news} end
  return {length, taken(chat, support, agent, record)}
end
