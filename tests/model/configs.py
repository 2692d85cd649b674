# SPDX-License-Identifier: Apache-2.0
"""The rules of the engine that can be taken away, and the bounded worlds that are looked through.

Every rule is here because without it some world shows a broken promise; README.md says which one,
and which test of the real program shows the same.
"""

from state import BUDGET, CLAIMS, FAULT, FAULTS, FIELD, WORKERS, UP, fresh_worker

RULES = {
    "guard": "after a stand-still a claim is asked again before the plugin is called",
    "renew": "it is released for that and asked for under a new token",
    "nocall": "a claim without a call records its event as the answer at once",
    "called": "a claim without a call does not answer what was taken over to be called again",
    "ownfin": "finish only for entries whose claim is this record's",
    "reread": "WAITING: a changed claim is asked again through the claim",
    "handwait": "CLAIMING: an own token that no LEFT entry has is waited for",
    "refused": "an answer that Redis refuses is not published; its lease is an orphan",
    "refetch": "an answer that is missing is asked for again through the claim",
    "killold": "nothing that was sent on a lost connection is executed later",
    "beat": "the beat is written only where the record names this process",
    "sticky": "a released claim stays, so the record that was first stays first",
    "finget": "finish of an AcquireLease makes an orphan of another lease that the claim held",
    "fifo": "a release is executed before a later claim of the same command",
    "drop": "READY without an answer of the own token is dropped at a revocation",
    "cancel": "a call that left is cancelled after 10 s without Redis, before others judge",
    "watch": "a name in use is watched for longer than a stand-still that goes unnoticed",
    "recheck": "after a reconnect the own record is looked at before anything is claimed",
    "doubtfin": "a commit that only the offsets tell of finishes a claim of the own token alone",
    "bound": "the time that a holder is waited for counts only while the waiting one runs",
    "shapeorph": "the lease of a result that is refused as too large is an orphan at once",
    "onelease": "an answer that was replaced between claim and fetch keeps no lease of the former",
}


class Model:
    """One world: records, workers, what may go wrong, and the rules that hold."""

    def __init__(self, name, rules, operations="E", limit=150_000, breaks=(), **more):
        """operations: a letter a record, E(xecute), A(cquireLease) or D (a dead letter: no
        command). command, key, partition: of each record. instance: of each worker; late: workers
        that start later. breaks: promises that this world must break, and no other."""
        self.name, self.rules, self.limit, self.breaks = name, frozenset(rules), limit, breaks
        self.operations = operations
        self.records = len(operations)
        self.command = more.pop("command", tuple(range(self.records)))
        self.key = more.pop("key", (0,) * self.records)
        self.partition = more.pop("partition", (0,) * self.records)
        self.instance = more.pop("instance", (0, 1))
        self.absent = more.pop("late", ())
        self.faults = tuple(more.pop(fault, 0) for fault in FAULTS)
        assert not more, more
        self.workers = len(self.instance)
        self.partitions = max(self.partition) + 1
        self.may_lose = self.faults[FAULT["lose"]] > 0
        self.too_large = self.faults[FAULT["toolarge"]] > 0
        self.same_partition = tuple(
            sum(1 << q for q in range(self.records) if self.partition[q] == p)
            for p in self.partition
        )
        self.before_in_key = tuple(
            tuple(q for q in range(r) if self._in_order(q, r)) for r in range(self.records)
        )

    def _in_order(self, q, r):
        same = self.key[q] == self.key[r] and self.partition[q] == self.partition[r]
        return self.key[r] is not None and same

    def start(self):
        ready = [w for w in range(self.workers) if w not in self.absent]
        mask = sum(1 << w for w in ready)
        names = tuple(
            min(w for w in range(self.workers) if self.instance[w] == i)
            for i in range(max(self.instance) + 1)
        )
        workers = tuple(fresh_worker(int(w in ready), self.records) for w in range(self.workers))
        commands = (None,) * (max(self.command) + 1)
        nothing = ((),) * self.records
        return (
            *(1, 1, mask, mask, (-1,) * self.partitions, 0, nothing, commands, commands),
            *((), (), (), (0,) * self.records, 0, names, workers, self.faults),
        )

    def leases(self, r):
        return self.operations[r] == "A"

    def refuses(self, entry):
        """The broker does: the result that names the lease is too large, whoever sends it."""
        if not self.too_large:
            return False
        _, kind, _, lease, _ = entry
        return kind in ("res", "got") and lease is not None

    def may(self, t, fault):
        return t[BUDGET][FAULT[fault]] > 0

    def life(self, t, w):
        return t[WORKERS][w][FIELD["life"]]

    def claim(self, t, r):
        return t[CLAIMS][self.command[r]]

    def behind_its_key(self, window, r):
        return any(window[q] for q in self.before_in_key[r])


TWIN = dict(instance=(0, 1, 0), late=(2,))
SAME_KEY = dict(command=(0, 1), key=(0, 0))
NO_KEY = dict(command=(0, 1), key=(None, None))
DUPLICATE = dict(command=(0, 0), key=(None, None))

WORLDS = [
    ("E crash, freeze, move", dict(move=1, crash=1, freeze=1)),
    ("E two freezes, two moves", dict(move=2, freeze=2)),
    ("E no call, freeze, crash, move", dict(move=1, freeze=1, crash=1, nocall=1)),
    ("E three moves, kick, reply lost", dict(move=3, kick=1, conn=1)),
    ("E give-up, bounded wait", dict(move=2, giveup=1, wait=1, freeze=1)),
    ("A crash, freeze, move", dict(operations="A", move=1, crash=1, freeze=1)),
    ("A no call, crash, move", dict(operations="A", move=1, crash=1, nocall=1)),
    ("A two moves, freeze, late lease", dict(operations="A", move=2, freeze=1, timeout=1)),
    ("A kick, reply lost, move", dict(operations="A", move=1, kick=1, conn=1, freeze=1)),
    ("A give-up, wait, move", dict(operations="A", move=1, giveup=1, wait=1, freeze=1)),
    ("EE same key, freeze, crash", dict(operations="EE", **SAME_KEY, freeze=1, crash=1)),
    ("EE same key, move, freeze", dict(operations="EE", **SAME_KEY, move=1, freeze=1)),
    ("AE same key, move, crash", dict(operations="AE", **SAME_KEY, move=1, crash=1)),
    ("EE no key, move, freeze", dict(operations="EE", **NO_KEY, move=1, freeze=1)),
    ("duplicate E, one partition", dict(operations="EE", **DUPLICATE, move=1, crash=1)),
    ("duplicate A, two partitions", dict(operations="AA", partition=(0, 1), **DUPLICATE, move=1)),
    ("duplicate A, crash", dict(operations="AA", **DUPLICATE, crash=1)),
    ("duplicate E, crash", dict(operations="EE", **DUPLICATE, crash=1)),
    ("E twin of a frozen one", dict(**TWIN, move=1, freeze=1, start=1)),
    ("E twin of a crashed one, freeze", dict(**TWIN, move=1, crash=1, freeze=1, start=1)),
    ("A twin of a frozen one", dict(operations="A", **TWIN, move=1, freeze=1, start=1)),
    ("E twin of one without Redis", dict(**TWIN, cut=1, start=1)),
    ("A twin of one without Redis", dict(operations="A", **TWIN, cut=1, start=1)),
    ("E twin, move", dict(**TWIN, move=1, start=1)),
    ("E Redis away, move", dict(move=2, cut=1)),
    ("A Redis away, move", dict(operations="A", move=2, cut=1)),
    ("E Redis away, crash", dict(move=1, cut=1, crash=1)),
    ("E batch in doubt, move, freeze", dict(move=1, freeze=1, doubt=1)),
    ("E batch in doubt, crash", dict(move=1, crash=1, doubt=1)),
    ("EE batch in doubt", dict(operations="EE", **SAME_KEY, move=1, doubt=1)),
    ("A batch in doubt, wait", dict(operations="A", move=1, doubt=1, wait=1, timeout=1)),
    ("A batch fenced, late lease", dict(operations="A", freeze=1, timeout=1)),
    ("A too large, move", dict(operations="A", move=2, toolarge=1)),
    ("A too large, crash, freeze", dict(operations="A", crash=1, freeze=1, toolarge=1)),
    ("E claim lost, move", dict(move=1, lose=1, wait=2, breaks=("P3",))),
    ("E claim lost, crash", dict(crash=1, lose=1, wait=2, breaks=("P3",))),
    ("A claim lost, crash", dict(operations="A", crash=1, lose=1, wait=2, breaks=("P4",))),
    (
        "EE claim lost, same key",
        dict(operations="EE", **SAME_KEY, crash=1, lose=1, wait=2, breaks=("P3",)),
    ),
    ("duplicate E, claim lost", dict(operations="EE", **DUPLICATE, lose=1, wait=2, breaks=("P3",))),
]


def models(rules=RULES):
    return [Model(name, rules, **world) for name, world in WORLDS]
