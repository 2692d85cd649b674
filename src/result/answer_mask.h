/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer_mask: keeps what an answer says free of the live credential that it brought.
 *
 * Owns nothing. Knows nothing of the secrets that the plugin was given: what it
 * says of those is masked before it is read.
 */
#ifndef ENVDRIVER_RESULT_ANSWER_MASK_H
#define ENVDRIVER_RESULT_ANSWER_MASK_H

struct answer;

/* Texts and metadata of the answer show its credential as "***"; nothing happens
 * when it has none. ERR_NOMEM. */
int answer_mask_credential(struct answer *a);

#endif
