/* SPDX-License-Identifier: Apache-2.0 */
#include "claims_scripts.h"

/*
 * Arguments that all of them have: KEYS[1] the claim, ARGV[1] the record as
 * packed in a claim, ARGV[2] the token, ARGV[3] the expiry in milliseconds.
 * Packed values are compared as texts: claim_parse takes only what
 * claim_format writes, so equal texts are equal values.
 *
 * read: the fields of a claim by number (1 version, 2 state, 3 to 6 record,
 * 7 instance, 8 incarnation, 9 token, 10 attempt, 11 startedAt, 12 lease),
 * its record and its text; nil when there is none. A claim that nobody can
 * read has fields and a record that are equal to nothing.
 */
#define READ \
	"local function read(key)\n" \
	"  local v = redis.pcall('GET', key)\n" \
	"  if not v then return nil end\n" \
	"  if type(v) == 'table' then v = '' end\n" /* an error: no string */ \
	"  local f = {}\n" \
	"  for x in string.gmatch(v .. '|', '([^|]*)|') do\n" \
	"    f[#f + 1] = x\n" \
	"    if #f > 12 then break end\n" \
	"  end\n" \
	"  if #f == 12 and f[1] == 'v1' then\n" \
	"    f.record = table.concat(f, '|', 3, 6)\n" \
	"  else\n" \
	"    f = {}\n" \
	"  end\n" \
	"  f.text = v\n" \
	"  return f\n" \
	"end\n" \
	"local f = read(KEYS[1])\n"

#define WRITE \
	"local function write(state, instance, incarnation, token, attempt, at, lease)\n" \
	"  redis.call('SET', KEYS[1], table.concat({'v1', state, ARGV[1], instance,\n" \
	"    incarnation, token, attempt, at, lease}, '|'), 'PX', ARGV[3])\n" \
	"end\n"

/* KEYS[3]: orphans. `lease` as packed. */
#define ORPHAN \
	"local function orphan(id, token, lease, call)\n" \
	"  local function decoded(s)\n" \
	"    return (string.gsub(s, '%%(%x%x)',\n" \
	"      function(h) return string.char(tonumber(h, 16)) end))\n" \
	"  end\n" \
	"  redis.call('HSET', KEYS[3], id .. ':' .. decoded(token),\n" \
	"    '{\"lease\":' .. cjson.encode(decoded(lease)) .. ',\"call\":' .. call .. '}')\n" \
	"end\n"

/*
 * claim(token, call). KEYS[2] the answer; ARGV[4] instance, [5] incarnation,
 * [6] startedAt, [7] '1' for call, [8] the events of no call.
 */
static const char claim_text[] =
	READ WRITE
	"local call = ARGV[7] == '1'\n"
	"local attempt = '1'\n"
	"if f then\n"
	/* Another record: DUPLICATE. */
	"  if f.record ~= ARGV[1] then return f.text end\n"
	/* Calling, or answered by a no-call claim, same token: our own lost
	 * reply. */
	"  if f[9] == ARGV[2] and (f[2] == 'calling' or (f[2] == 'answered' and not call)) then\n"
	"    return {f[10]}\n"
	"  end\n"
	/* Calling, answered, interrupted, done: unchanged. */
	"  if f[2] ~= 'claimed' then return f.text end\n"
	/* Taken over to be called again, and now it is not: it may have run. */
	"  if not call and tonumber(f[10]) > 1 then\n"
	"    write('interrupted', f[7], f[8], f[9], f[10], f[11], f[12])\n"
	"    return redis.call('GET', KEYS[1])\n"
	"  end\n"
	/* Claimed, by anybody: ours now, the attempt is kept. */
	"  attempt = f[10]\n"
	"end\n"
	/* Absent, or claimed. No call: answered at once. */
	"write(call and 'calling' or 'answered', ARGV[4], ARGV[5], ARGV[2], attempt, ARGV[6], '')\n"
	"if not call then redis.call('SET', KEYS[2], ARGV[8], 'PX', ARGV[3]) end\n"
	"return {attempt}\n";

/* release(token): never deleted, the first record stays first. */
static const char release_text[] =
	READ WRITE
	"if f and f.record == ARGV[1] and f[2] == 'calling' and f[9] == ARGV[2] then\n"
	"  write('claimed', f[7], f[8], f[9], f[10], f[11], f[12])\n"
	"  return 1\n"
	"end\n"
	"return 0\n";

/*
 * answer(token, bytes, lease). KEYS[2] the answer, [3] the credential, when there
 * is one; ARGV[4] instance, [5] incarnation, [6] startedAt, [7] attempt, [8]
 * lease, [9] bytes, [10] channel, [11] command id, [12] the credential, [13]
 * its expiry in milliseconds.
 */
static const char answer_text[] =
	READ WRITE
	"local instance, incarnation, attempt, at = ARGV[4], ARGV[5], ARGV[7], ARGV[6]\n"
	"if f then\n"
	/* Anything but calling or answered with the same token: refused. */
	"  if f.record ~= ARGV[1] or f[9] ~= ARGV[2] or\n"
	"    (f[2] ~= 'calling' and f[2] ~= 'answered') then return f.text end\n"
	"  instance, incarnation, attempt, at = f[7], f[8], f[10], f[11]\n"
	"end\n"
	/* Answered by this token: our own lost reply; it may have been read. */
	"if KEYS[3] and not (f and f[2] == 'answered') then\n"
	"  redis.call('SET', KEYS[3], ARGV[12], 'PX', ARGV[13])\n"
	"end\n"
	/* Absent: recreated as answered. */
	"write('answered', instance, incarnation, ARGV[2], attempt, at, ARGV[8])\n"
	"redis.call('SET', KEYS[2], ARGV[9], 'PX', ARGV[3])\n"
	"redis.call('PUBLISH', ARGV[10], ARGV[11])\n"
	"return {attempt}\n";

/*
 * takeover(seen, new, rerun). ARGV[2] is the token seen. KEYS[2] the answer,
 * KEYS[3] orphans; ARGV[4] instance, [5] incarnation, [6] startedAt, [7] new
 * token, [8] '1' for rerun, [9] '1' when the answer was found missing or bad,
 * [10] command id, [11] what the lease's end needs.
 */
static const char takeover_text[] =
	READ WRITE ORPHAN
	"local rerun = ARGV[8] == '1'\n"
	"if not f then return false end\n"
	"if f.record ~= ARGV[1] then return f.text end\n"
	/* Our own lost reply. */
	"if rerun and f[2] == 'claimed' and f[9] == ARGV[7] then return {f[10]} end\n"
	"if not rerun and f[2] == 'interrupted' and f[9] == ARGV[2] then return {f[10]} end\n"
	/* Not the token seen, or another worker was faster. */
	"if f[9] ~= ARGV[2] or not (f[2] == 'calling' or (f[2] == 'answered' and ARGV[9] == '1'))\n"
	"  then return f.text end\n"
	"if f[12] ~= '' then orphan(ARGV[10], f[9], f[12], ARGV[11]) end\n"
	"redis.call('DEL', KEYS[2])\n"
	"if not rerun then\n"
	"  write('interrupted', f[7], f[8], f[9], f[10], f[11], '')\n"
	"  return {f[10]}\n"
	"end\n"
	"local attempt = string.format('%d', f[10] + 1)\n"
	"write('claimed', ARGV[4], ARGV[5], ARGV[7], attempt, ARGV[6], '')\n"
	"return {attempt}\n";

/*
 * finish(lease) of an AcquireLease: a script, so that the orphan is written in
 * the same step and a lost reply loses no lease.
 * KEYS[2] the answer, KEYS[3] orphans; ARGV[2] the packed `done`, [4] lease,
 * [5] command id, [6] what the lease's end needs.
 */
static const char finish_text[] =
	READ ORPHAN
	"if f and f.record == ARGV[1] and f[12] ~= '' and f[12] ~= ARGV[4] then\n"
	"  orphan(ARGV[5], f[9], f[12], ARGV[6])\n"
	"end\n"
	"redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
	"redis.call('DEL', KEYS[2])\n"
	"return 1\n";

/*
 * settle(token, lease): finish where another owner may have published. KEYS[2]
 * the answer, KEYS[3] orphans; ARGV[2] the token, [4] the packed `done`, [5]
 * lease, [6] command id, [7] what the lease's end needs.
 */
static const char settle_text[] =
	READ ORPHAN
	/* Another token's: its holder publishes, and finishes. Done: the lease
	 * there is the published one. */
	"if not f or f.record ~= ARGV[1] or f[9] ~= ARGV[2] or\n"
	"  (f[2] ~= 'calling' and f[2] ~= 'answered' and f[2] ~= 'interrupted') then return 0 end\n"
	"if f[12] ~= '' and f[12] ~= ARGV[5] then orphan(ARGV[6], f[9], f[12], ARGV[7]) end\n"
	"redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])\n"
	"redis.call('DEL', KEYS[2])\n"
	"return 1\n";

const char *const claims_scripts[CLAIMS_SCRIPTS] = {
	[CLAIMS_SCRIPT_CLAIM] = claim_text,
	[CLAIMS_SCRIPT_RELEASE] = release_text,
	[CLAIMS_SCRIPT_ANSWER] = answer_text,
	[CLAIMS_SCRIPT_TAKEOVER] = takeover_text,
	[CLAIMS_SCRIPT_FINISH] = finish_text,
	[CLAIMS_SCRIPT_SETTLE] = settle_text,
};
