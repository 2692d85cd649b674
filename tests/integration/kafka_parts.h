/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_parts: what its two files share. kafka_parts.c reads the lines and
 * moves the consumer, kafka_parts_send.c the rest.
 */
#ifndef ENVDRIVER_TESTS_KAFKA_PARTS_H
#define ENVDRIVER_TESTS_KAFKA_PARTS_H

#include "envdriver/kafka/consumer.h"
#include "envdriver/kafka/event.h"

struct err;

struct parts {
	uv_loop_t *loop;
	struct config *config;
	char *topics[TOPIC_COUNT];
	struct consumer *consumer;
};
extern struct parts me;

/* A line of JSON on stdout: "what", the time, and more members. */
void tell(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As the inside of a JSON string; one at a time. */
const char *quoted(const char *text, size_t len);
void on_fatal(void *arg, int exit_code, const char *text);
void die(const char *what, const struct err *err) __attribute__((noreturn));

/* kafka_parts_send.c: what a line asks for. */
void send_publisher(char *rest);
void send_batch(char *rest);
void send_close(char *rest);
void send_look(char *rest);
void send_plugin_event(char *rest);
void send_flood(char *rest);
void send_committed(char *rest);
void send_release(void);

#endif
