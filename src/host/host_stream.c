/* SPDX-License-Identifier: Apache-2.0 */
#include "host_stream.h"

#include <stdlib.h>

static struct host_stream *
find_stream(const struct host_streams *s, struct span channel, struct span company)
{
	struct host_stream *one;

	LIST_FOREACH(one, &s->list, link)
		if (span_eq(channel, one->channel) && span_eq(company, one->company))
			return one;
	return NULL;
}

void
host_streams_open(struct host_streams *s, struct span channel, struct span company)
{
	struct host_stream *one;

	if (find_stream(s, channel, company) || s->n >= HOST_STREAM_MAX)
		return;
	one = malloc(sizeof(*one) + channel.len + company.len);
	if (!one)
		return;
	one->channel = (struct span){ one->text, channel.len };
	one->company = (struct span){ one->text + channel.len, company.len };
	memcpy(one->text, channel.ptr, channel.len);
	memcpy(one->text + channel.len, company.ptr, company.len);
	LIST_INSERT_HEAD(&s->list, one, link);
	s->n++;
}

static void
free_stream(struct host_streams *s, struct host_stream *one)
{
	LIST_REMOVE(one, link);
	s->n--;
	free(one);
}

void
host_streams_close(struct host_streams *s, struct span channel, struct span company)
{
	struct host_stream *one = find_stream(s, channel, company);

	if (one)
		free_stream(s, one);
}

const struct host_stream *
host_streams_first(const struct host_streams *s)
{
	return LIST_FIRST(&s->list);
}

void
host_streams_release(struct host_streams *s)
{
	while (!LIST_EMPTY(&s->list))
		free_stream(s, LIST_FIRST(&s->list));
}
