/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jtext_scan: the inner loops over JSON text, with SSE2 where there is any.
 *
 * Owns nothing.
 */
#ifndef ENVDRIVER_BASE_JTEXT_SCAN_H
#define ENVDRIVER_BASE_JTEXT_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline const char *
jtext_skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* What a string may not hold as it is, and what is not ASCII. */
static inline bool
jtext_is_special(char c)
{
	return (signed char)c < 0x20 || c == '"' || c == '\\';
}

/* To the first '"', '\', control character or non-ASCII byte: strings of many
 * MB pass here, so 16 or 8 bytes at a time. */
static inline const char *
jtext_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(0x20);

	for (; end - p >= 16; p += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: bytes from 0x80 on are below 0x20 too. */
		__m128i hit = _mm_or_si128(_mm_cmplt_epi8(x, space),
					   _mm_or_si128(_mm_cmpeq_epi8(x, quote),
							_mm_cmpeq_epi8(x, slash)));
		int mask = _mm_movemask_epi8(hit);

		if (mask)
			return p + __builtin_ctz((unsigned)mask);
	}
#else
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;

	for (; end - p >= 8; p += 8) {
		uint64_t x, quote, slash;

		memcpy(&x, p, sizeof(x));
		quote = x ^ ones * '"';
		slash = x ^ ones * '\\';
		/* A byte below 0x20 or equal to 0 borrows from its own top bit;
		 * a false hit above a true one only ends the run early. */
		if (((x - ones * 0x20) | (quote - ones) | (slash - ones) | x) & high)
			break;
	}
#endif
	while (p < end && !jtext_is_special(*p))
		p++;
	return p;
}

/* Behind the closing quote of the string whose opening quote is at `p`, in
 * accepted text; `end` when it is not closed. */
static inline const char *
jtext_skip_string(const char *p, const char *end)
{
	const char *from = p + 1, *quote = from, *q;

	while (quote < end && (quote = memchr(quote, '"', (size_t)(end - quote)))) {
		for (q = quote; q > from && q[-1] == '\\'; q--)
			;
		quote++;
		if ((quote - 1 - q) % 2 == 0)
			return quote;
		from = quote;
	}
	return end;
}

#endif
