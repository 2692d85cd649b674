# SPDX-License-Identifier: Apache-2.0
"""The consumer on a real broker: assign and revoke, pauses, gaps, lost sessions. The facts of the
engine's section 0 have their numbers in the docstrings."""

import subprocess
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from harness.case import limit
from harness.parts import FINE, Parts, messages, publish
from harness.paths import BUILD, environment
from harness.process import sanitizer_report
from harness.worker import SANITIZER_OPTIONS


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


def test_where_the_log_is_when_its_leader_dies(t):
    """On the mock cluster; tests/fault/test_three_brokers.py shows it with real brokers."""
    path = BUILD / "tests" / "offsets_check"
    assert path.exists(), f"{path} is not built; run: make SAN=address DEVELOPER=1 unit"
    done = subprocess.run(
        [path], capture_output=True, text=True, timeout=50, env=environment(**SANITIZER_OPTIONS)
    )
    (t.dir / "offsets_check.txt").write_text(done.stdout + done.stderr, "utf-8")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    assert not sanitizer_report(done.stderr)


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


def test_a_full_partition_does_not_hold_up_another(t):
    """Its records come first and wait; with a small backlog it is paused for the other's sake, and
    read on where that began."""
    t.make_topics(commands=3)
    p = Parts(t)
    p("consumer auto")
    p.wait("assigned")
    for size in 3 * [1 << 25] + 3 * [1 << 16]:
        p("backlog", size)
        p("pause 0 1")
        p("pause 2 1")
        p.quiet(0.2)
        before = len(p.seen)
        first = publish(t, 600, 0)
        third = publish(t, 20, 2)
        other = publish(t, 20, 1)
        p.until("message", partition=1, offset=other[-1])
        assert messages(p.seen[before:], 0) == []
        first += publish(t, 100, 0)
        p("pause 2 0")
        p.until("message", partition=2, offset=third[-1])
        p("pause 0 0")
        p.until("message", partition=0, offset=first[-1])
        assert messages(p.seen[before:], 0) == first
        assert messages(p.seen[before:], 1) == other
        assert messages(p.seen[before:], 2) == third


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
    a("unassign")
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
    time.sleep(8)  # beyond the session's time-out
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
    time.sleep(8)  # beyond the session's time-out
    p.cont()
    p("auto 1")
    p("open 0:0")
    p.wait("assign", 20, n=1)
    p.wait("message", offset=1)
    p.quiet(2)
    p("meta")
    assert p.wait("meta")["usable"] == 1
    publish(t, 1)
    p.wait("message", offset=2)


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


@limit(120)
def test_cooperative_members(t):
    """F8, and what stays is not interrupted: no record twice, none lost. An explicit choice, for
    librdkafka from 2.10 on."""
    t.make_topics(commands=4)
    for partition in range(4):
        publish(t, 2, partition)
    a = Parts(t, "a", assignor="cooperative-sticky")
    a("version")
    if a.wait("version")["number"] < 0x020A0000:
        t.skip("this librdkafka is too old for cooperative-sticky")
    a.both("id-a")
    a.quiet(1)
    b = Parts(t, "b", assignor="cooperative-sticky").consumer()
    taken = {x["partition"] for x in a.until("revoke") if x["what"] == "revoked"}
    kept = set(range(4)) - taken
    assert len(taken) == 2, taken
    b.wait("assign", n=2)
    a.quiet(2)
    for partition in range(4):
        publish(t, 2, partition)
    a.quiet(1)
    for partition in kept:
        assert messages(a.seen, partition) == [0, 1, 2, 3], partition
    for partition in taken:
        assert messages(a.seen, partition) == [0, 1], partition
    one = min(kept)
    assert a.batch(f"{one}:0:probe-results:1:10", f"{one}=4=")["trouble"] == FINE
    b("leave")
    b.wait("revoke", n=2)
    b("close-consumer 5000")
    b.wait("consumer closed")
    a.wait("assign", n=2)
    a.quiet(2)
    for partition in taken:
        assert messages(a.seen, partition) == [0, 1, 0, 1, 2, 3], partition
    for partition in kept:
        assert messages(a.seen, partition) == [0, 1, 2, 3], partition
