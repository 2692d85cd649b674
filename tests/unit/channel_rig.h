/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_rig: a channel, our ends of its pipes, and what came out as text.
 */
#ifndef ENVDRIVER_TESTS_CHANNEL_RIG_H
#define ENVDRIVER_TESTS_CHANNEL_RIG_H

#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "envdriver/base/err.h"
#include "envdriver/rpc/channel.h"

enum { CHANNEL_LINE_MAX = 2 << 20 };

#define V "{\"jsonrpc\":\"2.0\""

/* The channel under test, our ends of its pipes, and what came out. */
struct channel_rig {
	uv_loop_t loop;
	struct channel *channel;
	int from, to;		/* read what it writes, write what it reads */
	uint64_t next_id;
	struct mask *mask;	/* of what it reads; empty */
	struct buf out;
};

struct test_call {
	struct channel_pending rpc;
	struct channel_rig *b;
	bool drop_in_end;
};

void channel_rig_begin(struct channel_rig *b, size_t queue_max);
void channel_rig_end(struct channel_rig *b);
void channel_rig_turn(struct channel_rig *b);
int channel_rig_call(struct channel_rig *b, struct test_call *c, const char *method,
	int64_t timeout, struct err *reterr);
void channel_rig_say(struct channel_rig *b, const char *text);
void channel_rig_expect(struct channel_rig *b, const char *name, const char *out);

#endif
