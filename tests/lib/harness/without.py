# SPDX-License-Identifier: Apache-2.0
"""Programs with one rule of the engine taken out, to see that its test fails then.

A rule stands at one place (some at two, in one file); here is what that place becomes without it.
The text must be there as it is written here: who moves a rule moves it here, too.

Only the standard library: the Makefile runs this (RULE OUT.c) to write the changed source.
"""

import subprocess
import sys
from pathlib import Path

from_make = __name__ == "__main__"
if from_make:
    ROOT = Path(__file__).resolve().parents[3]
else:
    from .paths import BUILD, ROOT

PLACES = {
    "guard": (
        "src/engine/claiming.c",
        ("} else if (clock_boot_ms() - e->claim.sent_boot >= ENGINE_STOOD_STILL_MS) {",
         "} else if (false) {"),
    ),
    "renew": (
        "src/engine/stall.c",
        ("\t\tclaim_anew(eng, e);\n",
         "\t\tif (st->verifying)\n\t\t\tclaim_anew(eng, e);\n\t\tclaiming_send(eng, e);\n"),
    ),
    "nocall": (
        "src/claim/claims_scripts.c",
        ("write(call and 'calling' or 'answered', ARGV[4]",
         "write(call and 'calling' or 'claimed', ARGV[4]"),
    ),
    "called": (
        "src/claim/claims_scripts.c",
        ("if not call and tonumber(f[10]) > 1 then", "if false then"),
    ),
    "ownfin": (
        "src/engine/decoding.c",
        ("\te->claim.ours = false;", "\te->claim.ours = true;"),
    ),
    "reread": (
        "src/engine/watching.c",
        ("\tentry_list_remove(e);\n\tcore_step(eng, e, ON_CLAIM_CHANGED);",
         "\tif (found && found->state != CLAIM_CLAIMED) {\n"
         "\t\tentry_list_remove(e);\n\t\tcore_step(eng, e, ON_CLAIM_CHANGED);\n\t}"),
    ),
    "handwait": (
        "src/engine/claiming.c",
        ("\telse\n\t\tcore_step(eng, e, ON_CALLING_ELSEWHERE);",
         "\telse if (strcmp(e->holder.incarnation, instance_incarnation(eng->instance)) == 0)\n"
         "\t\tcore_step(eng, e, ON_NEW_CALL);\n"
         "\telse\n\t\tcore_step(eng, e, ON_CALLING_ELSEWHERE);"),
    ),
    "killold": (
        "src/redis/redis_greeting.c",
        ("\tif (!g->predecessor.id || strcmp(g->predecessor.run_id, g->self.run_id) != 0)\n"
         "\t\treturn true;",
         "\treturn true;"),
    ),
    "beat": (
        "src/registry/instance_record.c",
        ("if now and now ~= ARGV[1] then", "if false then"),
    ),
    "sticky": (
        "src/claim/claims_scripts.c",
        ("write('claimed', f[7], f[8], f[9], f[10], f[11], f[12])",
         "redis.call('DEL', KEYS[1])"),
    ),
    "finget": (
        "src/claim/claims_scripts.c",
        ("if f and f.record == ARGV[1] and f[12] ~= '' and f[12] ~= ARGV[4] then", "if false then"),
    ),
    "fifo": (
        "src/claim/claims.c",
        ("for (kind = 0; kind < KINDS; kind++)\n\t\tTAILQ_FOREACH(",
         "for (kind = KINDS - 1; kind >= 0; kind--)\n\t\tTAILQ_FOREACH("),
    ),
    "drop": (
        "src/engine/leaving.c",
        ("return e->own ? ON_REVOKED : ON_REVOKED_FOREIGN;", "return ON_REVOKED;"),
    ),
    "cancel": (
        "src/engine/leaving.c",
        ("\tgive_up_old(eng, &eng->lists.left, 0);", "\t(void)eng;"),
    ),
    "watch": (
        "src/registry/instance.c",
        ("heartbeat_still_ms(&i->predecessor) >= INSTANCE_WATCH_MS",
         "heartbeat_still_ms(&i->predecessor) >= 3000"),
    ),
    "recheck": (
        "src/claim/claims.c",
        (".rank = REDIS_RANK_CLAIMS", ".rank = REDIS_RANK_INSTANCE - 1"),
    ),
    "doubtfin": (
        "src/engine/claiming.c",
        ("\tif (e->claim.in_doubt)\n", "\tif (false)\n"),
    ),
    "bound": (
        "src/engine/watching.c",
        ("now - eng->ticked_at < ENGINE_STOOD_STILL_MS", "eng->ticked_at"),
        ("\tif (now - before < ENGINE_STOOD_STILL_MS)\n\t\treturn;", "\tif (before)\n\t\treturn;"),
    ),
    "shapeorph": (
        "src/engine/committing.c",
        ("\torphans_add_of(eng, e);\n\tif (e->commit.refused++ > 1) {",
         "\tbuf_reset(&e->lease_id);\n\tif (e->commit.refused++ > 1) {"),
    ),
    "onelease": (
        "src/engine/claiming.c",
        ("\t\tif (!events_succeeded(&e->events))\n\t\t\tbuf_reset(&e->lease_id);\n", ""),
    ),
}  # fmt: skip


def source(rule):
    """The changed file as text."""
    path, *changes = PLACES[rule]
    text = (ROOT / path).read_text("utf-8")
    for old, new in changes:
        if text.count(old) != 1:
            raise SystemExit(f"rule {rule}: {path} has {text.count(old)} times, not once:\n{old}")
        text = text.replace(old, new)
    return f'#line 1 "{path}"\n{text}'


def build(rule, program):
    """Makes it; returns its folder's name beside the other builds, as Worker's `build` wants it."""
    name = f"{BUILD.name}/without/{rule}"
    done = subprocess.run(
        ["make", "--no-print-directory", f"SAN={BUILD.name}", f"build/{name}/{program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"no {program} without {rule}: {done.stdout}{done.stderr}")
    return name


if from_make:
    Path(sys.argv[2]).write_text(source(sys.argv[1]), "utf-8")
