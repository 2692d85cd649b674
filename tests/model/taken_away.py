# SPDX-License-Identifier: Apache-2.0
"""Each rule taken away: a small world that holds with it, and what breaks there without it. So the
model is tested, too: a rule that nothing needs, or a check that sees nothing, fails here."""

from configs import DUPLICATE, RULES, TWIN, Model
from explore import explore

# rule: (world, promise, what is seen, rules that are taken away on both sides)
SHOWS = {
    "guard": (dict(freeze=1), "P3", "a call after the final event", ()),
    "renew": (dict(freeze=1), "P3", "a call after the final event", ()),
    "nocall": (
        dict(move=1, freeze=1, nocall=1),
        *("P3", "no call (EXPIRED, FAILED) though it was called", ()),
    ),
    "called": (
        dict(operations="A", move=1, crash=1, nocall=1),
        *("P3", "no call (EXPIRED, FAILED) though it was called", ()),
    ),
    "ownfin": (
        dict(operations="EE", **DUPLICATE, crash=1),
        *("P3", "one id, final events ['dl', 'dl']", ()),
    ),
    "reread": (dict(move=1), "P1", "no final event", ()),
    "handwait": (dict(move=1), "P3", "an Execute called twice", ()),
    "killold": (dict(move=1, conn=1), "P1", "no final event", ()),
    "beat": (dict(**TWIN, freeze=1, start=1), "P3", "a call after the final event", ()),
    "sticky": (
        dict(operations="EE", **DUPLICATE, move=1),
        *("P3", "one id, final events ['dl', 'dl']", ()),
    ),
    "finget": (dict(operations="A", toolarge=1), "P4", "a lease is forgotten", ("shapeorph",)),
    "drop": (
        dict(operations="D", move=1),
        *("P6", "a dead letter is handed over: it has no claim", ()),
    ),
    "cancel": (
        dict(move=1, cut=1),
        *("P3", "taken over while the call that was left runs on", ()),
    ),
    "watch": (dict(**TWIN, start=1, kick=1), "P3", "a call after the final event", ()),
    "recheck": (dict(**TWIN, cut=1, start=1, kick=1), "P3", "a call after the final event", ()),
    "doubtfin": (
        dict(operations="A", freeze=1, timeout=1),
        *("P4", "a lease that was published is destroyed", ()),
    ),
    "bound": (
        dict(operations="A", kick=1, wait=1, timeout=1),
        *("P3", "a call after the final event", ()),
    ),
    "shapeorph": (dict(operations="A", move=1, toolarge=1), "P4", "a lease is forgotten", ()),
    "onelease": (
        dict(operations="A", move=1, toolarge=1),
        *("P4", "a lease that was not published is kept", ()),
    ),
}

# Rules whose harm other rules prevent, too: no world that was looked through needs them.
SECOND_LINE = ("refused", "refetch", "fifo")


def with_it(rule):
    """The world with the rule: what was found there."""
    world, _, _, also = SHOWS[rule]
    return explore(Model(rule, [r for r in RULES if r not in also], **world))


def without_it(rule):
    """The shortest trace that breaks the promise without it, or None."""
    world, promise, text, also = SHOWS[rule]
    m = Model(rule, [r for r in RULES if r != rule and r not in also], **world)
    return explore(m, until=lambda *broken: broken == (promise, text)).broken.get((promise, text))
