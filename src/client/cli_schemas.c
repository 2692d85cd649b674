/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/client/cli_schemas.h"

#include <stdlib.h>
#include <uv.h>

#include "envdriver/avro/schema.h"
#include "envdriver/base/buf.h"
#include "envdriver/base/clock.h"
#include "envdriver/base/config.h"
#include "envdriver/base/err.h"
#include "envdriver/client/kafka.h"
#include "envdriver/registry/schema_registry.h"

enum { PATIENCE_MS = 20000 };

struct cli_schemas {
	struct schemas *schemas;
	uv_loop_t loop;
	uv_timer_t patience;
	bool has_loop;
	struct schema_registry *registry;	/* NULL: none is configured */
};

static void
on_registry_change(void *arg)
{
	(void)arg;	/* waiting code looks after each turn of the loop */
}

static void
on_patience(uv_timer_t *timer)
{
	(void)timer;	/* only ends the turn */
}

/* One turn of the loop; false when the time is up. */
static bool
turn(struct cli_schemas *s, int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms();

	if (left <= 0)
		return false;
	uv_update_time(&s->loop);
	uv_timer_start(&s->patience, on_patience, (uint64_t)left, 0);
	uv_run(&s->loop, UV_RUN_ONCE);
	return true;
}

static int
find_by_id(void *arg, uint32_t id, const struct schema **ret, struct err *reterr)
{
	struct cli_schemas *s = arg;
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	int code;

	do
		code = schema_registry_find(s->registry, id, ret, reterr);
	while (code == ERR_UNAVAILABLE && turn(s, deadline));
	return code;
}

static int
connect_registry(struct cli_schemas *s, const struct config *config, struct err *reterr)
{
	if (!config_str(config, "schema.registry.url"))
		return 0;
	if (uv_loop_init(&s->loop) < 0)
		return err_set(reterr, ERR_IO, "cannot create an event loop");
	s->has_loop = true;
	uv_timer_init(&s->loop, &s->patience);
	s->registry =
		schema_registry_new(&s->loop, config, s->schemas, on_registry_change, s, reterr);
	if (!s->registry)
		return ERR_CONFIG;
	schemas_set_lookup(s->schemas, find_by_id, s);
	return 0;
}

struct cli_schemas *
cli_schemas_new(const struct config *config, struct err *reterr)
{
	struct cli_schemas *s = calloc(1, sizeof(*s));

	if (!s) {
		err_nomem(reterr);
		return NULL;
	}
	s->schemas = schemas_new(reterr);
	if (s->schemas && connect_registry(s, config, reterr) == 0)
		return s;
	cli_schemas_free(s);
	return NULL;
}

void
cli_schemas_free(struct cli_schemas *s)
{
	if (!s)
		return;
	schema_registry_free(s->registry);
	if (s->has_loop) {
		uv_close((uv_handle_t *)&s->patience, NULL);
		uv_run(&s->loop, UV_RUN_DEFAULT);
		(void)uv_loop_close(&s->loop);
	}
	schemas_free(s->schemas);
	free(s);
}

struct schemas *
cli_schemas_get(const struct cli_schemas *s)
{
	return s ? s->schemas : NULL;
}

int
cli_schemas_ask(const struct config *config, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	struct cli_schemas *s = cli_schemas_new(config, reterr);
	const struct schema *found;
	int ret;

	if (!s)
		return reterr->code;
	/* No matter which id: that the registry answers is enough. */
	do
		ret = schema_registry_find(s->registry, 1, &found, reterr);
	while (ret == ERR_UNAVAILABLE && !schema_registry_why(s->registry)[0] && turn(s, deadline));
	if (ret == ERR_UNAVAILABLE && schema_registry_why(s->registry)[0])
		err_set(reterr, ret, "%s", schema_registry_why(s->registry));
	cli_schemas_free(s);
	return ret == ERR_UNAVAILABLE ? ret : 0;
}

int
cli_schemas_register(const struct config *config, enum topic topic, bool *ret_used,
		     uint32_t *ret_id, struct err *reterr)
{
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;
	struct cli_schemas *s;
	char subject[KAFKA_TOPIC_MAX + 8];
	int ret;

	*ret_used = config_str(config, "schema.registry.url");
	if (!*ret_used)
		return 0;
	s = cli_schemas_new(config, reterr);
	if (!s)
		return reterr->code;
	kafka_topic(config, topic, subject);
	strcat(subject, "-value");
	ret = schema_registry_add(s->registry, subject, topic_record(topic), reterr);
	while (ret == 0 && (ret = schema_registry_added(s->registry, reterr)) == ERR_UNAVAILABLE &&
	       turn(s, deadline))
		ret = 0;
	if (ret == 0)
		*ret_id = schema_registry_id(s->registry, subject);
	else if (ret == ERR_UNAVAILABLE && !reterr->text[0])
		err_set(reterr, ret, "the schema registry does not answer");
	cli_schemas_free(s);
	return ret;
}
