# SPDX-License-Identifier: Apache-2.0
"""The three measurements: a backlog, one command at a time, nothing to do."""

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition

import proc

WAIT = 120
STEP = 0.05
WARM_UP = 20


# --- a backlog ---


@dataclass
class Backlog:
    rate: float  # results per second, by the time the broker got them
    cpu: dict  # who: CPU seconds per 1,000 commands
    peak: float  # MiB


@dataclass
class Point:
    """How far a run is."""

    done: int
    cpu: dict


def backlog(setting, subject, plugin, topics, count):
    """`count` commands wait on the topic; a new group reads them all."""
    before = topics.ends(["probe-results"])
    running = setting.start(subject, plugin, topics)
    try:
        first, last = _watch(setting, running, topics, count)
        peak = proc.memory(running.pid)["VmHWM"]
    finally:
        running.stop()
    done = last.done - first.done
    cpu = {who: (last.cpu[who] - first.cpu[who]) * 1000 / done for who in last.cpu}
    return Backlog(_rate(topics, before, count), cpu, peak)


def _watch(setting, running, topics, count):
    """(when the first commands were done, when all were): by the group's committed offsets,
    which are in the same transactions as the results."""
    first = None
    deadline = time.monotonic() + WAIT
    committed = _Committed(topics, running.group)
    while True:
        done = committed()
        if first is None and done > 0:
            first = _point(setting, running, done)
        if done >= count:
            committed.close()
            return first, _point(setting, running, done)
        if not running.running() or time.monotonic() > deadline:
            raise RuntimeError(f"{running.name}: {done} of {count}: {running.said()[-2000:]}")
        time.sleep(STEP)


class _Committed:
    """The offsets of a group, asked as one of it that never joins."""

    def __init__(self, topics, group):
        self.consumer = topics.consumer(**{"group.id": group})
        self.partitions = topics._partitions(["commands"])

    def __call__(self):
        """How many commands are done: each topic begins with offset 0."""
        try:
            found = self.consumer.committed(self.partitions, timeout=20)
        except KafkaException:
            return 0  # a young group has no coordinator for a moment
        return sum(max(at.offset, 0) for at in found)

    def close(self):
        self.consumer.close()


def _point(setting, running, done):
    return Point(
        done,
        {
            "worker": proc.cpu_seconds(running.pid),
            "plugin": proc.cpu_seconds(*running.plugin_pids()),
            "broker": proc.cpu_seconds(setting.broker_pid),
            "redis": proc.cpu_seconds(setting.redis.process.pid),
        },
    )


def _rate(topics, before, count):
    """Also sees to it that each command has one result, and that it succeeded."""
    times, ids = [], set()
    for message in _read(topics, before):
        headers = dict(message.headers())
        if headers["status"] != b"SUCCEEDED":
            raise RuntimeError(f"a result is {headers['status']}: {message.value()}")
        ids.add(headers["command-id"])
        times.append(message.timestamp()[1])
    if len(times) != count or len(ids) != count:
        raise RuntimeError(f"{len(times)} results of {len(ids)} commands, expected {count}")
    first, last = min(times), max(times)
    return (count - times.count(first)) * 1000 / (last - first)


def _read(topics, before):
    """Committed results since `before`."""
    time.sleep(0.5)  # the markers of the last transaction
    ends = topics.ends(["probe-results"])
    consumer = topics.consumer(**{"queued.max.messages.kbytes": 65536})
    left = {tp for tp in ends if ends[tp] > before[tp]}
    consumer.assign([TopicPartition(*tp, before[tp]) for tp in left])
    try:
        while left:
            for message in consumer.consume(5000, 0.2):
                if message.error() is None:
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
                else:
                    raise RuntimeError(message.error())
    finally:
        consumer.close()


# --- one at a time ---


@dataclass
class Delay:
    p50: float  # milliseconds
    p90: float
    p99: float
    count: int


def delay_of(microseconds):
    values = sorted(microseconds[WARM_UP:])

    def part(percent):
        return values[min(len(values) * percent // 100, len(values) - 1)] / 1000

    return Delay(part(50), part(90), part(99), len(values))


def ask(setting, topics, count):
    """From before a command is published until a read_committed reader has its result."""
    return setting.driver("ask", topics, count + WARM_UP, topics.full("probe-results"))


def bare(setting, topics, count, offsets):
    """A transaction and its reader, without a worker."""
    more = [topics.full("probe-results")] + (["bench-bare"] if offsets else [])
    return setting.driver("bare", topics, count + WARM_UP, *more)


# --- nothing to do ---


@dataclass
class Idle:
    rss: float  # MiB
    anonymous: float  # MiB of it that no file backs
    cpu: float  # milliseconds per second
    wakeups: dict  # thread name: per second


def idle(pid, seconds):
    cpu, switches = proc.cpu_seconds(pid), proc.switches(pid)
    time.sleep(seconds)
    used = proc.cpu_seconds(pid) - cpu
    now = proc.switches(pid)
    wakeups = {}
    for thread, count in now.items():
        name = thread.rpartition(" ")[0]
        wakeups.setdefault(name, []).append((count - switches.get(thread, 0)) / seconds)
    memory = proc.memory(pid)
    return Idle(
        memory["VmRSS"],
        memory["RssAnon"],
        used * 1000 / seconds,
        {
            f"{name} x{len(rates)}" if len(rates) > 1 else name: sum(rates)
            for name, rates in wakeups.items()
        },
    )
