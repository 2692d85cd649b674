/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http_client uses of libcurl, found when the first http_client is made and not when the
 * program starts: libcurl and what it brings (LDAP, Kerberos, RTMP, SSH) take
 * more than a megabyte of resident memory, and only `schema.registry.url`
 * needs them. Included by http_client alone.
 */
#ifndef HTTP_CLIENT_CURL_H
#define HTTP_CLIENT_CURL_H

#include <curl/curl.h>

struct err;

#define HTTP_CLIENT_CURL_CALLS(X) \
	X(global_init) X(global_cleanup) X(free) \
	X(url) X(url_set) X(url_get) X(url_cleanup) X(url_strerror) \
	X(slist_append) X(slist_free_all) \
	X(easy_init) X(easy_cleanup) X(easy_setopt) X(easy_getinfo) X(easy_strerror) \
	X(multi_init) X(multi_cleanup) X(multi_setopt) X(multi_assign) X(multi_add_handle) \
	X(multi_remove_handle) X(multi_socket_action) X(multi_info_read)

/* curl->easy_init is curl_easy_init, with its type. */
struct http_client_curl {
#define X(name) __typeof__(curl_##name) *name;
	HTTP_CLIENT_CURL_CALLS(X)
#undef X
};

/* NULL: ERR_CONFIG names the library that is missing. Opened once, for the
 * life of the process (TLS inside it leaves handlers behind). */
const struct http_client_curl *http_client_curl_open(struct err *reterr);

#endif
