/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim_scripts: the Lua of the operations on a claim (ENGINE section 4).
 *
 * Owns the texts. Private to claim and its tests.
 *
 * Every script but release and finish answers with an array {attempt} when it
 * did what was asked, and else with the text of the claim that is there
 * (nil: none).
 */
#ifndef ENVDRIVER_PIPELINE_CLAIM_SCRIPTS_H
#define ENVDRIVER_PIPELINE_CLAIM_SCRIPTS_H

enum claim_script {
	CLAIM_SCRIPT_CLAIM,
	CLAIM_SCRIPT_RELEASE,
	CLAIM_SCRIPT_ANSWER,
	CLAIM_SCRIPT_TAKEOVER,
	CLAIM_SCRIPT_FINISH,
	CLAIM_SCRIPTS
};

extern const char *const claim_scripts[CLAIM_SCRIPTS];

#endif
