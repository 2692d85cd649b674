/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_record: the two Avro records of the peer, by hand: a command of
 * schemas/EnvironmentCommand.avsc (Probe on a PluginDriver) read without any
 * check, and a ProbeResult written.
 */
#ifndef BENCH_PEER_RECORD_H
#define BENCH_PEER_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	const char *at;
	size_t length;
};

#define TEXT(literal) ((struct text){ literal, sizeof(literal) - 1 })

/* As long as its user makes it; nobody looks whether there is room. */
struct bytes {
	char *data;
	size_t length;
};

static inline void
put(struct bytes *b, struct text t)
{
	memcpy(b->data + b->length, t.at, t.length);
	b->length += t.length;
}

struct probe {
	struct text id, company, environment, plugin, driver, config;
};

struct probe_source {
	struct text topic, instance;
	int32_t partition;
	int64_t offset, received_ms, finished_ms;
};

/* The texts are in `value`. */
void peer_record_read(const char *value, struct probe *ret);
/* `answer` is the plugin's result as it came: it becomes `details`. */
void peer_record_put(struct bytes *b, const struct probe *probe, const struct probe_source *source,
		     struct text answer);

#endif
