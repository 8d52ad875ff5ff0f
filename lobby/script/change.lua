-- change (chatId number record)... replaces what is known of users, unless the queue has
-- something newer.
local function change(...)
  local args = {...}
  for i = 1, #args, 3 do
    local chat, number, record = args[i], args[i + 1], args[i + 2]
    local before = redis.call('HGET', records, chat)
    local place = redis.call('ZSCORE', places, chat)
    if before and place then
      local since, its_number = string.match(before, '^(%d+) (%d+) ')
      if tonumber(number) > tonumber(its_number) then
        redis.call('HSET', records, chat, since .. ' ' .. number .. ' ' .. record)
        if not redis.call('ZSCORE', claims, chat) then
          emit(int(tonumber(place)), '{"type":"UserChanged"}', false)
        elseif born and redis.call('ZSCORE', offers, chat) then
          stir('o' .. chat)
        end
      end
    end
  end
end
