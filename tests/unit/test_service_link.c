/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "envdriver/base/service_link.h"

static const struct row {
	const char *variable;
	bool link;
} rows[] = {
	/* a Service named envdriver */
	{ "ENVDRIVER_SERVICE_HOST=10.0.48.109", true },
	{ "ENVDRIVER_SERVICE_HOST=", true },
	{ "ENVDRIVER_SERVICE_PORT=9464", true },
	{ "ENVDRIVER_SERVICE_PORT_HTTP=9464", true },
	{ "ENVDRIVER_SERVICE_PORT_HTTP_METRICS=9464", true },
	{ "ENVDRIVER_PORT=tcp://10.0.48.109:9464", true },
	{ "ENVDRIVER_PORT=udp://10.0.48.109:9464", true },
	{ "ENVDRIVER_PORT=sctp://[fd00::1]:9464", true },
	{ "ENVDRIVER_PORT_9464_TCP=tcp://10.0.48.109:9464", true },
	{ "ENVDRIVER_PORT_9464_TCP_PROTO=tcp", true },
	{ "ENVDRIVER_PORT_9464_TCP_PORT=9464", true },
	{ "ENVDRIVER_PORT_9464_TCP_ADDR=10.0.48.109", true },
	{ "ENVDRIVER_PORT_53_UDP_ADDR=10.0.48.109", true },
	{ "ENVDRIVER_PORT_5_SCTP_PROTO=sctp", true },
	/* others beside it, some of which begin as keys do */
	{ "ENVDRIVER_METRICS_PORT=tcp://10.0.48.109:9464", true },
	{ "ENVDRIVER_METRICS_SERVICE_HOST=10.0.48.109", true },
	{ "ENVDRIVER_REDIS_PORT=tcp://10.0.48.110:6379", true },
	{ "ENVDRIVER_REDIS_SERVICE_PORT_REDIS=6379", true },
	{ "ENVDRIVER_KAFKA_SERVICE_HOST=10.0.48.111", true },
	{ "ENVDRIVER_KAFKA_PORT_9092_TCP_ADDR=10.0.48.111", true },
	{ "ENVDRIVER_PORT_PORT=tcp://10.0.48.109:1", true },
	/* keys, and slips in keys */
	{ "ENVDRIVER_HTTP_LISTEN=127.0.0.1:9464", false },
	{ "ENVDRIVER_HTTP_PORT=9464", false },
	{ "ENVDRIVER_PORT=9464", false },
	{ "ENVDRIVER_PORT=http://x:1", false },
	{ "ENVDRIVER_PORT_9464=1", false },
	{ "ENVDRIVER_PORT_X_TCP=1", false },
	{ "ENVDRIVER_PORT_9464_TCP_HOST=1", false },
	{ "ENVDRIVER_PORT__TCP=1", false },
	{ "ENVDRIVER_SERVICE=1", false },
	{ "ENVDRIVER_SERVICE_PORT_=1", false },
	{ "ENVDRIVER_REDIS_URL=tcp://x_SERVICE_HOST=1", false },
	{ "ENVDRIVER_X=_PORT_1_TCP=1", false },
	{ "ENVDRIVER_SERVICE_HOST", false },
	{ "", false },
};

static void
test_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (service_link_is(rows[i].variable) != rows[i].link)
			fail_msg("%s", rows[i].variable);
}

static void
test_count(void **state)
{
	char other[] = "REDIS_SERVICE_HOST=1", key[] = "ENVDRIVER_REDIS_URL=x";
	char host[] = "ENVDRIVER_SERVICE_HOST=1", port[] = "ENVDRIVER_SERVICE_PORT=2";
	char *envp[] = { other, key, host, port, NULL };
	const char *first = NULL;

	(void)state;
	assert_int_equal(service_link_count(envp, "ENVDRIVER_", &first), 2);
	assert_string_equal(first, "ENVDRIVER_SERVICE_HOST=1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
