/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct digest {
	EVP_MD_CTX *ctx;
	bool failed;
};

static void
write_hex(const unsigned char *sum, unsigned len, char ret[DIGEST_HEX_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned i;

	for (i = 0; i < len && 2 * i + 2 < DIGEST_HEX_SIZE; i++) {
		ret[2 * i] = hex[sum[i] >> 4];
		ret[2 * i + 1] = hex[sum[i] & 0xf];
	}
	ret[2 * i] = '\0';
}

bool
digest_sha256_hex(struct span bytes, char ret[DIGEST_HEX_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	ret[0] = '\0';
	if (EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, sum, &len, EVP_sha256(), NULL) != 1)
		return false;
	write_hex(sum, len, ret);
	return true;
}

bool
digest_hmac_hex(struct span key, struct span bytes, char ret[DIGEST_HEX_SIZE])
{
	const unsigned char *text = (const unsigned char *)(bytes.len ? bytes.ptr : "");
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	ret[0] = '\0';
	if (key.len > INT_MAX ||
	    !HMAC(EVP_sha256(), key.ptr, (int)key.len, text, bytes.len, sum, &len))
		return false;
	write_hex(sum, len, ret);
	return true;
}

bool
digest_hex_is(const char hex[DIGEST_HEX_SIZE], struct span text)
{
	return text.len == DIGEST_HEX_SIZE - 1 && CRYPTO_memcmp(hex, text.ptr, text.len) == 0;
}

struct digest *
digest_new(void)
{
	struct digest *d = malloc(sizeof(*d));

	if (!d)
		return NULL;
	d->ctx = EVP_MD_CTX_new();
	d->failed = !d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1;
	return d;
}

void
digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void
digest_add(struct digest *d, struct span bytes)
{
	if (d && !d->failed && bytes.len)
		d->failed = EVP_DigestUpdate(d->ctx, bytes.ptr, bytes.len) != 1;
}

bool
digest_end(struct digest *d, char ret[DIGEST_HEX_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	ret[0] = '\0';
	if (!d || d->failed || EVP_DigestFinal_ex(d->ctx, sum, &len) != 1)
		return false;
	d->failed = true;	/* ended: nothing can follow */
	write_hex(sum, len, ret);
	return true;
}
