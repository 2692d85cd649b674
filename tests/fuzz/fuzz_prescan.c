/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a datum: the first byte tells of which schema. What the
 * pre-scan accepts avro-c must read, and everything after it must work. */
#include "envdriver/base/err.h"
#include "envdriver/base/jtext.h"
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "avro/schema_text.h"
#include "fuzz.h"

/* What the project's own schemas do not have. */
static const char other[] =
	"{\"type\":\"record\",\"name\":\"Other\",\"fields\":["
	"{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"float\"]}},"
	"{\"name\":\"n\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},"
	"{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{"
	"\"type\":\"record\",\"name\":\"P\",\"fields\":["
	"{\"name\":\"d\",\"type\":\"double\"},"
	"{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
	"\"symbols\":[\"A\",\"B\"]}}]}}}},"
	"{\"name\":\"p\",\"type\":[\"P\",\"null\",\"E\"]},"
	"{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}}]}";

static const struct schema *
choose(uint8_t byte)
{
	static struct schemas *all;
	static struct schema *others;
	size_t count = 0;

	if (!all) {
		all = schemas_new(NULL);
		others = schema_new(span_of(other), NULL);
	}
	MUST(all && others);
	while (schema_texts[count].name)
		count++;
	byte %= count + 1;
	return byte == count ? others : schemas_find(all, schema_texts[byte].name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema *s = choose(size ? data[0] : 0);
	struct span datum = { (const char *)data + 1, size - 1 };
	struct buf out = BUF_INIT, json = BUF_INIT;
	struct err err = { 0 };
	avro_value_t v;
	int ret;

	if (size == 0)
		return 0;
	MUST(schema_value_new(s, &v, NULL) == 0);
	ret = schema_read(s, datum, &v, &err);
	MUST(ret == 0 || ((ret == ERR_INVALID || ret == ERR_LIMIT) && *err.text));
	if (ret == 0) {
		MUST(schema_write(s, &v, &out, NULL) == 0);
		datum = (struct span){ out.data + SCHEMA_FRAME_LEN, out.len - SCHEMA_FRAME_LEN };
		MUST(schema_read(s, datum, &v, NULL) == 0);
		MUST(avro_json_write(s, &v, &json, NULL) == 0);
		MUST(jtext_check(buf_span(&json), JTEXT_DEPTH_LIMIT, NULL, NULL) == 0);
		MUST(strcmp(schema_name(s), "Other") == 0 ||
		     avro_json_read(s, buf_span(&json), &v, NULL) == 0);
	}
	avro_value_decref(&v);
	buf_release(&out);
	buf_release(&json);
	return 0;
}
