/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_metric: the labels of a metric that a plugin writes, made of its name and its
 * tags, however hostile these are (docs/operations.md, "Metrics of plugins").
 *
 * Owns nothing. Knows nothing of where the numbers go.
 */
#ifndef ENVDRIVER_HOST_HOST_METRIC_H
#define ENVDRIVER_HOST_HOST_METRIC_H

#include "envdriver/base/buf.h"
#include "envdriver/base/jtext.h"

enum {
	HOST_METRIC_NAME_MAX = 100,	/* bytes, also of a tag's name and value */
	HOST_METRIC_TAGS_MAX = 8,
};

/* Appends `plugin="key",name="...",tag_x="..."`: characters that no name may have
 * are '_', longer texts are cut, tags beyond the limit and those that name `company`
 * (ptr NULL: none) are left out; the tags are in order of their names. `scratch` is
 * emptied. */
void host_metric_add_labels(struct buf *out, const char *plugin_key, struct jtext name,
			    struct jtext tags, struct span company, struct buf *scratch);

#endif
