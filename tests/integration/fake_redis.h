/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_redis: a server that answers as it is told, in the test's own loop.
 *
 * Owns its sockets.
 */
#ifndef TESTS_INTEGRATION_FAKE_REDIS_H
#define TESTS_INTEGRATION_FAKE_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <uv.h>

#include "envdriver/base/buf.h"

enum { FAKE_REDIS_PEERS = 64 };

#define FAKE_REDIS_INFO \
	"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n"
#define FAKE_REDIS_ID ":7\r\n"
#define FAKE_REDIS_SHA "$40\r\n0123456789012345678901234567890123456789\r\n"

struct fake_peer {
	uv_pipe_t pipe;
	redisReader *reader;
	struct fake_redis *server;
	bool open;
};

struct fake_redis {
	uv_loop_t *loop;
	uv_pipe_t listener;
	char folder[64], path[96];
	struct fake_peer peers[FAKE_REDIS_PEERS];
	size_t n_peers;
	const char *info, *id, *sha;	/* answers to INFO, CLIENT ID, SCRIPT LOAD */
	struct buf hostile;		/* to GET, whatever it holds */
	char said[4096];		/* GET and CLIENT KILL, as they came */
};

/* Answers as a good one does until told otherwise. */
void fake_redis_open(struct fake_redis *f, uv_loop_t *loop);
/* Hangs up on everybody. */
void fake_redis_hang_up(struct fake_redis *f);
/* The loop must run once more. */
void fake_redis_close(struct fake_redis *f);
void fake_redis_release(struct fake_redis *f);

#endif
