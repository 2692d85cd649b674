/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_writer: bytes for standard error, written by a thread of their own.
 *
 * Owns a bounded queue and, once started, the thread. Knows nothing of what a
 * line says. A reader of standard error that stops reading holds up the thread
 * and nobody else: what no longer fits into the queue is dropped and counted.
 * Whether standard error is a pipe, a terminal, a socket or a file, and whether
 * somebody else made it non-blocking, makes no difference.
 */
#ifndef ENVDRIVER_BASE_LOG_WRITER_H
#define ENVDRIVER_BASE_LOG_WRITER_H

#include <stdint.h>

#include "envdriver/base/buf.h"

/* Appends a line that says how many were dropped before it. */
typedef void log_writer_notice_fn(struct buf *out, uint64_t dropped);

/* Takes whole lines, each with its line break. Before log_writer_start, and
 * when no thread could be made: writes them at once, which may block. */
void log_writer_put(struct span lines);
/* From here on log_writer_put never waits for a reader. Once per process. */
void log_writer_start(log_writer_notice_fn *notice);
/* Waits up to `ms` until all is written. At once when nothing waits. */
void log_writer_flush(int64_t ms);

#endif
