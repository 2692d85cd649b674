/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/metric_series.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "envdriver/base/hash.h"

struct series {
	UT_hash_handle hh;
	uint64_t n;
	double sum, last;
	size_t len;
	char labels[];
};

struct owner {
	UT_hash_handle hh;
	struct series *all;
	char name[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct owner *owners;
static size_t n_series;

static struct owner *
find_owner(const char *name)
{
	size_t len = strlen(name);
	struct owner *o;

	HASH_FIND(hh, owners, name, len, o);
	if (o)
		return o;
	o = calloc(1, sizeof(*o) + len + 1);
	if (!o)
		return NULL;
	memcpy(o->name, name, len);
	HASH_ADD_KEYPTR(hh, owners, o->name, len, o);
	if (o->hh.tbl)
		return o;
	free(o);
	return NULL;
}

static struct series *
new_series(struct owner *o, size_t owner_max, struct span labels)
{
	struct series *s;

	if (HASH_COUNT(o->all) >= owner_max || n_series >= METRIC_SERIES_MAX ||
	    labels.len > METRIC_LABELS_MAX)
		return NULL;
	s = calloc(1, sizeof(*s) + labels.len);
	if (!s)
		return NULL;
	s->len = labels.len;
	memcpy(s->labels, labels.ptr, labels.len);
	HASH_ADD_KEYPTR(hh, o->all, s->labels, s->len, s);
	if (!s->hh.tbl) {
		free(s);
		return NULL;
	}
	n_series++;
	return s;
}

bool
metric_series_add(const char *owner, size_t owner_max, struct span labels, double value)
{
	struct series *s = NULL;
	struct owner *o;

	pthread_mutex_lock(&mutex);
	o = owner_max ? find_owner(owner) : NULL;
	if (o) {
		HASH_FIND(hh, o->all, labels.ptr, labels.len, s);
		if (!s)
			s = new_series(o, owner_max, labels);
	}
	if (s) {
		s->n++;
		s->sum += value;
		s->last = value;
	}
	pthread_mutex_unlock(&mutex);
	return s;
}

void
metric_series_free(const char *owner)
{
	struct series *s, *next;
	struct owner *o;

	pthread_mutex_lock(&mutex);
	HASH_FIND_STR(owners, owner, o);
	if (o) {
		HASH_ITER(hh, o->all, s, next) {
			HASH_DEL(o->all, s);
			free(s);
			n_series--;
		}
		HASH_DEL(owners, o);
		free(o);
	}
	pthread_mutex_unlock(&mutex);
}

static void
add_sample(struct buf *out, double value)
{
	if (isnan(value))
		buf_adds(out, "NaN");
	else if (isinf(value))
		buf_adds(out, value < 0 ? "-Inf" : "+Inf");
	else
		buf_addf(out, "%.17g", value);
}

static void
print_family(struct buf *out, const char *name, const char *kind, const char *help,
	     void (*add)(struct buf *out, const struct series *s))
{
	const struct owner *o;
	const struct series *s;

	buf_addf(out, "# HELP envdriver_%s %s\n# TYPE envdriver_%s %s\n", name, help, name, kind);
	for (o = owners; o; o = o->hh.next) {
		for (s = o->all; s; s = s->hh.next) {
			buf_addf(out, "envdriver_%s{%.*s} ", name, (int)s->len, s->labels);
			add(out, s);
			buf_addch(out, '\n');
		}
	}
}

static void
add_points(struct buf *out, const struct series *s)
{
	buf_addf(out, "%" PRIu64, s->n);
}

static void
add_sum(struct buf *out, const struct series *s)
{
	add_sample(out, s->sum);
}

static void
add_last(struct buf *out, const struct series *s)
{
	add_sample(out, s->last);
}

void
metric_series_print(struct buf *out)
{
	pthread_mutex_lock(&mutex);
	if (n_series) {
		print_family(out, "plugin_metric_points_total", "counter",
			     "Points that plugins wrote with metrics.write.", add_points);
		print_family(out, "plugin_metric_sum", "gauge", "Sum of these points.", add_sum);
		print_family(out, "plugin_metric_last", "gauge", "The last of these points.",
			     add_last);
	}
	pthread_mutex_unlock(&mutex);
}
