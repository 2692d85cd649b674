# SPDX-License-Identifier: Apache-2.0
"""Looks through the states of a world, breadth first, so that the first trace found is a shortest
one."""

import time
from collections import deque

import kafka_side
import worker_side
from state import CLAIMS, EVENTS, ORPHANS, RECORDED, UP, Draft


class Found:
    """What was seen of one world: `broken` is {(promise, text): trace}."""

    def __init__(self, model):
        self.model = model
        self.broken = {}
        self.states = self.steps = self.ends = 0
        self.cut = False
        self.seconds = 0.0

    @property
    def promises(self):
        return {promise for promise, _ in self.broken}

    @property
    def bad(self):
        """Broken is what this world is expected to break, and nothing else."""
        expected = set(self.model.breaks)
        return self.promises != expected

    def line(self):
        extent = "cut" if self.cut else "complete"
        verdict = "holds" if not self.broken else "broken: " + " ".join(sorted(self.promises))
        return (
            f"{self.model.name:<33} {self.states:>8} states {self.steps:>9} steps "
            f"{self.ends:>6} ends  {extent:<8} {self.seconds:4.0f} s  {verdict}"
            + (" (as documented)" if self.broken and not self.bad else "")
        )

    def traces(self):
        for (promise, text), trace in self.broken.items():
            yield f"  {promise}: {text}\n" + "".join(f"      {label}\n" for label in trace)


def successors(m, t):
    for label, change in kafka_side.steps(m, t):
        yield label, _applied(m, t, change)
    for w in range(m.workers):
        if m.life(t, w) == UP:
            for label, change in worker_side.steps(m, t, w):
                yield label, _applied(m, t, change)


def _applied(m, t, change):
    s = Draft(m, t)
    change(s)
    return s


def explore(m, limit=None, until=None):
    """All states that can be reached, or `limit` of them. until: stop at the first broken promise
    that it says true of."""
    limit = limit or m.limit
    found, began = Found(m), time.monotonic()
    start = m.start()
    parent = {start: None}
    queue = deque([start])
    while queue and not (until and any(until(*broken) for broken in found.broken)):
        t = queue.popleft()
        end = True
        for label, s in successors(m, t):
            end = False
            found.steps += 1
            new = s.state()
            for broken in s.wrong:
                if broken not in found.broken:
                    found.broken[broken] = _trace(parent, t) + [label]
            if s.wrong and not m.breaks:
                continue  # what follows from it says nothing new
            if new not in parent:
                if len(parent) >= limit:
                    found.cut = True
                    continue
                parent[new] = (t, label)
                queue.append(new)
        if end:
            found.ends += 1
            for broken in at_the_end(m, t):
                if broken not in found.broken:
                    found.broken[broken] = _trace(parent, t)
    found.cut = found.cut or bool(queue)
    found.states, found.seconds = len(parent), time.monotonic() - began
    return found


def _trace(parent, t):
    labels = []
    while parent[t]:
        t, label = parent[t]
        labels.append(label)
    return labels[::-1]


# --- what must hold where nothing can happen any more ---


def at_the_end(m, t):
    for r in range(m.records):
        if not t[EVENTS][r]:
            yield "P1", "no final event"
    if any(len(events) != 1 for events in t[EVENTS]):
        return
    published = [events[0] for events in t[EVENTS]]
    yield from leases(m, t, published)
    if len(set(m.command)) < m.records:
        kinds = [kind for kind, *_ in published]
        if kinds.count("dl") != 1:
            yield "P3", f"one id, final events {sorted(kinds)}"


def leases(m, t, published):
    """An orphan is destroyed unless the claim says that it was published (src/engine/orphans.c)."""
    for r, lease in t[RECORDED]:
        if published[r][2] != lease and (r, lease) not in t[ORPHANS]:
            yield "P4", "a lease is forgotten"
    for r, lease in t[ORPHANS]:
        c = t[CLAIMS][m.command[r]]
        if not c or c.state != "done" or c.record != r:
            continue
        if published[r][2] == lease and c.lease != lease:
            yield "P4", "a lease that was published is destroyed"
        if published[r][2] != lease and c.lease == lease:
            yield "P4", "a lease that was not published is kept"
