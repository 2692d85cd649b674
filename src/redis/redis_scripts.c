/* SPDX-License-Identifier: Apache-2.0 */
#include "redis_scripts.h"

#include <assert.h>

#include "redis_conn.h"

int
redis_scripts_add(struct redis_scripts *s, const char *text)
{
	assert(s->n < REDIS_SCRIPTS);
	s->list[s->n].text = text;
	return (int)s->n++;
}

int
redis_scripts_load(struct redis_scripts *s, struct redis_conn *conn, redis_reply_fn *fn, void *arg)
{
	int code = 0;

	s->at = 0;
	for (size_t i = 0; code == 0 && i < s->n; i++) {
		struct span argv[] = { SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"),
				       span_of(s->list[i].text) };

		code = redis_conn_send(conn, fn, arg, 3, argv);
	}
	return code;
}

bool
redis_scripts_loaded(struct redis_scripts *s, const redisReply *reply)
{
	struct span sha = redis_span(reply);

	if (sha.len != REDIS_SHA_LEN || s->at >= s->n)
		return false;
	memcpy(s->list[s->at].sha, sha.ptr, REDIS_SHA_LEN);
	s->list[s->at++].sha[REDIS_SHA_LEN] = '\0';
	return true;
}
