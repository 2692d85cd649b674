/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings: where checks put what they find, one line at a time. `config check`
 * prints and counts the lines; a worker logs them as warnings.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_BASE_FINDINGS_H
#define ENVDRIVER_BASE_FINDINGS_H

#include <stdbool.h>

struct config;

struct findings {
	void (*found)(void *arg, const char *text);	/* what must be mended */
	void (*noted)(void *arg, const char *text);	/* what could not be asked; may be NULL */
	void *arg;
};

/* A finding names the key or the resource, what is wrong, and the way out. */
void findings_add(const struct findings *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void findings_note(const struct findings *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* What this host alone can tell of a configuration: keys that do nothing,
 * passwords that leave the host in clear text, modes of folders and of files
 * that hold secrets. Asks no server. */
void findings_of_config(const struct config *config, const struct findings *f);

/* "localhost", 127.0.0.0/8 or ::1, as a name or in brackets. */
bool findings_is_loopback(const char *host, int len);

#endif
