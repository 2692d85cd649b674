/* SPDX-License-Identifier: Apache-2.0 */
#include "death.h"

#include "envdriver/rpc/spawn.h"
#include "worker.h"

const char *
death_write(struct buf *out, const struct worker_end *end, struct span excerpt)
{
	char name[16];

	buf_reset(out);
	if (end->code < 0 && !end->signal) {
		buf_adds(out, "The connection to the external worker ended");
		return out->failed ? "Connection ended" : out->data;
	}
	buf_adds(out, "Worker process exited (code=");
	if (end->signal)
		buf_addf(out, "null, signal=%s)", spawn_signal_name(end->signal, name));
	else
		buf_addf(out, "%d, signal=null)", end->code);
	if (excerpt.len) {
		buf_adds(out, "\n\nWorker stderr:\n");
		buf_addspan(out, excerpt);
	}
	return out->failed ? "Worker process exited" : out->data;
}
