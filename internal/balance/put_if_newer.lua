-- KEYS: balances, and last the mark, which is gone when Redis has lost what it had. ARGV: TTL of a
-- balance in ms; how long it is kept that a wallet exists, in ms; how many of the first keys are
-- balances as they are now, the others are as they have been; the mark at the time they were read, ''
-- if that does not matter; a new mark; then for each balance its sequence and its value, and for each
-- message its channel and its body. Returned is the mark.
-- What a value says is in value.go: a sequence of n < 0 is a note, seen at -n - 1.
local ttl, exists, current, count = ARGV[1], ARGV[2], tonumber(ARGV[3]), #KEYS - 1
local mark = redis.pcall('GET', KEYS[#KEYS])
if type(mark) ~= 'string' then
  mark = ARGV[5]
  redis.call('SET', KEYS[#KEYS], mark)
end
if ARGV[4] ~= '' and ARGV[4] ~= mark then -- a newer one may have been put since they were read, and be lost
  current = 0
end
for i = 1, count do
  local key, new, text = KEYS[i], tonumber(ARGV[2 * i + 4]), ARGV[2 * i + 5]
  local old = redis.pcall('GET', key) -- what does not decode, or is of another type, is as good as nothing
  old = type(old) == 'string' and tonumber(string.match(old, '^(%-?%d+) %d+ %-?%d+$') or '')
  local passed = i > current
  if passed and new >= 0 and (not old or old < 0) then -- it may be old by now, and there is no older one: noted is only what was seen
    new = -new - 1
    text = string.format('%d 0 ', new) .. string.match(text, '%S+$')
  end
  local set = not old
  if old and new >= 0 then
    set = new >= (old < 0 and -old - 1 or old + 1)
  elseif old and old < 0 then
    set = new < old
  end
  if set and passed and old and old >= 0 then -- so that by the time the old one would have gone, this one has
    redis.call('SET', key, text, 'KEEPTTL')
  elseif set then
    redis.call('SET', key, text, 'PX', new == -1 and exists or ttl)
  end
end
for i = 2 * count + 6, #ARGV, 2 do -- last: if Redis refuses a balance nobody is told
  redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
end
return mark
