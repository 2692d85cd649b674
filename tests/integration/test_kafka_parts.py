# SPDX-License-Identifier: Apache-2.0
"""Consumer, publisher, broker and notice on a real broker, each without the rest of envdriver:
tests/integration/kafka_parts.c moves them by lines and tells what they said."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from harness import avro
from harness.case import limit
from harness.paths import BUILD, environment
from harness.process import sanitizer_report, spawn
from harness.worker import SANITIZER_OPTIONS

FINE, AGAIN, TOO_LARGE, REFUSED, PARKED, GENERATION, METADATA, DENIED, FENCED = range(9)
PROBE, LEASE = 1, 2  # numbers of topics


class Parts:
    """One kafka_parts process. Whatever it says is kept in `seen`."""

    def __init__(self, t, name="a", env=None, **settings):
        path = BUILD / "tests" / "kafka_parts"
        if not path.exists():
            raise AssertionError(f"{path} is not built; run: make SAN=address DEVELOPER=1 unit")
        config = {
            "kafka.bootstrap.servers": t.bootstrap,
            "kafka.group.id": f"{t.topics.prefix}group",
            "kafka.session.timeout.ms": "6000",
            "kafka.heartbeat.interval.ms": "500",
            "topic.prefix": t.topics.prefix,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        self.errors = t.dir / f"{name}.stderr"
        with open(self.errors, "wb") as errors:
            self.process = spawn(
                [path, *(f"{k}={v}" for k, v in config.items())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(**SANITIZER_OPTIONS, **(env or {})),
            )
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        t.at_end(self.end)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def __call__(self, *words):
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
        self.process.stdin.flush()

    def wait(self, what, timeout=15, **fields):
        """The next line of that kind (or of one of those kinds) with those values."""
        kinds = (what,) if isinstance(what, str) else what
        deadline = time.monotonic() + timeout
        passed = []
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no {what} {fields} within {timeout} s, but {passed[-20:]}")
            self.seen.append(line)
            passed.append(line)
            if line["what"] in kinds and all(line[k] == v for k, v in fields.items()):
                return line

    def until(self, what, **fields):
        """All lines up to the next of that kind."""
        before = len(self.seen)
        self.wait(what, **fields)
        return self.seen[before:]

    def quiet(self, seconds):
        """Everything said within that time."""
        time.sleep(seconds)
        lines = []
        while not self.lines.empty():
            lines.append(self.lines.get())
        self.seen += [line for line in lines if line]
        return [line for line in lines if line]

    def publisher(self, identity="id"):
        self("publisher", identity)
        self.wait("ready", ready=1)
        return self

    def consumer(self):
        """Opens what it is given, at the committed offsets."""
        self("consumer auto")
        self.wait("assign")
        return self

    def both(self, identity="id"):
        self.consumer()
        return self.publisher(identity)

    def batch(self, *words, timeout=30):
        self("batch", *words)
        return self.wait("verdict", timeout)

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self):
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        if self.process.poll() is None:
            try:
                self("quit")
                self.process.stdin.close()
                self.process.wait(20)
            except (subprocess.TimeoutExpired, BrokenPipeError):
                self.process.kill()
                self.process.wait()
                raise AssertionError("kafka_parts did not end")
        report = sanitizer_report(self.errors.read_text(errors="replace"))
        if report:
            raise AssertionError(report)
        if self.process.returncode not in (0, -signal.SIGKILL):
            raise AssertionError(f"kafka_parts ended with {self.process.returncode}")


def values(t, name, isolation="read_committed"):
    """What the records of a topic begin with: "partition/offset/number"."""
    for _ in range(20):
        try:
            found = t.topics._read((name,), isolation)
            return sorted(m.value().decode().partition(";")[0] for m in found)
        except KafkaException as error:  # a topic made a moment ago, a broker back a moment ago
            if not error.args[0].retriable():
                raise
            time.sleep(0.1)
    raise AssertionError(f"{name} cannot be read")


def expect(t, name, expected):
    """The commit is certain before its markers are written: a reader sees it a moment later."""
    deadline = time.monotonic() + 5
    while values(t, name) != expected:
        assert time.monotonic() < deadline, f"{name}: {values(t, name)}, not {expected}"
        time.sleep(0.05)


def committed(p, partition=0):
    """(offset, metadata) of the group; -1001 is none."""
    p("committed", partition)
    line = p.wait("committed")
    return line["offset"], line["metadata"]


def publish(t, n, partition=0):
    return [t.topics.publish_raw(b"x", partition=partition).offset for _ in range(n)]


def messages(lines, partition=None):
    return [
        line["offset"]
        for line in lines
        if line["what"] == "message" and partition in (None, line["partition"])
    ]


# --- publisher ---


def test_results_and_offsets_are_one(t):
    t.make_topics(commands=2)
    p = Parts(t).both()
    verdict = p.batch(
        "0:7:probe-results:1:20", "0:8:lease-results:3:50", "1:4:execution-logs:2:1000",
        "0=9=abc", "1=5=",
    )  # fmt: skip
    assert (verdict["trouble"], verdict["done"], verdict["of"]) == (FINE, 3, 3)
    expect(t, "probe-results", ["0/7/0"])
    expect(t, "lease-results", ["0/8/0", "0/8/1", "0/8/2"])
    expect(t, "execution-logs", ["1/4/0", "1/4/1"])
    assert (committed(p, 0), committed(p, 1)) == ((9, "abc"), (5, ""))
    [message] = t.topics._read(("probe-results",), "read_committed")
    assert message.key() == b"key"
    assert message.headers() == [("command-id", b"c"), ("nothing", None)]


def test_offsets_alone_and_records_alone(t):
    t.make_topics(commands=1)
    p = Parts(t).both()
    assert p.batch("0=3=only")["trouble"] == FINE
    assert committed(p) == (3, "only")
    assert p.batch("0:5:execution-logs:4:100")["trouble"] == FINE
    expect(t, "execution-logs", ["0/5/0", "0/5/1", "0/5/2", "0/5/3"])
    assert committed(p) == (3, "only")


def test_a_thousand_in_one(t):
    t.make_topics(commands=1)
    p = Parts(t).both()
    items = [f"0:{i}:probe-results:1:300" for i in range(1000)]
    assert p.batch(*items, "0=1000=", timeout=30)["done"] == 1000
    assert len(values(t, "probe-results")) == 1000


def test_too_large_names_the_item(t):
    t.make_topics(commands=1)
    p = Parts(t).both()
    rows = [
        # local limit (message.max.bytes of the client), then the broker's
        ("4000000", 0, 3),
        ("1500000", 1, 3),
    ]
    for size, item, n in rows:
        items = [f"0:{i}:probe-results:1:{size if i == item else 10}" for i in range(n)]
        verdict = p.batch(*items, "0=3=")
        assert (verdict["trouble"], verdict["item"]) == (TOO_LARGE, item), (size, verdict)
        assert verdict["done"] == 0
    expect(t, "probe-results", [])
    assert committed(p) == (-1001, "")
    assert p.batch("0:0:probe-results:1:900000", "0=1=")["trouble"] == FINE


def test_offset_metadata_of_4096_characters(t):
    t.make_topics(commands=1)
    p = Parts(t).both()
    assert p.batch("0:0:probe-results:1:10", "0=1=" + 4097 * "m")["trouble"] == METADATA
    expect(t, "probe-results", [])
    assert p.batch("0:0:probe-results:1:10", "0=1=" + 4096 * "m")["trouble"] == FINE
    assert committed(p) == (1, 4096 * "m")


def test_a_missing_topic_parks_only_its_own(t):
    t.make_topics(commands=1)
    t.topics.delete("lease-results")
    p = Parts(t).both()
    for _ in range(2):
        began = time.monotonic()
        verdict = p.batch("0:0:probe-results:1:10", "0:1:lease-results:1:10", "0=2=")
        assert (verdict["trouble"], verdict["topic"]) == (PARKED, LEASE), verdict
        assert time.monotonic() - began < 5
    assert p.batch("0:0:probe-results:1:10", "0=1=")["trouble"] == FINE
    t.topics.create(only=("lease-results",))
    for _ in range(20):
        verdict = p.batch("0:1:lease-results:1:10", "0=2=")
        if verdict["trouble"] == FINE:
            break
        assert verdict["trouble"] == PARKED
        time.sleep(0.2)
    expect(t, "probe-results", ["0/0/0"])
    expect(t, "lease-results", ["0/1/0"])


def test_a_topic_that_goes_away(t):
    """T8: deleted while the producer knows it."""
    t.make_topics(commands=1)
    p = Parts(t).both()
    assert p.batch("0:0:lease-results:1:10", "0=1=")["trouble"] == FINE
    t.topics.delete("lease-results")
    time.sleep(0.5)
    for _ in range(2):
        verdict = p.batch("0:1:lease-results:1:10", "0=2=")
        assert (verdict["trouble"], verdict["topic"]) == (PARKED, LEASE), verdict
    assert p.batch("0:1:probe-results:1:10", "0=2=")["trouble"] == FINE


def test_a_stale_generation_aborts_and_goes_on(t):
    """T4: the metadata sealed with a batch is older than the group."""
    t.make_topics(commands=2)
    p = Parts(t, "a").both("id-a")
    assert p.batch("0:0:probe-results:1:10", "0=1=")["trouble"] == FINE
    Parts(t, "b").consumer()
    p.wait("assign")
    verdict = p.batch("0:1:probe-results:1:10", "0=2=", "stale")
    assert verdict["trouble"] == GENERATION, verdict
    assert p.batch("0:1:probe-results:1:10", "0=2=")["trouble"] == FINE
    expect(t, "probe-results", ["0/0/0", "0/1/0"])


def published(p, line, timeout=60):
    """Submits a batch until it is done, as flow would."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        wait_idle(p)
        p(line)
        said = p.wait(("verdict", "no meta"), timeout)  # no meta: not in the group for now
        if said["what"] == "verdict" and said["trouble"] == FINE:
            return
        time.sleep(0.2)
    raise AssertionError(f"never published: {line}: {p.seen[-10:]}")


@limit(90)
def test_a_commit_that_is_not_answered(t):
    """T1: asked again until answered; the producer is made anew afterwards."""
    broker = t.own_broker()
    t.make_topics(commands=1)
    publish(t, 3)
    p = Parts(t).both()
    assert p.batch("0:0:probe-results:1:10", "0=1=")["trouble"] == FINE
    broker.pause()
    p("batch 0:1:probe-results:1:10 0=2=")
    assert p.wait("ready", ready=0)
    time.sleep(2)
    broker.cont()
    if p.wait("verdict")["trouble"] != FINE:
        published(p, "batch 0:1:probe-results:1:10 0=2=")
    published(p, "batch 0:2:probe-results:1:10 0=3=")
    expect(t, "probe-results", ["0/0/0", "0/1/0", "0/2/0"])
    assert committed(p) == (3, "")


def exactly_once(t, p, n, disturb):
    """Publishes n batches, each again until it is done, while disturb(i) is called before each.
    Every record must be there once, and the offset at its end."""
    for i in range(n):
        disturb(i)
        published(p, f"batch 0:{i}:probe-results:1:200 0={i + 1}=")
    expect(t, "probe-results", sorted(f"0/{i}/0" for i in range(n)))
    assert committed(p)[0] == n


def wait_idle(p, timeout=60):
    """Until the last thing said of readiness is that it is ready."""
    deadline = time.monotonic() + timeout
    while True:
        p.quiet(0)
        told = [x for x in p.seen if x["what"] == "ready"]
        if told and told[-1]["ready"]:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not ready again: {p.seen[-10:]}")
        time.sleep(0.02)


@limit(180)
def test_the_broker_dies_and_comes_back(t):
    """T9, in the middle of many transactions."""
    broker = t.own_broker()
    t.make_topics(commands=1)
    publish(t, 100)
    p = Parts(t).both()

    def disturb(i):
        if i in (20, 60):
            threading.Timer(0.01, broker.kill).start()
            threading.Timer(1.5, broker.restart).start()

    exactly_once(t, p, 100, disturb)


@limit(180)
def test_the_broker_stands_still_beyond_the_transaction(t):
    """T1, T2: older than the time-out, the batch is in doubt; the committed offsets decide."""
    broker = t.own_broker()
    t.make_topics(commands=1)
    publish(t, 60)
    p = Parts(t, transaction__timeout="2s").both()

    def disturb(i):
        if i in (5, 25, 45):
            threading.Timer(0.004 * (i // 5), broker.pause).start()
            threading.Timer(6, broker.cont).start()

    exactly_once(t, p, 60, disturb)


@limit(120)
def test_we_stand_still_beyond_the_transaction(t):
    """T2, T5: stopped anywhere in a transaction, beyond its time-out and our session's."""
    t.make_topics(commands=1)
    publish(t, 60)
    p = Parts(t, transaction__timeout="1s").both()

    def disturb(i):
        if i % 10 == 5:

            def stand_still():
                p.stop()
                time.sleep(2)
                p.cont()

            threading.Timer(0.0007 * i, stand_still).start()

    exactly_once(t, p, 60, disturb)


@limit(90)
def test_two_with_one_id_fence_each_other(t):
    """T3: the younger wins; two true fences within a minute end the loser with 69."""
    t.make_topics(commands=1)
    a = Parts(t, "a").both("same")
    assert a.batch("0:0:probe-results:1:10", "0=1=")["trouble"] == FINE
    b = Parts(t, "b", kafka__group__id=f"{t.topics.prefix}other").both("same")
    a("batch 0:1:probe-results:1:10 0=2=")
    verdict = a.wait("verdict")
    assert verdict["trouble"] == AGAIN and verdict["done"] == 0, verdict
    a.wait("ready", ready=1)  # and has fenced b by that
    assert a.batch("0:1:probe-results:1:10", "0=2=")["trouble"] == FINE
    b("batch 0:9:lease-results:1:10 0=2=")
    b.wait("verdict")
    b.wait("ready", ready=1)
    a("batch 0:2:probe-results:1:10 0=3=")
    fatal = a.wait("fatal")
    assert fatal["code"] == 69 and "'same'" in fatal["text"], fatal
    expect(t, "probe-results", ["0/0/0", "0/1/0"])


@limit(60)
def test_closing_is_bounded(t):
    broker = t.own_broker()
    t.make_topics(commands=1)
    p = Parts(t).both()
    broker.pause()
    p("batch 0:0:probe-results:1:10 0=1=")
    time.sleep(0.5)
    began = time.monotonic()
    p("close-publisher 1500")
    lines = p.until("publisher closed")
    assert time.monotonic() - began < 8
    [verdict] = [line for line in lines if line["what"] == "verdict"]
    assert verdict["trouble"] == AGAIN and verdict["done"] == 0
    began = time.monotonic()
    p("leave")
    p("close-consumer 1500")
    p.wait("consumer closed")
    assert time.monotonic() - began < 3
    broker.cont()


@limit(120)
def test_killed_at_each_stage(t):
    """Fault 1: whatever was committed is there once, and the next one of the same id ends what
    was begun, so that readers do not stall."""
    t.make_topics(commands=1)
    expected = []
    for n, (stage, published) in enumerate(
        (("begun", 0), ("produced", 0), ("offsets", 0), ("committing", 0), ("committed", 1))
    ):
        p = Parts(t, stage, env={"ENVDRIVER_CRASH_AT": stage}).both()
        p(f"batch 0:{n}:probe-results:1:10 0={n + 1}=")
        assert p.process.wait(20) == -signal.SIGKILL, stage
        again = Parts(t, f"{stage}-2").publisher()
        began = time.monotonic()
        expected += [f"0/{n}/0"] * published
        expect(t, "probe-results", expected)
        assert time.monotonic() - began < 5, stage
        assert committed(again)[0] == (n + 1 if published else -1001), stage
        again.end()


def test_a_time_out_longer_than_the_broker_takes(t):
    t.own_broker(transaction_max_timeout_ms="5000")
    t.make_topics(commands=1)
    assert_exit(Parts(t), "publisher id", 78, "transaction.max.timeout.ms")


def acl(kind, resource, name, operation, permission):
    return kind(
        resource, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission
    )


def permit_all(t):
    """So that a denial is one: a resource with any rule is closed to what the rule does not name."""
    resources = [ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID]
    rules = [
        acl(AclBinding, resource, "*", AclOperation.ALL, AclPermissionType.ALLOW)
        for resource in resources
    ]
    for done in t.topics.admin.create_acls(rules).values():
        done.result(10)


class Denied:
    """Takes a permission away for a while."""

    def __init__(self, t, resource, name, operation):
        self.admin = t.topics.admin
        self.what = resource, name, operation, AclPermissionType.DENY

    def __enter__(self):
        for done in self.admin.create_acls([acl(AclBinding, *self.what)]).values():
            done.result(10)
        time.sleep(0.5)

    def __exit__(self, *_):
        for done in self.admin.delete_acls([acl(AclBindingFilter, *self.what)]).values():
            done.result(10)


@limit(180)
def test_what_is_not_permitted(t):
    """Fault 25: at start an exit code and the resource's name; later it waits and goes on."""
    t.own_broker(
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        allow_everyone_if_no_acl_found="true",
    )
    t.make_topics(commands=1)
    permit_all(t)
    publish(t, 3)
    group = f"{t.topics.prefix}group"
    p = Parts(t).both()

    with Denied(t, ResourceType.TOPIC, t.topics.full("lease-results"), AclOperation.WRITE):
        verdict = p.batch("0:0:probe-results:1:10", "0:1:lease-results:1:10", "0=2=")
        assert (verdict["trouble"], verdict["topic"]) == (PARKED, LEASE), verdict
        published(p, "batch 0:0:probe-results:1:10 0=1=")
        verdict = p.batch("0:1:lease-results:1:10", "0=2=")
        assert (verdict["trouble"], verdict["topic"]) == (PARKED, LEASE), verdict
    published(p, "batch 0:1:lease-results:1:10 0=2=")

    with Denied(t, ResourceType.GROUP, group, AclOperation.READ):
        assert p.batch("0:2:probe-results:1:10", "0=3=")["trouble"] == DENIED
        assert_exit(Parts(t, "group"), "consumer auto", 77, group)
    published(p, "batch 0:2:probe-results:1:10 0=3=")

    with Denied(t, ResourceType.TRANSACTIONAL_ID, "denied", AclOperation.WRITE):
        assert_exit(Parts(t, "id"), "publisher denied", 77, "'denied'")

    commands = t.topics.full("commands")
    with Denied(t, ResourceType.TOPIC, commands, AclOperation.DESCRIBE):
        assert_exit(Parts(t, "topic", kafka__group__id="another"), "consumer auto", 77, commands)
    name = t.topics.full("probe-results")
    with Denied(t, ResourceType.TOPIC, name, AclOperation.DESCRIBE):
        q = Parts(t, "look")
        q("look 5000")
        facts = q.wait("facts")
        assert facts["exit"] == 77 and name in facts["text"], facts
    expect(t, "lease-results", ["0/1/0"])


def assert_exit(p, line, code, text):
    p(line)
    fatal = p.wait("fatal", 30)
    assert fatal["code"] == code and text in fatal["text"], fatal
    p.end()


# --- consumer ---


def test_records_and_where_the_log_is(t):
    t.make_topics(commands=1)
    offsets = publish(t, 5)
    p = Parts(t)
    p("consumer auto")
    first = p.wait("assigned")
    assert (first["committed"], first["start"], first["end"]) == (-1, 0, 5)
    got = p.until("message", offset=4)
    assert messages(got) == offsets
    p("meta")
    assert p.wait("meta")["usable"] == 1
    p("publisher id")
    p.wait("ready", ready=1)
    assert p.batch("0=3=list")["trouble"] == FINE
    p("leave")
    p.wait("revoke", lost=0)
    p("meta")
    assert p.wait("meta")["usable"] == 0
    p("close-consumer 5000")
    p.wait("consumer closed")
    p("consumer auto")
    again = p.wait("assigned")
    assert (again["committed"], again["metadata"]) == (3, "list")
    assert messages(p.until("message", offset=4)) == [3, 4]


def test_pauses_lose_nothing(t):
    t.make_topics(commands=2)
    p = Parts(t).consumer()
    expected = {0: [], 1: []}
    for turn in range(6):
        p("pause 0", turn % 2)
        p("pauseall", int(turn == 3))
        for partition in (0, 1):
            expected[partition] += publish(t, 3, partition)
        got = p.quiet(0.7)
        if turn % 2 or turn == 3:
            assert not messages(got, 0), turn
        if turn == 3:
            assert not messages(got, 1), turn
    p("pause 0 0")
    p("pauseall 0")
    p.quiet(1)
    assert messages(p.seen, 0) == expected[0]
    assert messages(p.seen, 1) == expected[1]


def test_a_held_partition_is_not_read(t):
    t.make_topics(commands=2)
    publish(t, 3, 0)
    publish(t, 3, 1)
    p = Parts(t)
    p("consumer")
    p.wait("assign", n=2)
    p.quiet(0.3)
    p("open 1:1")
    got = p.quiet(1.5)
    assert messages(got, 0) == []
    assert messages(got, 1) == [1, 2]
    publish(t, 1, 0)
    p("pauseall 1")
    p("pauseall 0")
    assert messages(p.quiet(0.7), 0) == []


@limit(90)
def test_a_pause_does_not_outlive_the_assignment(t):
    """F6: paused, moved away, moved back: it begins where it is told to, and is read."""
    t.make_topics(commands=2)
    for partition in (0, 1):
        publish(t, 10, partition)
    a = Parts(t, "a").both("id-a")
    a.quiet(1)
    for partition in (0, 1):
        a("pause", partition, 1)
    assert a.batch("0=4=", "1=6=")["trouble"] == FINE
    b = Parts(t, "b").consumer()
    a.wait("revoke", n=2)
    a.wait("assign", n=1)
    b("leave")
    b.wait("revoke")
    b("close-consumer 5000")
    b.wait("consumer closed")
    a.wait("revoke", n=1)
    before = len(a.seen)
    a.wait("assign", n=2)
    a.quiet(1.5)
    assert messages(a.seen[before:], 0) == list(range(4, 10))
    assert messages(a.seen[before:], 1) == list(range(6, 10))


@limit(90)
def test_an_earlier_offset_is_begun_at(t):
    """What was delivered and not committed comes again after a move, also when a partition was
    paused far ahead."""
    t.make_topics(commands=1)
    publish(t, 10)
    p = Parts(t).consumer()
    p.wait("message", offset=9)
    p("pause 0 1")
    other = Parts(t, "b").consumer()
    p.wait("revoke")
    other("leave")
    other("close-consumer 5000")
    before = len(p.seen)
    p.wait("assign", n=1)
    p.quiet(1.5)
    assert messages(p.seen[before:]) in (list(range(10)), 2 * list(range(10)))


@limit(60)
def test_a_late_answer_keeps_the_membership(t):
    """F7: an assign and a revoke answered after more than the session time-out."""
    t.make_topics(commands=2)
    publish(t, 2)
    a = Parts(t, "a")
    a("consumer")
    a.wait("assign", n=2)
    assert not [x for x in a.quiet(8) if x["what"] in ("revoke", "assign")]
    a("open 0:0 1:0")
    a.wait("message", offset=1)
    a("meta")
    assert a.wait("meta")["usable"] == 1
    b = Parts(t, "b")
    b("consumer auto")
    a.wait("revoke", n=2)
    assert not [x for x in a.quiet(8) if x["what"] == "revoke"]
    a("meta")
    assert a.wait("meta")["usable"] == 1
    a("letgo")
    a.wait("assign", n=1)
    b.wait("assign", n=1)


@limit(60)
def test_an_open_transaction_makes_the_assign_wait(t):
    """F3: the offset of a pending commit is neither old nor new until it is decided."""
    t.make_topics(commands=1)
    publish(t, 3)
    p = Parts(t, "a").both("id-a")
    assert p.batch("0=1=old")["trouble"] == FINE
    p("leave")
    p.wait("revoke")
    p("close-consumer 5000")
    p.wait("consumer closed")
    other = Producer(
        {"bootstrap.servers": t.bootstrap, "transactional.id": f"{t.topics.prefix}other"}
    )
    other.init_transactions(10)
    for ending, offset in (("commit", 2), ("abort", 2)):
        other.begin_transaction()
        # A group without members takes offsets from anybody.
        nobody = Consumer(
            {"bootstrap.servers": t.bootstrap, "group.id": f"{t.topics.prefix}group"}
        )
        partition = TopicPartition(t.topics.full("commands"), 0, 2 if ending == "commit" else 3)
        other.send_offsets_to_transaction([partition], nobody.consumer_group_metadata(), 10)
        q = Parts(t, f"b-{ending}")
        q("consumer auto")
        assert not [x for x in q.quiet(4) if x["what"] == "assign"]
        getattr(other, f"{ending}_transaction")(10)
        assert q.wait("assigned")["committed"] == offset, ending
        q("leave")
        q("close-consumer 5000")
        q.wait("consumer closed")
        q.end()
        nobody.close()


@limit(90)
def test_a_session_that_ran_out(t):
    """Stopped beyond the session time-out: the assignment is lost, and comes again."""
    t.make_topics(commands=1)
    publish(t, 2)
    p = Parts(t).consumer()
    p.wait("message", offset=1)
    p.stop()
    time.sleep(8)
    p.cont()
    p.wait("revoke", lost=1)
    p.wait("assign", n=1)
    p.wait("message", offset=1)
    p("meta")
    assert p.wait("meta")["usable"] == 1


@limit(90)
def test_a_session_that_ran_out_before_the_answer(t):
    """Stopped while the answer to an assign is owed: what we say late must not stand."""
    t.make_topics(commands=1)
    publish(t, 2)
    p = Parts(t)
    p("consumer")
    p.wait("assign", n=1)
    p.stop()
    time.sleep(8)
    p.cont()
    p("auto 1")
    p("open 0:0")
    p.wait("assign", 20, n=1)
    p.wait("message", offset=1)
    p.quiet(2)
    p("meta")
    assert p.wait("meta")["usable"] == 1


def test_the_log_begins_later(t):
    """Records below what is read are deleted: it goes on from the log's start, and says so. The
    other partition is not disturbed."""
    t.make_topics(commands=2)
    publish(t, 10, 0)
    publish(t, 10, 1)
    topic = t.topics.full("commands")
    for done in t.topics.admin.delete_records([TopicPartition(topic, 0, 6)]).values():
        done.result(10)
    p = Parts(t)
    p("consumer")
    assert p.wait("assigned", partition=0)["start"] == 6
    p.quiet(0.2)
    p("open 0:2 1:3")
    gap = p.wait("gap")
    assert (gap["partition"], gap["start"], gap["beyond"]) == (0, 6, 0)
    publish(t, 2, 1)
    p.quiet(2)
    assert messages(p.seen, 0) == [6, 7, 8, 9]
    assert messages(p.seen, 1) == list(range(3, 12))


def test_an_offset_beyond_the_log(t):
    t.make_topics(commands=1)
    publish(t, 3)
    p = Parts(t)
    p("consumer")
    p.wait("assigned")
    p.quiet(0.2)
    p("open 0:50")
    assert p.wait("gap")["beyond"] == 1
    publish(t, 1)
    assert messages(p.quiet(1)) == []


def test_a_missing_command_topic(t):
    t.make_topics(commands=1)
    t.topics.delete("commands")
    p = Parts(t, kafka__topic__metadata__refresh__interval__ms="500")
    p("consumer auto")
    why = p.wait("state")["why"]
    assert t.topics.full("commands") in why and "envdriver topics create" in why, why
    t.topics.create(commands=1, only=("commands",))
    p.wait("assign", 20, n=1)
    p.wait("state", why="")


@limit(90)
def test_no_broker_and_back(t):
    broker = t.own_broker()
    t.make_topics(commands=1)
    p = Parts(t).both()
    broker.kill()
    assert p.wait("state", 20)["why"].startswith("Kafka: ")
    broker.restart()
    p.wait("state", 20, why="")
    publish(t, 1)
    p.wait("message", 20, offset=0)


@limit(60)
def test_closing_without_a_broker(t):
    broker = t.own_broker()
    t.make_topics(commands=1)
    p = Parts(t).consumer()
    broker.kill()
    p.wait("state", 20)
    began = time.monotonic()
    p("leave")
    p.wait("revoke")
    p("close-consumer 3000")
    p.wait("consumer closed")
    assert time.monotonic() - began < 4


@limit(120)
def test_partitions_wander_and_nothing_is_lost(t):
    """A storm of members; each record is delivered to whoever owns its partition, from the
    committed offset on."""
    t.make_topics(commands=4)
    steady = Parts(t, "steady").consumer()
    for turn in range(4):
        other = Parts(t, f"other-{turn}").consumer()
        for partition in range(4):
            publish(t, 2, partition)
        time.sleep(0.5)
        other("leave")
        other.wait("revoke")
        other("close-consumer 5000")
        other.wait("consumer closed")
        other.end()
    steady.quiet(4)
    for partition in range(4):
        assert set(messages(steady.seen, partition)) >= set(range(8)), partition
        last = max(
            i for i, x in enumerate(steady.seen) if x["what"] == "assigned" and x["partition"] == partition
        )
        assert messages(steady.seen[last:], partition) == list(range(8)), partition


# --- broker ---


def test_a_look_at_the_cluster(t):
    t.make_topics(commands=1)
    p = Parts(t)
    p("look 5000")
    facts = p.wait("facts")
    assert facts["reached"] and facts["exit"] == 0 and facts["missing"] == "", facts
    assert len(facts["cluster"]) == 22
    assert (facts["retention"], facts["compacted"]) == (14 * 24 * 3600 * 1000, 0)
    t.topics.delete("setup-results", "dead-letters")
    time.sleep(0.5)
    p("look 5000")
    missing = p.wait("facts")["missing"]
    assert missing == f"{t.topics.full('setup-results')}, {t.topics.full('dead-letters')}", missing


def test_a_look_at_nothing(t):
    t.make_topics(commands=1)
    p = Parts(t, kafka__bootstrap__servers="127.0.0.1:9")
    began = time.monotonic()
    p("look 2000")
    facts = p.wait("facts")
    assert time.monotonic() - began < 3
    assert not facts["reached"] and facts["exit"] == 0
    assert "127.0.0.1:9" in facts["text"]


# --- notice ---


def test_a_plugin_event(t):
    t.make_topics(commands=1)
    p = Parts(t)
    p("notice plugin-1")
    p("quit")
    p.process.wait(20)
    [event] = t.topics.read_all(("plugin-events",))
    assert (event.name, event.key, event.header("schema")) == ("PluginEvent", b"plugin-1", "PluginEvent")
    value = event.value
    assert value["type"] == "WORKER_CRASHED"
    assert (value["pluginId"], value["pluginKey"]) == ("plugin-1", "acme.plugin")
    assert (value["pid"], value["exitCode"], value["signal"]) == (42, None, "SIGSEGV")
    assert (value["willRestart"], value["consecutiveCrashes"], value["totalCrashes"]) == (True, 1, 2)
    assert value["details"] == "{}" and value["message"] is None
    assert avro.time_text(value["nextRestartAt"]) == "2026-11-23T05:17:57.000Z"


@limit(60)
def test_a_flood_neither_waits_nor_grows(t):
    """Without a broker 8 MiB are kept; the rest is dropped at once."""
    t.make_topics(commands=1)
    p = Parts(t, kafka__bootstrap__servers="127.0.0.1:9")
    p("flood 2000 100000")
    assert p.wait("flooded", 20)["took"] < 5000
    with open(f"/proc/{p.pid}/status", encoding="ascii") as status:
        [resident] = [line for line in status if line.startswith("VmRSS")]
    assert int(resident.split()[1]) < 300000, resident  # kB, under the sanitizer
