# SPDX-License-Identifier: Apache-2.0
"""One state of the model, and how a step changes a copy of it.

A state is a tuple of tuples, so that it can be looked up; a step works on a Draft, which says in
words what the fields are.
"""

from collections import namedtuple

# The world.
(
    GEN,  # generation of the consumer group
    REBALANCING,
    MEMBERS,  # bit mask of workers
    JOINED,  # those that have rejoined in this rebalance
    OWNER,  # of each partition; -1: nobody
    DONE,  # committed: bit mask of records
    EVENTS,  # of each record: the final events that a read_committed reader sees
    CLAIMS,  # of each command id: Claim or None
    BEFORE,  # the same before their last write; only kept when a write may be lost
    GHOSTS,  # claims that an old connection may still bring
    ORPHANS,  # (record, lease)
    RECORDED,  # (record, lease): leases that reached Redis, or came late
    CALLS,  # how often the plugin was asked to run each record
    DECLARED,  # bit mask of workers that were declared dead, or waited for long enough
    NAMES,  # of each instance id: the worker that its record names
    WORKERS,
    BUDGET,  # what may still go wrong
) = range(17)

# One worker.
WORKER_FIELDS = (
    "life",  # ABSENT, UP, FROZEN, DEAD
    "meta",  # generation of the group metadata it seals with; 0: none
    "open",  # bit mask of its open partitions
    "assigned",  # generation of an assign event not served yet
    "done",  # its window: records it knows as committed
    "window",  # of each record: its entry or None
    "outside",  # entries whose partition is gone, and requests without an entry
    "txn",  # None or (stage, batch, generation, what the offsets say is done)
    "finish",  # finishes not sent yet: (record, lease, token, in doubt)
    "serial",  # of each record: the next token
    "fenced",  # its producer
    "unsure",  # its instance record is to be looked at before anything is claimed
    "cut",  # Redis does not answer it
)
FIELD = {name: i for i, name in enumerate(WORKER_FIELDS)}
ABSENT, UP, FROZEN, DEAD = range(4)

# state: claimed, calling, answered, interrupted, done. token: (worker, record, serial).
Claim = namedtuple("Claim", "state record token lease kind attempt")

FAULTS = (
    "move",  # a rebalance without a cause
    "crash",
    "freeze",  # for longer than everything that is waited for
    "conn",  # a connection to Redis breaks: a reply is lost, a request is not read yet
    "cut",  # Redis is away for one worker, for longer than everything that is waited for
    "start",  # a new process under a name that is in use
    "kick",  # the group drops a member that lives
    "giveup",  # handover.timeout
    "timeout",  # a call ends as TIMEOUT, and its lease comes later
    "wait",  # a holder that lives outlives the bound of section 7
    "nocall",  # a command needs no call (expired, not resolved) where it is read this time
    "doubt",  # the answer to a commit is lost, the producer is recreated
    "toolarge",  # no budget: the broker refuses a result with a lease as too large, each time
    "lose",  # Redis fails over and forgets the last write to a claim
)
FAULT = {name: i for i, name in enumerate(FAULTS)}

# Of a window entry the first item says its state; the others:
#   READ                     ASKING (token, call)       TOLD (token, call, reply)
#   FETCHING (token, lease)  CALLING (token)            RECORDING (token, lease)
#   WAITING (token seen)     TAKING (token seen, new token)
#   READY, SEALED (kind, token, event's lease, claim's lease)
# ASKING is CLAIMING before Redis executes the claim, TOLD after it. kinds: res, tmo (TIMEOUT),
# exp (no call), big (refused as too large), got (fetched), dl (DUPLICATE), bad (unreadable), int
# (INTERRUPTED), intm (the same for a missing answer).
READ, ASKING, TOLD, FETCHING, CALLING, RECORDING, WAITING, TAKING, READY, SEALED = (
    "READ ASKING TOLD FETCHING CALLING RECORDING WAITING TAKING READY SEALED".split()
)
# Outside: (record, what, ...).
#   LEFT (token)   HANDING (token, kind, lease)   RELEASING (token, call, claim executed)
#   TAKE (token seen, new token): a take-over of somebody's claim, or of the own, is under way
#   LATE (token): a lease after TIMEOUT
LEFT, HANDING, RELEASING, TAKE, LATE = "LEFT HANDING RELEASING TAKE LATE".split()
OWN_KINDS = ("res", "tmo", "big")  # an answer of the own token


def put(items, i, value):
    return items[:i] + (value,) + items[i + 1 :]


def fresh_worker(life, records):
    return (life, 0, 0, 0, 0, (None,) * records, (), None, (), (0,) * records, 0, 0, 0)


class Draft:
    """A copy of a state that a step may change. `wrong`: what it broke, as (promise, text)."""

    __slots__ = ("f", "m", "wrong")

    def __init__(self, model, state):
        self.m = model
        self.f = list(state)
        self.wrong = []

    def state(self):
        return tuple(self.f)

    def blame(self, promise, text):
        self.wrong.append((promise, text))

    def get(self, w, name):
        return self.f[WORKERS][w][FIELD[name]]

    def set(self, w, **fields):
        worker = list(self.f[WORKERS][w])
        for name, value in fields.items():
            worker[FIELD[name]] = value
        self.f[WORKERS] = put(self.f[WORKERS], w, tuple(worker))

    def entry(self, w, r, value):
        self.set(w, window=put(self.get(w, "window"), r, value))

    def add(self, w, item):
        self.set(w, outside=tuple(sorted(self.get(w, "outside") + (item,), key=repr)))

    def drop(self, w, item):
        items = list(self.get(w, "outside"))
        items.remove(item)
        self.set(w, outside=tuple(items))

    def spend(self, fault):
        i = FAULT[fault]
        self.f[BUDGET] = put(self.f[BUDGET], i, self.f[BUDGET][i] - 1)

    def token(self, w, r):
        serial = self.get(w, "serial")
        self.set(w, serial=put(serial, r, serial[r] + 1))
        return (w, r, serial[r])

    def claim(self, r):
        return self.f[CLAIMS][self.m.command[r]]

    def set_claim(self, r, claim):
        c = self.m.command[r]
        if self.m.may_lose:
            self.f[BEFORE] = put(self.f[BEFORE], c, self.f[CLAIMS][c])
        self.f[CLAIMS] = put(self.f[CLAIMS], c, claim)

    def orphan(self, r, lease):
        if lease is not None and (r, lease) not in self.f[ORPHANS]:
            self.f[ORPHANS] = tuple(sorted(self.f[ORPHANS] + ((r, lease),)))

    def record_lease(self, r, lease):
        if lease is not None:
            self.f[RECORDED] = tuple(sorted(set(self.f[RECORDED]) | {(r, lease)}))

    def declare(self, w):
        self.f[DECLARED] |= 1 << w


class View:
    """A worker's fields by name."""

    __slots__ = tuple(FIELD)

    def __init__(self, t, w):
        for field, value in zip(FIELD, t[WORKERS][w]):
            setattr(self, field, value)
