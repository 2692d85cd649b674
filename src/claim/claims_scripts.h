/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claims_scripts: the Lua of the operations on a claim (docs/engine.md section
 * 4, claims).
 *
 * Texts, nothing else. Every script but release, finish and settle replies with
 * an array {attempt} when it did what was asked, else with the text of the
 * claim that is there (nil: none).
 */
#ifndef ENVDRIVER_CLAIM_CLAIMS_SCRIPTS_H
#define ENVDRIVER_CLAIM_CLAIMS_SCRIPTS_H

enum claims_script {
	CLAIMS_SCRIPT_CLAIM,
	CLAIMS_SCRIPT_RELEASE,
	CLAIMS_SCRIPT_ANSWER,
	CLAIMS_SCRIPT_TAKEOVER,
	CLAIMS_SCRIPT_FINISH,
	CLAIMS_SCRIPT_SETTLE,
	CLAIMS_SCRIPTS
};

extern const char *const claims_scripts[CLAIMS_SCRIPTS];

#endif
