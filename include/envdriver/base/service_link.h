/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_link: variables that look like ours and are Kubernetes'.
 *
 * Owns nothing. In a namespace with a Service named `envdriver` or
 * `envdriver-<anything>`, Kubernetes gives every pod a handful of variables
 * that begin with ENVDRIVER_ (as Docker's links do): no keys of ours.
 */
#ifndef ENVDRIVER_BASE_SERVICE_LINK_H
#define ENVDRIVER_BASE_SERVICE_LINK_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `variable` ("NAME=value") has the form of such a one:
 * ..._SERVICE_HOST, ..._SERVICE_PORT[_<name>], ..._PORT=<protocol>://...,
 * ..._PORT_<number>_<protocol>[_PROTO|_PORT|_ADDR]. */
bool service_link_is(const char *variable);

/* How many of them there are that begin with `prefix`; `*ret_first` is the
 * first, borrowed from `envp`. */
size_t service_link_count(char *const envp[], const char *prefix, const char **ret_first);

#endif
