/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash: uthash as this program uses it: without memory, a HASH_ADD adds
 * nothing and leaves `hh.tbl` of the element NULL, and the tests can make it
 * fail (buf_realloc).
 *
 * A table owns its buckets, not the elements.
 */
#ifndef ENVDRIVER_BASE_HASH_H
#define ENVDRIVER_BASE_HASH_H

#include <stdlib.h>

#include "envdriver/base/buf.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) buf_realloc(NULL, size)
#define uthash_free(ptr, size) free(ptr)
#include <uthash.h>

#endif
