/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What web uses of libcurl, found when the first web is made and not when the
 * program starts: libcurl and what it brings (LDAP, Kerberos, RTMP, SSH) take
 * more than a megabyte of resident memory, and only `schema.registry.url`
 * needs them. Included by web alone.
 */
#ifndef WEB_CURL_H
#define WEB_CURL_H

#include <curl/curl.h>

struct err;

#define WEB_CURL_CALLS(X) \
	X(global_init) X(global_cleanup) X(free) \
	X(url) X(url_set) X(url_get) X(url_cleanup) X(url_strerror) \
	X(slist_append) X(slist_free_all) \
	X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo) X(easy_strerror) \
	X(multi_init) X(multi_cleanup) X(multi_setopt) X(multi_assign) X(multi_add_handle) \
	X(multi_remove_handle) X(multi_socket_action) X(multi_info_read)

/* curl->easy_init is curl_easy_init, with its type. */
struct web_curl {
#define X(name) __typeof__(curl_##name) *name;
	WEB_CURL_CALLS(X)
#undef X
};

/* NULL: ERR_CONFIG names the library that is missing. Opened once, for the
 * life of the process (TLS inside it leaves handlers behind). */
const struct web_curl *web_curl_open(struct err *reterr);

#endif
