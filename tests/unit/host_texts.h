/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_texts: what a host answers to request 7 of "plugin-1", for the tests of it.
 */
#ifndef ENVDRIVER_TESTS_HOST_TEXTS_H
#define ENVDRIVER_TESTS_HOST_TEXTS_H

#define V "{\"jsonrpc\":\"2.0\""
#define OK "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":"
#define FAIL(code, text) \
	"{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":" code ",\"message\":\"" text "\"}}\n"
#define DENIED(m, why) \
	FAIL("-32005", "Plugin \\\"plugin-1\\\" is not allowed to perform \\\"" m "\\\": " why)
#define OTHER(a, b) "requested company \\\"" b "\\\" but the current invocation is scoped to " \
	"company \\\"" a "\\\""

#endif
