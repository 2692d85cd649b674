/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_plugin: the peer's plugin: found in Redis, started, shaken hands with.
 */
#ifndef BENCH_PEER_PLUGIN_H
#define BENCH_PEER_PLUGIN_H

/* Once: what it finds is taken to stay true. */
void peer_plugin_find(const char *redis_socket, const char *plugin_key);
/* Its request 1 is answered when this returns. Writing to it does not block. */
void peer_plugin_start(char **argv, int *ret_to_plugin, int *ret_from_plugin);

#endif
