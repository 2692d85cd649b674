# SPDX-License-Identifier: Apache-2.0
"""What happens to an entry: the table of states (docs/engine.md section 3, src/engine/entry.c),
WAITING and take-over (section 7). A function a state; each yields (label, step)."""

import redis_side
from state import (
    ASKING, CALLING, CALLS, EVENTS, FETCHING, GHOSTS, HANDING, LATE, LEFT, NAMES, OWNER, READ,
    READY, RECORDING, RELEASING, SEALED, TAKE, TAKING, TOLD, UP, View, WAITING, put,
)  # fmt: skip


def claiming(e):
    """What waits until the instance record was looked at."""
    return e[0] in (READ, ASKING) or (e[0] == TOLD and e[2] and e[3][0] == "NEW")


# --- entries of a window ---


def on_read(m, t, w, r, e, worker):
    if m.operations[r] == "D":
        letter = (READY, "bad", None, None, None)
        yield f"w{w} reads that r{r} is no command", lambda s: s.entry(w, r, letter)
        return
    if worker.cut or m.behind_its_key(worker.window, r):
        return

    def ask(s, call):
        if not call:
            s.spend("nocall")
        s.entry(w, r, (ASKING, s.token(w, r), call))

    yield f"w{w} claims r{r} to call", lambda s: ask(s, 1)
    if m.may(t, "nocall"):
        yield f"w{w} claims r{r}, no call", lambda s: ask(s, 0)


def on_asking(m, t, w, r, e, worker):
    if worker.cut:
        return
    _, token, call = e
    if "fifo" in m.rules and any(o[0] == r and o[1] == RELEASING for o in worker.outside):
        return

    def execute(s):
        s.entry(w, r, (TOLD, token, call, redis_side.claim(s, r, token, call)))

    yield f"redis executes the claim of r{r} by w{w}", execute
    if "killold" not in m.rules and m.may(t, "conn"):

        def ghost(s):
            s.spend("conn")
            s.f[GHOSTS] = s.f[GHOSTS] + ((r, token, call),)

        yield f"w{w} loses its connection, the claim of r{r} is not read yet", ghost


def on_told(m, t, w, r, e, worker):
    _, token, call, reply = e
    if m.may(t, "conn"):

        def lose(s):
            s.spend("conn")
            s.entry(w, r, (ASKING, token, call))

        yield f"w{w} loses the reply to its claim of r{r}", lose
    yield f"w{w} hears {reply[0]} for r{r}", lambda s: hear(s, w, r, token, call, reply)


def hear(s, w, r, token, call, reply):
    what = reply[0]
    if what == "NEW" and call:
        s.entry(w, r, (CALLING, token))
        start_call(s, w, r)
    elif what == "NEW":
        s.entry(w, r, (READY, "exp", token, None, None))
    elif what == "DUPLICATE":
        s.entry(w, r, (READY, "dl", None, None, None))
    elif what == "done":
        s.entry(w, r, None)
        s.set(w, done=s.get(w, "done") | 1 << r)
    elif what == "interrupted":
        s.entry(w, r, (READY, "int", reply[1], None, None))
    elif what == "answered":
        s.entry(w, r, (FETCHING, reply[1], reply[2]))
    else:
        hear_calling(s, w, r, reply[1])


def hear_calling(s, w, r, token):
    if (r, LEFT, token) in s.get(w, "outside"):
        s.drop(w, (r, LEFT, token))
        s.entry(w, r, (CALLING, token))
    elif token[0] == w and "handwait" not in s.m.rules:
        s.entry(w, r, (CALLING, token))
        start_call(s, w, r)
    else:
        s.entry(w, r, (WAITING, token))


def start_call(s, w, r):
    m, f = s.m, s.f
    c = s.claim(r)
    f[CALLS] = put(f[CALLS], r, min(3, f[CALLS][r] + 1))
    if c and c.record == r and c.state == "done":
        s.blame("P3", "a call after a claim that is done")
    if f[EVENTS][r]:
        s.blame("P3", "a call after the final event")
    if not m.leases(r) and f[CALLS][r] > 1:
        s.blame("P3", "an Execute called twice")
    for q in m.before_in_key[r]:
        if not f[EVENTS][q]:
            s.blame("P2", "called before the one before it under its key ended")


def on_fetching(m, t, w, r, e, worker):
    if worker.cut:
        return
    _, token, lease = e

    def fetch(s):
        c = s.claim(r)
        if c and c.state == "answered" and c.record == r:
            # The claim's lease is of the claim's reply, the event's of the answer.
            kept = lease if c.lease == lease or "onelease" not in m.rules else None
            kind = c.kind if c.kind == "exp" else "got"
            s.entry(w, r, (READY, kind, c.token, c.lease, kept))
        elif "refetch" in m.rules or m.leases(r):
            s.entry(w, r, (READ,))
        else:
            s.entry(w, r, (READY, "intm", token, None, None))

    yield f"w{w} fetches the answer of r{r}", fetch


def on_calling(m, t, w, r, e, worker):
    token = e[1]

    def end(s):
        if m.leases(r):
            s.entry(w, r, (RECORDING, token, token))
        else:
            s.entry(w, r, (READY, "res", token, None, None))

    yield f"the plugin answers w{w} r{r}", end
    if m.leases(r) and m.may(t, "timeout"):

        def time_out(s):
            s.spend("timeout")
            s.entry(w, r, (READY, "tmo", token, None, None))
            s.add(w, (r, LATE, token))

        yield f"the call of w{w} r{r} times out", time_out
    if m.may_lose and m.claim(t, r) is None and not worker.cut:
        yield f"w{w} re-asserts r{r}", lambda s: redis_side.reassert(s, r, token)


def on_recording(m, t, w, r, e, worker):
    if worker.cut:
        return
    _, token, lease = e

    def record(s):
        if redis_side.answer(s, r, token, "res", lease) or "refused" not in m.rules:
            s.entry(w, r, (READY, "res", token, lease, lease))
        else:
            redis_side.orphan_refused(s, r, lease)
            s.entry(w, r, (READ,))

    yield f"redis gets the answer of r{r} by w{w}", record


def on_ready(m, t, w, r, e, worker):
    _, kind, token, lease, kept = e
    if not m.refuses(e):
        return

    def refuse(s):
        if "shapeorph" in m.rules:
            s.orphan(r, kept)
        s.entry(w, r, (READY, "big" if kind == "res" else "got", token, None, None))

    yield f"the broker refuses w{w} the result of r{r} as too large", refuse


def on_waiting(m, t, w, r, e, worker):
    if worker.cut:
        return
    c, seen = m.claim(t, r), e[1]
    same = c is not None and c.record == r and c.state == "calling" and c.token == seen
    if not same:
        if "reread" in m.rules:
            yield f"w{w} sees the claim of r{r} changed", lambda s: s.entry(w, r, (READ,))
        elif c is not None and c.record != r:
            reply = ("DUPLICATE",)
            yield f"w{w} sees {reply[0]} r{r}", lambda s: s.entry(w, r, (TOLD, None, 1, reply))
        elif c is not None and c.state == "calling":
            following = (WAITING, c.token)
            yield f"w{w} watches the next holder of r{r}", lambda s: s.entry(w, r, following)
        elif c is not None and c.state != "claimed":
            reply = (c.state, c.token, c.lease)
            yield f"w{w} sees {c.state} r{r}", lambda s: s.entry(w, r, (TOLD, None, 1, reply))
        return
    how = dead(m, t, w, r, seen)
    if how:
        yield f"w{w} takes r{r} over from w{seen[0]} ({how})", lambda s: take(s, w, r, seen, how)


def dead(m, t, w, r, token):
    """Section 7, WAITING: why the holder of this token need not be waited for any more; or None."""
    h = token[0]
    holder = View(t, h)
    left = (r, LEFT, token) in holder.outside
    if h != w and holder.life != UP:
        return "it is gone, or stands still"
    if h != w and t[NAMES][m.instance[h]] != h:
        return "its name is another's"
    if h != w and holder.cut and not (left and "cancel" in m.rules):
        return "its beat stands still"  # at 15 s; at 10 s it cancelled what it had left
    # The bound is longer than a reply is on its way.
    entry = holder.window[r]
    heard = not (entry and entry[0] in (ASKING, TOLD) and entry[1] == token)
    # Who runs for all that time learns that its partition is another's.
    ran = t[OWNER][m.partition[r]] == w or "bound" not in m.rules
    if heard and ran and m.may(t, "wait"):
        return "its time is up"
    return None


def take(s, w, r, seen, how):
    h = seen[0]
    if how == "its time is up":
        s.spend("wait")
        s.declare(h)
    elif s.get(h, "life") != UP or s.get(h, "fenced") or s.get(h, "cut"):
        s.declare(h)
    if how == "its beat stands still" and (r, LEFT, seen) in s.get(h, "outside"):
        s.blame("P3", "taken over while the call that was left runs on")
    s.entry(w, r, (TAKING, seen, s.token(w, r) if s.m.leases(r) else None))


def on_taking(m, t, w, r, e, worker):
    if worker.cut:
        return
    _, seen, new = e
    rerun = m.leases(r)

    def execute(s):
        taken = redis_side.take_over(s, r, seen, new, rerun)
        s.entry(w, r, (READY, "int", seen, None, None) if taken and not rerun else (READ,))

    yield f"redis executes the take-over of r{r} by w{w}", execute


def on_sealed(m, t, w, r, e, worker):
    return ()


ENTRY = {
    READ: on_read,
    ASKING: on_asking,
    TOLD: on_told,
    FETCHING: on_fetching,
    CALLING: on_calling,
    RECORDING: on_recording,
    WAITING: on_waiting,
    TAKING: on_taking,
    READY: on_ready,
    SEALED: on_sealed,
}


# --- outside a window ---


def releasing(m, t, w, o, worker):
    r, _, token, call, executed = o
    if worker.cut:
        return

    def execute(s):
        s.drop(w, o)
        if executed:
            redis_side.release(s, r, token)
        else:
            redis_side.claim(s, r, token, call)
            s.add(w, (r, RELEASING, token, call, 1))

    what = "release" if executed else "claim"
    yield f"redis executes the {what} of r{r} by w{w} (revoked)", execute
    if not executed and "killold" not in m.rules and m.may(t, "conn"):

        def ghost(s):
            s.spend("conn")
            s.f[GHOSTS] = s.f[GHOSTS] + ((r, token, call),)
            s.drop(w, o)
            s.add(w, (r, RELEASING, token, call, 1))

        yield f"w{w} loses its connection, the claim of r{r} (revoked) is not read yet", ghost


def left(m, t, w, o, worker):
    r, _, token = o

    def end(s):
        s.drop(w, o)
        s.add(w, (r, HANDING, token, "res", token if m.leases(r) else None))

    yield f"the plugin answers w{w} r{r} (LEFT)", end
    cancelled = worker.cut and "cancel" in m.rules
    if cancelled or m.may(t, "giveup"):

        def give_up(s):
            s.drop(w, o)
            if not cancelled:
                s.spend("giveup")
            s.declare(w)
            s.add(w, (r, TAKE, token, s.token(w, r) if m.leases(r) else None))

        why = "Redis is away" if cancelled else "handover.timeout"
        yield f"w{w} gives r{r} up ({why})", give_up
    if m.may_lose and m.claim(t, r) is None and not worker.cut:
        yield f"w{w} re-asserts r{r}", lambda s: redis_side.reassert(s, r, token)


def handing(m, t, w, o, worker):
    r, _, token, kind, lease = o
    if worker.cut:
        return

    def hand(s):
        s.drop(w, o)
        if token is None:  # only without the rule "drop"
            s.blame("P6", "a dead letter is handed over: it has no claim")
        elif not redis_side.answer(s, r, token, kind, lease):
            redis_side.orphan_refused(s, r, lease)

    yield f"redis gets the answer of r{r} that w{w} hands over", hand


def take_late(m, t, w, o, worker):
    r, _, seen, new = o
    if worker.cut:
        return

    def execute(s):
        s.drop(w, o)
        redis_side.take_over(s, r, seen, new, m.leases(r))

    yield f"redis executes the take-over of r{r} by w{w}, which does not wait for it", execute
    if seen[0] != w and m.may(t, "conn"):
        yield f"w{w} loses its connection, the take-over of r{r} is lost", lambda s: s.drop(w, o)


def late(m, t, w, o, worker):
    r, _, token = o

    def come(s):
        s.drop(w, o)
        s.orphan(r, token)
        s.record_lease(r, token)

    yield f"the lease of w{w} r{r} comes late", come


OUTSIDE = {RELEASING: releasing, LEFT: left, HANDING: handing, TAKE: take_late, LATE: late}
