# SPDX-License-Identifier: Apache-2.0
"""What a worker that lives does: its instance record, its membership (docs/engine.md section 7) and
its transactions (section 6). Its entries are in entries.py."""

import kafka_side
import redis_side
from entries import ENTRY, OUTSIDE, claiming
from state import (
    DONE, FIELD, GEN, HANDING, JOINED, MEMBERS, NAMES, OWNER, READY, REBALANCING, SEALED, View,
    WORKERS, put,
)  # fmt: skip


def steps(m, t, w):
    worker = View(t, w)
    yield from name(m, t, w, worker)
    yield from membership(m, t, w, worker)
    yield from transaction(m, t, w, worker)
    if not worker.cut:
        for item in worker.finish[:1]:
            yield f"w{w} finishes r{item[0]}", lambda s, item=item: send_finish(s, w, item)
    for r in range(m.records):
        e = worker.window[r]
        if e and not (worker.unsure and claiming(e)):
            yield from ENTRY[e[0]](m, t, w, r, e, worker)
    for o in worker.outside:
        yield from OUTSIDE[o[1]](m, t, w, o, worker)


def send_finish(s, w, item):
    s.set(w, finish=s.get(w, "finish")[1:])
    redis_side.finish(s, *item)


# --- the instance record ---


def name(m, t, w, worker):
    if worker.cut:
        return
    if t[NAMES][m.instance[w]] == w:
        if worker.unsure:
            yield f"w{w} finds its instance record its own", lambda s: s.set(w, unsure=0)
    elif "beat" in m.rules:
        found = f"w{w} finds another one in its instance record: exit 69"
        yield found, lambda s: kafka_side.end(s, w)
    else:

        def beat(s):
            s.f[NAMES] = put(s.f[NAMES], m.instance[w], w)

        yield f"w{w} beats over another one's instance record", beat


# --- the group ---


def membership(m, t, w, worker):
    bit = 1 << w
    member = t[MEMBERS] & bit
    idle = not worker.open and not worker.meta and not worker.assigned
    if member and t[REBALANCING] and not t[JOINED] & bit:

        def revoke(s):
            kafka_side.leave(s, w)
            s.f[JOINED] |= bit

        yield f"w{w} gives its partitions up and rejoins", revoke
    if not member and not idle:
        yield f"w{w} learns that it lost its partitions", lambda s: kafka_side.leave(s, w)
    if not member and idle and not worker.fenced and (m.may(t, "move") or not t[MEMBERS]):

        def join(s):
            if s.f[MEMBERS]:
                s.spend("move")
            if not s.f[REBALANCING]:
                s.f[REBALANCING], s.f[JOINED] = 1, 0
            s.f[MEMBERS] |= bit
            s.f[JOINED] |= bit

        yield f"w{w} joins", join
    if worker.assigned == t[GEN] and member and not worker.cut and settled(m, t, w):
        yield f"w{w} opens its partitions", lambda s: kafka_side.take_in(s, w)


def settled(m, t, w):
    """No transaction pends on its partitions: a stable read of their offsets answers."""
    return not any(
        x[FIELD["txn"]]
        and x[FIELD["txn"]][0] == "sent"
        and any(t[OWNER][m.partition[item[0]]] == w for item in x[FIELD["txn"]][1])
        for x in t[WORKERS]
    )


# --- transactions ---


def transaction(m, t, w, worker):
    txn = worker.txn
    if txn is None:
        batch = tuple(
            (r,) + e[1:]
            for r, e in enumerate(worker.window)
            if e and e[0] == READY and not m.refuses(e)
        )
        if batch and worker.meta and not worker.fenced:
            yield f"w{w} seals {[f'r{b[0]} {b[1]}' for b in batch]}", lambda s: seal(s, w, batch)
        return
    stage = txn[0]
    if stage == "sealed":
        good = txn[2] == t[GEN] and t[MEMBERS] >> w & 1 and not worker.fenced
        yield (
            f"w{w} sends offsets: {'taken' if good else 'refused'}",
            lambda s: s.set(w, txn=(("sent" if good else "refused"),) + txn[1:]),
        )
    elif stage == "committed":
        yield f"w{w} learns: committed", lambda s: verdict(s, w, txn, lambda r: (True, False))
    elif stage == "refused" or (stage == "aborted" and worker.fenced):
        yield f"w{w} learns: aborted", lambda s: verdict(s, w, txn, lambda r: (False, False))
    elif stage == "aborted":
        yield f"w{w} finds its producer fenced at the commit", lambda s: doubt(s, w, txn)
    elif stage == "doubt" and reconcilable(m, t, txn):

        def read(s):
            verdict(s, w, txn, lambda r: (bool(s.f[DONE] >> r & 1), True))

        yield f"w{w} reads the committed offsets: {t[DONE]:b}", read
    if stage in ("sent", "committed") and m.may(t, "doubt"):
        yield (
            f"w{w} gets no answer to its commit ({stage}), makes its producer anew",
            lambda s: (s.spend("doubt"), doubt(s, w, txn)),
        )


def seal(s, w, batch):
    done = s.get(w, "done")
    for r, *rest in batch:
        s.entry(w, r, (SEALED, *rest))
        done |= 1 << r
    s.set(w, txn=("sealed", batch, s.get(w, "meta"), done))


def doubt(s, w, txn):
    """init_transactions ends what was open: what is not committed by now never will be."""
    s.set(w, txn=("doubt",) + txn[1:])


def reconcilable(m, t, txn):
    mine = {m.partition[item[0]] for item in txn[1]}
    return not any(
        x[FIELD["txn"]]
        and x[FIELD["txn"]][0] == "sent"
        and any(m.partition[item[0]] in mine for item in x[FIELD["txn"]][1])
        for x in t[WORKERS]
    )


def verdict(s, w, txn, says):
    """says(r): is it committed, and is it only the offsets that say so."""
    for r, kind, token, _, lease in txn[1]:
        committed, in_doubt = says(r)
        e = s.get(w, "window")[r]
        sealed = e and e[0] == SEALED and e[2] == token
        if not committed:
            if sealed:
                s.entry(w, r, (READY,) + e[1:])
            continue
        if sealed:
            s.entry(w, r, None)
            s.set(w, done=s.get(w, "done") | 1 << r)
        for o in s.get(w, "outside"):
            if o[0] == r and o[1] == HANDING and o[2] == token:
                s.drop(w, o)
        if kind not in ("dl", "bad") or "ownfin" not in s.m.rules:
            s.set(w, finish=s.get(w, "finish") + ((r, lease, token, in_doubt),))
    s.set(w, txn=None)
    if txn[0] == "refused" and txn[2] == s.get(w, "meta"):
        s.set(w, meta=0)  # no sealing until an assign event
