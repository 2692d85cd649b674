/* SPDX-License-Identifier: Apache-2.0 */
#include "http_client_curl.h"

#include <dlfcn.h>

#include "envdriver/base/err.h"

/* The name of its ABI, the same since 2006. */
#define LIBCURL "libcurl.so.4"

static struct http_client_curl calls;

static int
missing(const char *what, struct err *reterr)
{
	return err_set(reterr, ERR_CONFIG, "a schema registry needs libcurl (Debian: libcurl4): %s",
		       what ? what : "it lacks a function");
}

const struct http_client_curl *
http_client_curl_open(struct err *reterr)
{
	static void *library;
	void *found;

	if (library)
		return &calls;
	found = dlopen(LIBCURL, RTLD_NOW | RTLD_LOCAL);
	if (!found) {
		missing(dlerror(), reterr);
		return NULL;
	}
#define X(name) \
	calls.name = (__typeof__(calls.name))dlsym(found, "curl_" #name); \
	if (!calls.name) { \
		missing(dlerror(), reterr); \
		dlclose(found); \
		return NULL; \
	}
	HTTP_CLIENT_CURL_CALLS(X)
#undef X
	library = found;
	return &calls;
}
