/* SPDX-License-Identifier: Apache-2.0 */
/* container_of: from a member back to the struct that it lies in. */
#ifndef ENVDRIVER_BASE_CONTAINER_OF_H
#define ENVDRIVER_BASE_CONTAINER_OF_H

#include <stddef.h>

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
