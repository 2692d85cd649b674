/* SPDX-License-Identifier: Apache-2.0 */
#include "envdriver/base/digest.h"

#include <openssl/evp.h>

bool
digest_sha256_hex(struct span bytes, char ret[DIGEST_HEX_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0, i;

	ret[0] = '\0';
	if (EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, sum, &len, EVP_sha256(), NULL) != 1)
		return false;
	for (i = 0; i < len && 2 * i + 2 < DIGEST_HEX_SIZE; i++) {
		ret[2 * i] = hex[sum[i] >> 4];
		ret[2 * i + 1] = hex[sum[i] & 0xf];
	}
	ret[2 * i] = '\0';
	return true;
}
