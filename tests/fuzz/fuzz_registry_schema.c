/* SPDX-License-Identifier: Apache-2.0 */
/* A schema registry's answer, one line, and behind it a datum of the schema
 * that it holds. What is taken must read, write and print what the pre-scan
 * accepts, and be compared with ours without trouble. */
#include "envdriver/avro/avro_field.h"
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "envdriver/avro/schema_ids.h"
#include "fuzz.h"

/* avro-c leaks some of what it refuses (schema.h). */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libavro\n";
}

static void
read_datum(const struct schema *s, struct span datum)
{
	struct buf out = BUF_INIT, json = BUF_INIT;
	struct err err = { 0 };
	avro_value_t v;
	int ret;

	MUST(schema_value_new(s, &v, NULL) == 0);
	ret = schema_read(s, datum, &v, &err);
	MUST(ret == 0 || ((ret == ERR_INVALID || ret == ERR_LIMIT) && *err.text));
	if (ret == 0) {
		avro_field_get_span(&v, "commandId");
		avro_field_has(&v, "operation");
		MUST(schema_write(s, &v, &out, NULL) == 0);
		datum = (struct span){ out.data + SCHEMA_FRAME_LEN, out.len - SCHEMA_FRAME_LEN };
		MUST(schema_read(s, datum, &v, NULL) == 0);
		MUST(avro_json_write(s, &v, &json, NULL) == 0);
	}
	avro_value_decref(&v);
	buf_release(&out);
	buf_release(&json);
}

/* As the worker has it, behind a cache. */
static void
remember(const struct schemas *ours, struct span body)
{
	struct schema_ids *ids = schema_ids_new(ours, NULL);
	const struct schema *s = NULL;
	struct err err = { 0 };
	int ret;

	MUST(ids && schema_ids_take(ids, 1, body, 0, NULL) == 0);
	ret = schema_ids_find(ids, 1, 0, &s, &err);
	MUST(ret == 0 ? s != NULL : ret == ERR_INVALID && *err.text);
	schema_ids_free(ids);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct schemas *ours;
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t len = end ? (size_t)(end - data) : size;
	struct span body = { (const char *)data, len };
	struct span datum = { (const char *)data + len + 1, end ? size - len - 1 : 0 };
	struct err err = { 0 };
	struct schema *s;

	if (!ours)
		ours = schemas_new(NULL);
	MUST(ours);
	s = schema_ids_parse(body, &err);
	MUST(s || *err.text);
	if (s) {
		remember(ours, body);
		read_datum(s, datum);
	}
	schema_free(s);
	return 0;
}
