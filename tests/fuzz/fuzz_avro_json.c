/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as plain JSON: the first byte tells of which schema. What is
 * accepted can be published, and what is printed then can be published again
 * and prints the same. */
#include "envdriver/base/err.h"
#include "envdriver/avro/avro_json.h"
#include "envdriver/avro/schema.h"
#include "avro/schema_text.h"
#include "fuzz.h"

static const struct schema *
choose(uint8_t byte)
{
	static struct schemas *all;
	size_t count = 0;

	if (!all)
		all = schemas_new(NULL);
	MUST(all);
	while (schema_texts[count].name)
		count++;
	return schemas_find(all, schema_texts[byte % count].name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct schema *s = choose(size ? data[0] : 0);
	struct buf avro = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
	struct err err = { 0 };
	avro_value_t v;
	int ret;

	if (size == 0)
		return 0;
	MUST(schema_value_new(s, &v, NULL) == 0);
	ret = avro_json_read(s, (struct span){ (const char *)data + 1, size - 1 }, &v, &err);
	MUST(ret == 0 || ((ret == ERR_INVALID || ret == ERR_LIMIT) && *err.text));
	if (ret == 0) {
		MUST(schema_write(s, &v, &avro, NULL) == 0);
		MUST(schema_read(s, (struct span){ avro.data + SCHEMA_FRAME_LEN,
						   avro.len - SCHEMA_FRAME_LEN }, &v, NULL) == 0);
		MUST(avro_json_write(s, &v, &first, NULL) == 0);
		MUST(avro_json_read(s, buf_span(&first), &v, NULL) == 0);
		MUST(avro_json_write(s, &v, &second, NULL) == 0);
		MUST(span_eq(buf_span(&first), buf_span(&second)));
	}
	avro_value_decref(&v);
	buf_release(&avro);
	buf_release(&first);
	buf_release(&second);
	return 0;
}
