/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message_mask: what a plugin says, with the secrets that it was given as "***"
 * (docs/decisions.md D21, secrets). Here everything comes in, so nothing behind
 * has to think of it.
 *
 * Owns the masked texts. What is left as it is: ids and names of the protocol, of
 * members too, which are only compared; what the plugin stores as its own state,
 * which goes back to it; live output, which is masked across its pieces; credentials
 * that the plugin hands over, which go to who asked and nowhere else; and the id of
 * a lease that has a little of a secret by chance, for it would be of no use.
 */
#ifndef ENVDRIVER_RPC_MESSAGE_MASK_H
#define ENVDRIVER_RPC_MESSAGE_MASK_H

#include "envdriver/base/buf.h"

struct mask_forms;
struct rpc_answer;
struct rpc_message;

struct message_mask {
	struct buf result, error, text;	/* what the message's spans may point into */
	struct buf edited;		/* a result on its way */
	struct span lease_id;		/* as rpc_answer.secret_id */
};

/* `f` NULL: nothing is changed in the message. May run on any thread. */
void message_mask_apply(struct message_mask *k, const struct mask_forms *f,
			struct rpc_message *m);
/* Parses the line, masks the message, and of a response reads the answer, which is
 * left alone otherwise. May run on any thread. */
void message_mask_parse(struct message_mask *k, const struct mask_forms *f, struct span line,
			struct rpc_message *ret, struct rpc_answer *ret_answer);
/* Bytes of memory. */
size_t message_mask_size(const struct message_mask *k);
void message_mask_release(struct message_mask *k);

#endif
