# SPDX-License-Identifier: Apache-2.0
"""The topics of one test: made with a prefix of their own, written to, read to their end."""

import secrets
import time
from dataclasses import dataclass, field

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from . import avro, commands, oracle
from .process import wait_until

DAY = 24 * 3600 * 1000
MIB = 1024 * 1024

# topic: (record, days kept, largest record)
TOPICS = {
    "commands": ("EnvironmentCommand", 14, MIB),
    "probe-results": ("ProbeResult", 14, MIB),
    "lease-results": ("LeaseResult", 14, MIB),
    "execution-results": ("ExecutionResult", 14, MIB),
    "config-results": ("ConfigResult", 14, MIB),
    "workspace-results": ("WorkspaceResult", 14, MIB),
    "setup-results": ("SetupResult", 14, MIB),
    "driver-results": ("DriverListResult", 14, MIB),
    "execution-logs": ("ExecutionLog", 3, MIB),
    "plugin-events": ("PluginEvent", 3, MIB),
    "dead-letters": ("DeadLetter", 14, 2 * MIB),
}
EVENTS = tuple(name for name in TOPICS if name != "commands")
FINAL = tuple(name for name in EVENTS if name not in ("execution-logs", "plugin-events"))


@dataclass(frozen=True)
class Record:
    """A record on the command topic. `command` is its plain form, None when it has none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    command: dict | None = None

    @property
    def position(self):
        return self.topic, self.partition, self.offset

    @property
    def command_id(self):
        return self.command["commandId"] if self.command else None


@dataclass(frozen=True)
class Event:
    """A record on one of the other topics. `topic` is without the prefix."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # as its producer set it, milliseconds
    key: bytes | None
    headers: tuple
    name: str  # of the Avro record
    value: dict = field(repr=False)  # the record; times in milliseconds

    @property
    def final(self):
        return self.topic in FINAL

    @property
    def source(self):
        """Position of the command's record; None for logs and plugin events."""
        if self.name == "DeadLetter":
            where = self.value
        elif "trace" in self.value:
            where = self.value["trace"]
        else:
            return None
        return where["sourceTopic"], where["sourcePartition"], where["sourceOffset"]

    @property
    def command_id(self):
        if "command" in self.value:
            return self.value["command"]["commandId"]
        return self.value.get("commandId")

    @property
    def status(self):
        """SUCCEEDED, FAILED, INTERRUPTED, EXPIRED, or the reason of a dead letter."""
        if self.name == "DeadLetter":
            return self.value["reason"]
        return self.value["outcome"]["status"] if "outcome" in self.value else None

    @property
    def error(self):
        return self.value["outcome"]["error"] if "outcome" in self.value else None

    @property
    def plain(self):
        return avro.to_plain(self.name, self.value)

    def header(self, name):
        """Text of the last header of that name, or None."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode() if value is not None else None
        return None


class Topics:
    def __init__(self, bootstrap, prefix=None):
        self.bootstrap = bootstrap
        self.prefix = prefix or f"t{secrets.token_hex(4)}."
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = None
        self._follower = None

    def full(self, name):
        return self.prefix + name

    # --- making them ---

    def create(
        self, commands=3, results=2, others=1, replication=-1, only=None, of_commands=None
    ):
        """`others`: partitions of plugin-events and dead-letters. -1: the broker's default.
        `of_commands`: more settings of the command topic."""
        wanted = []
        for name, (_, days, largest) in TOPICS.items():
            if only and name not in only:
                continue
            partitions = results
            if name == "commands":
                partitions = commands
            elif name in ("plugin-events", "dead-letters"):
                partitions = others
            config = {
                "cleanup.policy": "delete",
                "retention.ms": str(days * DAY),
                "max.message.bytes": str(largest),
                **(of_commands or {} if name == "commands" else {}),
            }
            wanted.append(NewTopic(self.full(name), partitions, replication, config=config))
        for created in self.admin.create_topics(wanted, operation_timeout=20).values():
            created.result(30)
        wait_until(lambda: self._led(wanted), 20, "the new topics have leaders")
        return self

    def _led(self, wanted):
        """A broker may answer before it has heard of the topics it has just helped to make."""
        known = self.admin.list_topics(timeout=20).topics
        return all(
            new.topic in known
            and len(known[new.topic].partitions) == new.num_partitions
            and all(p.leader >= 0 for p in known[new.topic].partitions.values())
            for new in wanted
        )

    def delete(self, *names):
        """They are gone when it returns."""
        full = {self.full(n) for n in names}
        for deleted in self.admin.delete_topics(list(full)).values():
            deleted.result(30)
        wait_until(
            lambda: not full & self.admin.list_topics(timeout=5).topics.keys(), 10, "topics are gone"
        )
        # A broker still takes records for a moment after it said so, and nothing tells when not.
        time.sleep(0.5)

    # --- writing ---

    def publish(self, *plain, partition=None, headers=(), timestamp=0):
        """Publishes commands as any orchestrator must: key = ordering key, else command id,
        murmur2, idempotent. Returns their Records in the same order."""
        return self._publish(
            [
                (avro.encode_command(one), commands.message_key(one).encode(), one)
                for one in plain
            ],
            partition,
            headers,
            timestamp,
        )

    def publish_raw(self, value, key=None, partition=None, headers=()):
        """Any bytes, or None for a tombstone. Returns the Record."""
        return self._publish([(value, key, _command_of(value))], partition, headers)[0]

    def publish_events(self, *events, producer=None, timestamp=0):
        """Writes what harness.events makes, in order and, when `producer` is a transactional one,
        in its transaction."""
        to = producer or self._connected_producer()
        for topic, name, record, key in events:
            key = key.encode() if isinstance(key, str) else key
            value = avro.encode(name, record)
            to.produce(self.full(topic), value, key, timestamp=timestamp)
        if to.flush(60) != 0:
            raise RuntimeError("the broker did not take all events within 60 s")

    def publish_raw_many(self, values):
        """Many values at once, without keys; nothing is decoded."""
        self._publish([(value, None, None) for value in values], None, ())

    def wait_ends(self, names, total, timeout=60):
        """Until the topics' last stable offsets add up to `total` or more (markers of
        transactions count, too)."""
        deadline = time.monotonic() + timeout
        while sum(self.ends(names).values()) < total:
            if time.monotonic() > deadline:
                raise AssertionError(f"{names}: {self.ends(names)} after {timeout} s, not {total}")
            time.sleep(0.2)

    def _publish(self, rows, partition, headers, timestamp=0):
        placed = [None] * len(rows)

        def delivered(index):
            def report(error, message):
                placed[index] = error or (message.partition(), message.offset())

            return report

        producer = self._connected_producer()
        where = {} if partition is None else {"partition": partition}
        for index, (value, key, _) in enumerate(rows):
            while True:
                try:
                    producer.produce(
                        self.full("commands"),
                        value=value,
                        key=key,
                        headers=list(headers),
                        timestamp=timestamp,
                        on_delivery=delivered(index),
                        **where,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60) != 0:
            raise RuntimeError("the broker did not take all commands within 60 s")
        records = []
        for (value, key, plain), place in zip(rows, placed):
            if isinstance(place, KafkaError):
                raise KafkaException(place)
            records.append(
                Record(self.full("commands"), *place, key, value, tuple(headers), plain)
            )
        return records

    def _connected_producer(self):
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "enable.idempotence": True,
                    "partitioner": "murmur2_random",
                    "linger.ms": 2,
                    "message.max.bytes": 2 * MIB,  # what is too large, the topic says
                    "socket.nagle.disable": True,
                }
            )
        return self._producer

    # --- reading ---

    def read_all(self, names=EVENTS, isolation="read_committed"):
        """Every event from the beginning to the last stable offset of this moment."""
        return [_event(self.prefix, m) for m in self._read(names, isolation)]

    def read_commands(self):
        """Every record of the command topic, also those that hold no command."""
        return [
            Record(
                m.topic(),
                m.partition(),
                m.offset(),
                m.key(),
                m.value(),
                tuple(m.headers() or ()),
                _command_of(m.value()),
            )
            for m in self._read(("commands",), "read_committed")
        ]

    def wait(self, records, timeout=30):
        """Waits until each record has a final event and returns the final events of these
        records. For a verdict use read_all and the oracle: a second event may still come."""
        if self._follower is None:
            self._follower = Follower(self)
        return self._follower.wait(records, timeout)

    def ends(self, names, isolation="read_committed"):
        """{TopicPartition: end} of the partitions that exist; the last stable offset for
        read_committed, the high watermark for read_uncommitted."""
        level = (
            IsolationLevel.READ_COMMITTED
            if isolation == "read_committed"
            else IsolationLevel.READ_UNCOMMITTED
        )
        return self._offsets(names, OffsetSpec.latest(), level)

    def starts(self, names):
        """{TopicPartition: first offset of its log}"""
        return self._offsets(names, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)

    def _offsets(self, names, spec, level):
        asked = {tp: spec for tp in self._partitions(names)}
        deadline = time.monotonic() + 20
        while True:
            answers = self.admin.list_offsets(asked, isolation_level=level, request_timeout=20)
            try:
                return {(tp.topic, tp.partition): f.result(25).offset for tp, f in answers.items()}
            except KafkaException as error:
                # A topic that is new has its leader before the leader knows.
                code = error.args[0].code()
                if code != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _partitions(self, names):
        known = self.admin.list_topics(timeout=20).topics
        missing = [n for n in names if self.full(n) not in known]
        if missing:
            raise RuntimeError(f"no such topic: {', '.join(map(self.full, missing))}")
        return [
            TopicPartition(self.full(name), number)
            for name in names
            for number in known[self.full(name)].partitions
        ]

    def _read(self, names, isolation):
        ends = self.ends(names, isolation)
        starts = self.starts(names)
        left = {tp for tp, end in ends.items() if end > starts[tp]}
        messages = []
        if not left:
            return messages
        consumer = self.consumer(isolation)
        try:
            consumer.assign([TopicPartition(*tp, starts[tp]) for tp in left])
            deadline = time.monotonic() + 60
            while left:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"cannot read to the end of {sorted(left)}")
                for message in _batch(consumer):
                    if message.error() and message.error().code() in AWAY:
                        continue
                    tp = message.topic(), message.partition()
                    reached = message.offset()
                    if message.error() is None:
                        reached += 1
                        if message.offset() < ends[tp]:
                            messages.append(message)
                    elif message.error().code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(message.error())
                    if reached >= ends[tp]:
                        left.discard(tp)
        finally:
            consumer.close()
        messages.sort(key=lambda m: (m.topic(), m.partition(), m.offset()))
        return messages

    def consumer(self, isolation="read_committed", **more):
        """A consumer for assign(): it belongs to no group that matters and commits nothing."""
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"reader-{secrets.token_hex(4)}",
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                **more,
            }
        )

    def close(self):
        if self._follower is not None:
            self._follower.close()


class Follower:
    """Reads final events as they are committed."""

    def __init__(self, topics):
        self.topics = topics
        self.events = {}  # position of the command: its final events
        self.consumer = topics.consumer()
        self.consumer.assign(
            [TopicPartition(tp.topic, tp.partition, 0) for tp in topics._partitions(FINAL)]
        )

    def wait(self, records, timeout):
        deadline = time.monotonic() + timeout
        waiting = {r.position for r in records} - self.events.keys()
        while waiting:
            for message in _batch(self.consumer):
                if message.error() is None:
                    event = _event(self.topics.prefix, message)
                    self.events.setdefault(event.source, []).append(event)
                    waiting.discard(event.source)
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    if message.error().code() not in AWAY and not message.error().retriable():
                        raise KafkaException(message.error())
            if waiting and time.monotonic() > deadline:
                some = [oracle.describe(r) for r in records if r.position in waiting][:10]
                raise AssertionError(
                    f"{len(waiting)} of {len(records)} commands have no final event after "
                    f"{timeout} s: {'; '.join(some)}"
                )
        return [event for r in records for event in self.events[r.position]]

    def close(self):
        self.consumer.close()


# The client connects again by itself; who reads has a deadline.
AWAY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)


def _batch(consumer):
    """Waits for the first message only: consume() alone would wait for the last one too."""
    first = consumer.poll(0.2)
    return [] if first is None else [first, *consumer.consume(5000, 0)]


def _command_of(value):
    """Plain form of a framed command; None for anything else."""
    if value is None:
        return None
    try:
        name, record = avro.decode(value)
        return avro.to_plain(name, record) if name == "EnvironmentCommand" else None
    except Exception:  # fastavro raises many kinds for bad bytes; none of them is a command
        return None


def _event(prefix, message):
    topic = message.topic().removeprefix(prefix)
    name, value = avro.decode(message.value())
    if name != TOPICS[topic][0]:
        raise AssertionError(f"{message.topic()} holds a {name} at offset {message.offset()}")
    return Event(
        topic,
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        tuple(message.headers() or ()),
        name,
        value,
    )
