# SPDX-License-Identifier: Apache-2.0
"""What Redis does with a claim: docs/engine.md section 4, src/claim/claims_scripts.c."""

from state import Claim


def claim(s, r, token, call):
    """Returns the reply: NEW, DUPLICATE, or the state that is there with its token and lease."""
    c = s.claim(r)
    if c is not None and c.record != r:
        return ("DUPLICATE",)
    if c is None or c.state == "claimed":
        attempt = c.attempt if c else 1
        if not call and attempt > 1 and "called" in s.m.rules:
            # Its token is the taker's, who lives; whoever was taken over was judged then.
            c = c._replace(state="interrupted", token=None)
            s.set_claim(r, c)
            return (c.state, c.token, c.lease)
        if call:
            s.set_claim(r, Claim("calling", r, token, None, None, attempt))
        elif "nocall" in s.m.rules:
            s.set_claim(r, Claim("answered", r, token, None, "exp", attempt))
        else:
            s.set_claim(r, Claim("claimed", r, token, None, None, attempt))
        return ("NEW",)
    if c.token == token and (c.state == "calling" or (c.state == "answered" and not call)):
        return ("NEW",)
    return (c.state, c.token, c.lease)


def release(s, r, token):
    c = s.claim(r)
    if c and c.record == r and c.state == "calling" and c.token == token:
        sticky = c.attempt > 1 or "sticky" in s.m.rules
        s.set_claim(r, c._replace(state="claimed") if sticky else None)


def answer(s, r, token, kind, lease):
    """True when it was recorded."""
    c = s.claim(r)
    if c is not None and not (
        c.record == r and c.state in ("calling", "answered") and c.token == token
    ):
        return False
    s.set_claim(r, Claim("answered", r, token, lease, kind, c.attempt if c else 1))
    s.record_lease(r, lease)
    return True


def orphan_refused(s, r, lease):
    """An answer was refused: its lease is an orphan, unless it is the one that is done."""
    c = s.claim(r)
    if not (c and c.record == r and c.state == "done" and c.lease == lease):
        s.orphan(r, lease)


def take_over(s, r, seen, new, rerun):
    c = s.claim(r)
    if not (c and c.record == r and c.state == "calling" and c.token == seen):
        return False
    if rerun:
        s.set_claim(r, Claim("claimed", r, new, None, None, 2))
    else:
        s.set_claim(r, c._replace(state="interrupted", lease=None, kind=None))
    return True


def finish(s, r, lease, token, in_doubt):
    """Plain SET, but for an AcquireLease, and for a commit that may have been another's."""
    c = s.claim(r)
    if in_doubt and "doubtfin" in s.m.rules:
        held = ("calling", "answered", "interrupted")
        ours = c and c.record == r and c.token == token and c.state in held
        if not ours:
            return
    if "finget" in s.m.rules and s.m.leases(r) and c and c.record == r and c.lease != lease:
        s.orphan(r, c.lease)
    s.set_claim(r, Claim("done", r, None, lease, None, 0))


def reassert(s, r, token):
    """SET NX after a reconnect: a call that runs is still claimed."""
    if s.claim(r) is None:
        s.set_claim(r, Claim("calling", r, token, None, None, 1))
