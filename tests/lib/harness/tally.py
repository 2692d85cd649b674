# SPDX-License-Identifier: Apache-2.0
"""Exactly one final event for each of millions of commands: the oracle's first question, asked while
they are read, in a byte a record. oracle.py asks the rest, but holds everything in memory."""

import threading
from collections import Counter, defaultdict

from confluent_kafka import KafkaError, TopicPartition

from .topics import AWAY, FINAL, _batch, _event

GOOD, POISON, AGAIN = 1, 2, 3  # what was published: a command, no command, an id once more
POISONED = ("UNREADABLE_COMMAND", "INVALID_COMMAND", "COMMAND_TOO_LARGE")


class Tally:
    """`sent` by whoever publishes; a thread of its own reads the final events."""

    def __init__(self, topics):
        self.topics = topics
        self.kinds = defaultdict(bytearray)  # partition: kind by offset, 0: nothing there
        self.counts = defaultdict(bytearray)  # partition: final events by offset
        self.lock = threading.Lock()
        self.published = 0
        self.finished = 0
        self.statuses = Counter()
        self.wrong = []
        self.leases = set()  # that a result gave to somebody
        self.warned = 0  # results that tell of a lease that may be there
        self.interrupted = []  # call tokens
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def sent(self, partition, offset, kind):
        with self.lock:
            _put(self.kinds[partition], offset, kind)
            self.published += 1

    @property
    def waiting(self):
        return self.published - self.finished

    def close(self):
        self.over.set()
        self.thread.join(30)

    # --- reading ---

    def _read(self):
        consumer = self.topics.consumer(log_level=2)
        consumer.assign(
            [TopicPartition(tp.topic, tp.partition, 0) for tp in self.topics._partitions(FINAL)]
        )
        while not self.over.is_set():
            for message in _batch(consumer):
                if message.error() is None:
                    self._take(_event(self.topics.prefix, message))
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    if message.error().code() not in AWAY and not message.error().retriable():
                        self.wrong.append(f"reading: {message.error()}")
        consumer.close()

    def _take(self, event):
        _, partition, offset = event.source
        counts = self.counts[partition]
        before = counts[offset] if offset < len(counts) else 0
        _put(counts, offset, min(before + 1, 255))
        self.finished += before == 0
        self.statuses[event.status] += 1
        if event.status == "INTERRUPTED":
            self.interrupted.append(event.value["trace"]["callToken"])
        if event.name == "LeaseResult" and event.value["command"]["operation"] == "AcquireLease":
            if event.status == "SUCCEEDED":
                self.leases.add(event.value["lease"]["providerLeaseId"])
            trace, error = event.value["trace"], event.error
            warned = any((trace["invocationId"] or "?") in w for w in trace["warnings"])
            self.warned += warned or bool(error and error["mayHaveRun"])

    # --- the verdict ---

    def check(self):
        """What is wrong, as lines of text."""
        found = list(self.wrong)
        for partition in self.kinds.keys() | self.counts.keys():
            kinds, counts = self.kinds[partition], self.counts[partition]
            for offset in range(max(len(kinds), len(counts))):
                kind = kinds[offset] if offset < len(kinds) else 0
                count = counts[offset] if offset < len(counts) else 0
                if kind and count == 1 or not kind and not count:
                    continue
                what = "orphan" if not kind else "gap" if not count else "duplicate"
                found.append(f"{what}: partition {partition} offset {offset}: {count} final events")
        expected = Counter(k for kinds in self.kinds.values() for k in kinds if k)
        letters = sum(
            n for status, n in self.statuses.items() if status in POISONED
        )
        again = self.statuses["DUPLICATE_COMMAND"]
        if again != expected[AGAIN]:
            found.append(f"{again} DUPLICATE_COMMAND of {expected[AGAIN]} ids used again")
        if letters != expected[POISON]:
            found.append(f"{letters} unreadable of {expected[POISON]} that are no command")
        return found


def _put(counts, offset, value):
    if offset >= len(counts):
        counts.extend(bytes(offset + 4096 - len(counts)))
    counts[offset] = value
