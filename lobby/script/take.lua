-- take chatId userId supportId agent record time channel news after life entry...: the log
-- says that a support has joined, unless somebody else has claimed the user; an agent claims
-- them for this time (ms). taken, and the news on the channel, if the log was as long as
-- after before. Result: {length of the log or -1 for a lost claim, taken's if so}.
local function take(chat, id, support, agent, record, time, channel, news, after, life, ...)
  if agent ~= '' and claim(chat, id, agent, time, '') == 'lost' then return {-1, 0} end
  local length, as_believed = append(after, life, ...)
  if not as_believed then return {length, 0} end
  if channel ~= '' then told = {channel, news} end
  return {length, taken(chat, support, agent, record)}
end
