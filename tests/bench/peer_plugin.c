/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_plugin.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kit.h"

void
peer_plugin_find(const char *redis_socket, const char *plugin_key)
{
	redisContext *redis = redisConnectUnix(redis_socket);
	redisReply *id, *status;

	if (!redis || redis->err)
		kit_die("no Redis at %s", redis_socket);
	id = redisCommand(redis, "GET envdriver:plugin-key:%s", plugin_key);
	if (!id || !id->str)
		kit_die("no plugin %s", plugin_key);
	status = redisCommand(redis, "HGET envdriver:plugin:%s status", id->str);
	if (!status || !status->str || strcmp(status->str, "ready") != 0)
		kit_die("plugin %s is not ready", plugin_key);
	freeReplyObject(status);
	freeReplyObject(id);
	redisFree(redis);
}

void
peer_plugin_start(char **argv, int *ret_to_plugin, int *ret_from_plugin)
{
	static const char initialize[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"manifest\":"
		"{\"id\":\"bench.probe\",\"capabilities\":[\"environment.drivers.register\"]},"
		"\"config\":{},\"instanceInfo\":{\"instanceId\":\"peer\",\"hostVersion\":\"1\"},"
		"\"apiVersion\":1,\"databaseNamespace\":null}}\n";
	char answer[4096] = "";
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		kit_die("pipe");
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	if (write(in[1], initialize, sizeof(initialize) - 1) < 0 ||
	    read(out[0], answer, sizeof(answer) - 1) <= 0 || !strstr(answer, "\"ok\":true"))
		kit_die("the plugin does not start: %s", answer);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	*ret_to_plugin = in[1];
	*ret_from_plugin = out[0];
}
