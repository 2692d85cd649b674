/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void
kit_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(1);
}

void
kit_must(rd_kafka_error_t *error, const char *what)
{
	if (error)
		kit_die("%s: %s", what, rd_kafka_error_string(error));
}

int64_t
kit_now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Without a delivery callback rd_kafka_flush sleeps in steps of 10 ms. */
static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
	(void)rk;
	(void)arg;
	if (m->err)
		kit_die("not delivered: %s", rd_kafka_err2str(m->err));
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char text[256];

	if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		kit_die("%s", text);
}

rd_kafka_t *
kit_client(rd_kafka_type_t type, const char *bootstrap, const char *const settings[][2])
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];
	rd_kafka_t *rk;

	set(conf, "bootstrap.servers", bootstrap);
	set(conf, "socket.nagle.disable", "true");
	set(conf, "log_level", "3");	/* a young broker is reason for many warnings */
	for (; (*settings)[0]; settings++)
		set(conf, (*settings)[0], (*settings)[1]);
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = rd_kafka_new(type, conf, text, sizeof(text));
	if (!rk)
		kit_die("%s", text);
	if (type == RD_KAFKA_CONSUMER)
		rd_kafka_poll_set_consumer(rk);
	return rk;
}
