/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash: uthash as this program uses it: without memory, a HASH_ADD adds
 * nothing and leaves `hh.tbl` of the element NULL.
 *
 * A table owns its buckets, not the elements.
 */
#ifndef ENVDRIVER_BASE_HASH_H
#define ENVDRIVER_BASE_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
