// SPDX-License-Identifier: Apache-2.0
/* What the two files of the skeleton know of one another. */
#pragma once

#include <jansson.h>

/* A request, and a command while it runs. */
struct job {
	json_t *request;
	char folder[1024];
	_Atomic int used;  // Taken by the main thread, given back by that of the command.
	_Atomic int ended; // The command is to end.
};

/* Writes a message as one line, from any thread, and frees it. */
void plugin_say(json_t *message);

/* Runs the command of job->request in job->folder and shows its output. Blocks until it has ended.
 * Returns the result; NULL with the reason in why when it could not be started. */
json_t *command_run(struct job *job, char why[256]);
