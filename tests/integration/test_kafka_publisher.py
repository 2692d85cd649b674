# SPDX-License-Identifier: Apache-2.0
"""The publisher on a real broker: every row of its table that a broker can be made to answer, and
the faults in which a batch is in doubt. The rules of docs/reliability.md have their numbers in the
docstrings."""

import signal
import threading
import time

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from harness.case import limit
from harness.parts import (
    AGAIN,
    DENIED,
    FINE,
    GENERATION,
    LEASE,
    METADATA,
    PARKED,
    TOO_LARGE,
    Parts,
    committed,
    expect,
    publish,
    published,
    values,
)


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
    expect(t, "probe-results", sorted(f"0/{i}/0" for i in range(1000)))


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


@limit(90)
def test_a_commit_that_is_not_answered(t):
    """T1: asked again until answered; the producer is recreated afterwards."""
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


@limit(180)
def test_log_records_ahead_of_their_result(t):
    """docs/engine.md section 6, "Large output": a batch without offsets needs no group, and is
    published again when it is in doubt: each record at least once, none lost."""
    broker = t.own_broker()
    t.make_topics(commands=1)
    p = Parts(t, transaction__timeout="2s").publisher()
    for i in range(30):
        if i in (5, 15, 25):
            threading.Timer(0.004 * (i // 5), broker.pause).start()
            threading.Timer(6, broker.cont).start()
        published(p, f"batch 0:{i}:execution-logs:3:2000")
    found = values(t, "execution-logs")
    assert sorted(set(found)) == sorted(f"0/{i}/{k}" for i in range(30) for k in range(3)), found
    # All of a batch, as often as it was published.
    for i in range(30):
        times = {found.count(f"0/{i}/{k}") for k in range(3)}
        assert len(times) == 1 and times <= {1, 2}, (i, found)
    t.expect_none([x for x in p.seen if x["what"] == "fatal"])


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
    """So that a denial is one: a resource with any rule is closed to what the rule does not
    name."""
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
