/* SPDX-License-Identifier: Apache-2.0 */
#include "claims_keys.h"

#include "envdriver/claim/claims.h"
#include "envdriver/redis/redis.h"

void
claims_channel(const struct redis *redis, struct buf *out)
{
	buf_adds(out, redis_prefix(redis));
	buf_adds(out, "handover");
}

void
claims_credential_prefix(const struct redis *redis, struct buf *out)
{
	buf_adds(out, redis_prefix(redis));
	buf_adds(out, "credential:");
}

static bool
name_key(struct claims_key *k, const char *prefix, const char *name)
{
	buf_adds(&k->text, prefix);
	buf_adds(&k->text, name);
	k->prefix = k->text.len;
	return !k->text.failed;
}

bool
claims_keys_init(struct claims_keys *k, const struct redis *redis)
{
	const char *prefix = redis_prefix(redis);

	*k = (struct claims_keys){ .orphans = BUF_INIT };
	buf_adds(&k->orphans, prefix);
	buf_adds(&k->orphans, "orphans");
	claims_channel(redis, &k->channel);
	claims_credential_prefix(redis, &k->credential.text);
	k->credential.prefix = k->credential.text.len;
	return name_key(&k->claim, prefix, "claim:") && name_key(&k->answer, prefix, "answer:") &&
	       !k->credential.text.failed && !k->orphans.failed && !k->channel.failed;
}

void
claims_keys_release(struct claims_keys *k)
{
	buf_release(&k->claim.text);
	buf_release(&k->answer.text);
	buf_release(&k->credential.text);
	buf_release(&k->orphans);
	buf_release(&k->channel);
}

struct span
claims_keys_of(struct claims_key *k, struct span command_id)
{
	k->text.len = k->prefix;
	buf_addspan(&k->text, command_id);
	return buf_span(&k->text);
}

bool
claims_keys_failed(struct claims_keys *k)
{
	struct claims_key *const all[] = { &k->claim, &k->answer, &k->credential };
	bool failed = false;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		failed |= all[i]->text.failed;
		all[i]->text.failed = false;
	}
	return failed;
}
