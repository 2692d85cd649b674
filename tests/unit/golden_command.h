/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden_command: the command that asks for what a recorded case did.
 */
#ifndef ENVDRIVER_TESTS_GOLDEN_COMMAND_H
#define ENVDRIVER_TESTS_GOLDEN_COMMAND_H

#include "unit.h"

#include "golden_json.h"

#define PLUGIN_KEY "fixture.envdriver"

struct golden_function {
	const char *name;
	const char *operation;	/* NULL: by input.method */
	bool provider;
	const char *source;	/* member of the input that has the fields; NULL: itself */
};

const struct golden_function *golden_function_of(struct jtext recorded);
struct command *golden_command_of(const struct golden_function *f, struct jtext input);

#endif
