# SPDX-License-Identifier: Apache-2.0
"""What happens outside the workers' own doing: the group, the broker's end of transactions, and
processes that die, stand still, lose Redis or are started twice."""

from itertools import product

import redis_side
from state import (
    ABSENT, ASKING, BEFORE, CALLING, CALLS, CLAIMS, DEAD, DECLARED, DONE, EVENTS, FIELD, FROZEN,
    GEN, GHOSTS, HANDING, JOINED, LEFT, MEMBERS, NAMES, OWNER, OWN_KINDS, READ, READY,
    REBALANCING, RECORDING, RELEASING, SEALED, TAKE, TAKING, TOLD, UP, WORKERS, fresh_worker, put,
)  # fmt: skip


def steps(m, t):
    yield from group(m, t)
    yield from redis_faults(m, t)
    for w in range(m.workers):
        yield from transaction(m, t, w)
        yield from process(m, t, w)


# --- the group ---


def group(m, t):
    members = t[MEMBERS]
    if not t[REBALANCING] and members and m.may(t, "move"):

        def begin(s):
            s.f[REBALANCING], s.f[JOINED] = 1, 0
            s.spend("move")

        yield "a rebalance begins", begin
    for w in range(m.workers):
        life = m.life(t, w)
        if members >> w & 1 and (life in (FROZEN, DEAD) or (life == UP and m.may(t, "kick"))):
            yield f"the group drops w{w}", lambda s, w=w, life=life: drop(s, w, life)
    if t[REBALANCING] and members and t[JOINED] == members:
        them = [w for w in range(m.workers) if members >> w & 1]
        for owner in product(them, repeat=m.partitions):
            yield (
                f"generation {t[GEN] + 1}: partitions go to {owner}",
                lambda s, owner=owner: assign(s, owner, them),
            )


def drop(s, w, life):
    s.f[MEMBERS] &= ~(1 << w)
    s.f[JOINED] &= ~(1 << w)
    if not s.f[REBALANCING]:
        s.f[REBALANCING], s.f[JOINED] = 1, 0
    if life == UP:
        s.spend("kick")
    s.f[OWNER] = tuple(-1 if o == w else o for o in s.f[OWNER])


def assign(s, owner, members):
    s.f[GEN] += 1
    s.f[REBALANCING], s.f[JOINED] = 0, 0
    s.f[OWNER] = owner
    for w in members:
        s.set(w, assigned=s.f[GEN])


# --- transactions, the broker's end ---


def transaction(m, t, w):
    txn = t[WORKERS][w][FIELD["txn"]]
    if not txn or txn[0] != "sent":
        return
    yield f"broker commits {told(txn)} of w{w}", lambda s: commit(s, w, txn)
    if m.life(t, w) != UP or t[WORKERS][w][FIELD["fenced"]]:
        yield f"broker aborts {told(txn)} of w{w} (time-out, fence)", lambda s: abort(s, w, txn)


def told(txn):
    return [f"r{r} {kind}" for r, kind, *_ in txn[1]]


def abort(s, w, txn):
    s.set(w, txn=None if s.get(w, "life") == DEAD else ("aborted",) + txn[1:])


def commit(s, w, txn):
    m, f = s.m, s.f
    s.set(w, txn=None if s.get(w, "life") == DEAD else ("committed",) + txn[1:])
    touched = 0
    for r, kind, token, lease, _ in txn[1]:
        f[EVENTS] = put(f[EVENTS], r, f[EVENTS][r] + ((kind, token, lease),))
        touched |= m.same_partition[r]
    # The worker's view of its window replaces the committed one.
    f[DONE] = (f[DONE] & ~touched) | (txn[3] & touched)
    for r, kind, token, *_ in txn[1]:
        if len(f[EVENTS][r]) > 1:
            s.blame("P1", "two final events")
        if kind == "int" and token and not (f[DECLARED] >> token[0] & 1 or s.get(token[0], "life") == DEAD):
            s.blame("P3", "INTERRUPTED though its holder lives")
        if kind == "intm":
            s.blame("P3", "INTERRUPTED for a missing answer")
        if kind == "exp" and f[CALLS][r]:
            s.blame("P3", "no call (EXPIRED, FAILED) though it was called")
        if kind == "dl" and m.command.count(m.command[r]) == 1:
            s.blame("P1", "a wrong DUPLICATE")


# --- Redis ---


def redis_faults(m, t):
    for i, (r, token, call) in enumerate(t[GHOSTS]):

        def late(s, i=i, r=r, token=token, call=call):
            s.f[GHOSTS] = s.f[GHOSTS][:i] + s.f[GHOSTS][i + 1 :]
            redis_side.claim(s, r, token, call)

        yield f"redis executes the claim {token} of a connection that is lost", late
    if m.may(t, "lose"):
        for c, (now, before) in enumerate(zip(t[CLAIMS], t[BEFORE])):
            if now != before:

                def lose(s, c=c, before=before):
                    s.spend("lose")
                    s.f[CLAIMS] = put(s.f[CLAIMS], c, before)

                yield f"redis fails over: claim {now} is {before} again", lose


# --- processes ---


def process(m, t, w):
    life = m.life(t, w)
    others_up = any(m.life(t, u) == UP for u in range(m.workers) if u != w)
    if life == UP and others_up and m.may(t, "freeze"):
        yield f"w{w} freezes", lambda s: freeze(s, w)
    if life == FROZEN:
        yield f"w{w} thaws", lambda s: s.set(w, life=UP)
    if life in (UP, FROZEN) and others_up and m.may(t, "crash"):
        yield f"w{w} is killed", lambda s: (s.spend("crash"), end(s, w))
    if life == UP and others_up and m.may(t, "cut") and not t[WORKERS][w][FIELD["cut"]]:
        yield f"w{w} loses Redis", lambda s: cut(s, w)
    if life == UP and t[WORKERS][w][FIELD["cut"]]:
        yield f"w{w} reaches Redis again", lambda s: reach(s, w)
    if life == ABSENT and m.may(t, "start"):
        old = [u for u in range(m.workers) if u != w and m.instance[u] == m.instance[w]]
        if all(replaceable(m, t, u) for u in old):
            yield f"w{w} starts under the instance id of w{old}", lambda s: start(s, w, old)


def replaceable(m, t, u):
    """Section 9, step 5: its beat stood still for the watch. That is longer than a stand-still
    that its owner takes no notice of; else it happens to one that seems never to have stopped."""
    if "watch" not in m.rules:
        return True
    return m.life(t, u) in (FROZEN, DEAD) or bool(t[WORKERS][u][FIELD["cut"]])


def freeze(s, w):
    s.spend("freeze")
    s.set(w, life=FROZEN)
    if "guard" in s.m.rules:
        s.set(w, unsure=1)
        for r, e in enumerate(s.get(w, "window")):
            if e and e[0] == TOLD and e[2] and e[3][0] == "NEW":
                ask_again(s, w, r, e)


def cut(s, w):
    s.spend("cut")
    s.set(w, cut=1)
    for r, e in enumerate(s.get(w, "window")):
        if e and e[0] == TOLD:
            ask_again(s, w, r, e)


def reach(s, w):
    s.set(w, cut=0)
    if "recheck" in s.m.rules:
        s.set(w, unsure=1)


def ask_again(s, w, r, e):
    """Redis said it too long ago to act upon. A take-over that is under way has seen the token."""
    if "renew" in s.m.rules:
        s.add(w, (r, RELEASING, e[1], e[2], 1))
        s.entry(w, r, (READ,))
    else:
        s.entry(w, r, (ASKING, e[1], e[2]))


def end(s, w):
    """Only a commit under way outlives a process."""
    txn, serial = s.get(w, "txn"), s.get(w, "serial")
    s.f[WORKERS] = put(s.f[WORKERS], w, fresh_worker(DEAD, s.m.records))
    s.set(w, txn=txn if txn and txn[0] == "sent" else None, serial=serial)


def start(s, w, old):
    """INIT of its transactional id fences the predecessor's producer, and ends what it left."""
    s.spend("start")
    s.set(w, life=UP)
    s.f[NAMES] = put(s.f[NAMES], s.m.instance[w], w)
    for u in old:
        txn = s.get(u, "txn")
        if s.get(u, "life") == DEAD:
            s.set(u, txn=None)
        else:
            s.set(u, fenced=1)
            if txn and txn[0] == "sent":
                s.set(u, txn=("aborted",) + txn[1:])


# --- partitions that go ---


def leave(s, w):
    """Step 4 of the revoke event: every entry leaves by the table of section 3."""
    for r in range(s.m.records):
        e = s.get(w, "window")[r]
        if not e:
            continue
        if e[0] in (ASKING, TOLD):
            s.add(w, (r, RELEASING, e[1], e[2], int(e[0] == TOLD)))
        elif e[0] == CALLING:
            s.add(w, (r, LEFT, e[1]))
        elif e[0] == RECORDING:
            s.add(w, (r, "HANDING", e[1], "res", e[2]))
        elif e[0] == TAKING:
            s.add(w, (r, TAKE, e[1], e[2]))
        elif e[0] in (READY, SEALED):
            own = e[1] in OWN_KINDS and e[2] and e[2][0] == w
            if own or "drop" not in s.m.rules:
                s.add(w, (r, "HANDING", e[2], e[1], e[4]))
        s.entry(w, r, None)
    s.set(w, open=0, meta=0, done=0, assigned=0)


def take_in(s, w):
    """The assign event: offsets from a stable read, then the group metadata."""
    mine = [p for p in range(s.m.partitions) if s.f[OWNER][p] == w]
    s.set(w, assigned=0, meta=s.f[GEN], done=s.f[DONE], open=sum(1 << p for p in mine))
    for r in range(s.m.records):
        if s.m.partition[r] in mine and not s.f[DONE] >> r & 1:
            s.entry(w, r, (READ,))
