/* SPDX-License-Identifier: Apache-2.0 */
#include "log_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "envdriver/base/metrics.h"

enum { QUEUE_MAX = 1024 * 1024, MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t more, idle;
	struct buf queue;
	uint64_t dropped;	/* since the last notice */
	bool started, writing;
	log_writer_notice_fn *notice;
} writer = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
};

static uint64_t
count_lines(struct span lines)
{
	uint64_t n = 0;

	for (size_t i = 0; i < lines.len; i++)
		n += lines.ptr[i] == '\n';
	return n;
}

/* False: standard error takes nothing more, for a reason other than that it is
 * full. A log that cannot be written has nowhere to be reported. */
static bool
write_all(struct span text)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (text.len) {
		ssize_t n = write(STDERR_FILENO, text.ptr, text.len);

		if (n < 0 && errno == EAGAIN)
			(void)poll(&room, 1, /* timeout= */ -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n < 0)
			continue;
		text.ptr += n;
		text.len -= (size_t)n;
	}
	return true;
}

/* As many whole lines as a pipe takes in one piece, at least one: so lines of
 * several processes that share a pipe do not mix. */
static size_t
piece_len(struct span lines)
{
	size_t max = lines.len < PIPE_BUF ? lines.len : PIPE_BUF;
	const char *end = memrchr(lines.ptr, '\n', max);

	if (!end)
		end = memchr(lines.ptr, '\n', lines.len);
	return end ? (size_t)(end + 1 - lines.ptr) : lines.len;
}

/* Returns how many lines could not be written. */
static uint64_t
write_lines(struct span lines)
{
	uint64_t lost = 0;

	while (lines.len) {
		struct span piece = { lines.ptr, piece_len(lines) };

		if (!write_all(piece))
			lost += count_lines(piece);
		lines.ptr += piece.len;
		lines.len -= piece.len;
	}
	return lost;
}

static void
count_dropped(uint64_t lines)
{
	writer.dropped += lines;
	metrics_add(METRIC_LOG_LINES_DROPPED, (int64_t)lines);
}

/* Takes what is queued; what was dropped came after it. */
static void
take_queue(struct buf *out)
{
	struct buf empty = *out;

	buf_reset(&empty);
	*out = writer.queue;
	writer.queue = empty;
	if (writer.dropped)
		writer.notice(out, writer.dropped);
	writer.dropped = 0;
}

static void *
write_for_ever(void *arg)
{
	struct buf lines = BUF_INIT;
	sigset_t all;

	(void)arg;
	sigfillset(&all);	/* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pthread_mutex_lock(&writer.mutex);
	for (;;) {
		uint64_t lost;

		writer.writing = false;
		pthread_cond_broadcast(&writer.idle);
		while (writer.queue.len == 0)
			pthread_cond_wait(&writer.more, &writer.mutex);
		take_queue(&lines);
		writer.writing = true;
		pthread_mutex_unlock(&writer.mutex);
		lost = write_lines(buf_span(&lines));
		pthread_mutex_lock(&writer.mutex);
		count_dropped(lost);
	}
	return NULL;
}

void
log_writer_put(struct span lines)
{
	bool alone;

	pthread_mutex_lock(&writer.mutex);
	alone = !writer.started;
	if (!alone) {
		if (writer.queue.len + lines.len > QUEUE_MAX ||
		    !buf_reserve(&writer.queue, lines.len))
			count_dropped(count_lines(lines));
		else
			buf_addspan(&writer.queue, lines);
		writer.queue.failed = false;
		if (!writer.writing)
			pthread_cond_signal(&writer.more);
	}
	pthread_mutex_unlock(&writer.mutex);
	if (alone)
		(void)write_lines(lines);
}

void
log_writer_start(log_writer_notice_fn *notice)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr) != 0)
		return;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&writer.mutex);
	writer.notice = notice;
	if (!writer.started)
		writer.started = pthread_create(&thread, &attr, write_for_ever, NULL) == 0;
	pthread_mutex_unlock(&writer.mutex);
	pthread_attr_destroy(&attr);
}

void
log_writer_flush(int64_t ms)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / MS_PER_S;
	until.tv_nsec += ms % MS_PER_S * NS_PER_MS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= NS_PER_S;
	}
	pthread_mutex_lock(&writer.mutex);
	while (writer.started && rc == 0 && (writer.writing || writer.queue.len))
		rc = pthread_cond_timedwait(&writer.idle, &writer.mutex, &until);
	pthread_mutex_unlock(&writer.mutex);
}
