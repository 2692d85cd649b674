# SPDX-License-Identifier: Apache-2.0
"""`envdriver audit verify`: what it says of records that a test wrote itself, so that what is wrong
with them is known. The independent oracle has to see the same."""

import json
import subprocess
import threading
import time

from confluent_kafka import Producer, TopicPartition

from harness import oracle
from harness.case import limit
from harness.commands import command
from harness.events import dead_letter, execution_result, large_output, lease_result, probe_result
from harness.paths import environment
from harness.process import wait_until
from harness.worker import program

DAY = 24 * 3600 * 1000
USAGE, UNAVAILABLE = 64, 69


class Verdict:
    def __init__(self, done):
        self.code, self.stderr = done.returncode, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.summary = rows.pop()["summary"] if rows else None
        self.rows = rows

    def found(self):
        """{(kind, topic without prefix, partition, offset, command)}"""
        return {
            (r["finding"], r["topic"].split(".", 1)[1], r["partition"], r["offset"], r["commandId"])
            for r in self.rows
        }

    def kinds(self):
        return sorted(r["finding"] for r in self.rows)


def verify(t, *arguments, **more):
    verdict = Verdict(t.cli("audit", "verify", "--json", *arguments, **more))
    assert verdict.code in (0, 1), verdict.stderr
    findings = [r for r in verdict.rows if r["finding"] != "gone"]
    assert verdict.summary["findings"] == len(findings), verdict.summary
    assert verdict.summary["clean"] == (verdict.code == 0) == (not findings), verdict.summary
    return verdict


def oracle_sees(t):
    records, events = t.topics.read_commands(), t.topics.read_all()
    return oracle.check_exactly_once(records, events) + oracle.check_output(events)


def probes(t, count, **more):
    """Published commands and their results, not yet written."""
    records = t.topics.publish(*(command("Probe") for _ in range(count)), **more)
    return records, [probe_result(r.command, r.position) for r in records]


def test_clean(t):
    records, results = probes(t, 20)
    lease, run = t.topics.publish(command("AcquireLease"), command("Execute"))
    junk = t.topics.publish_raw(b"junk", key=b"k")
    again = t.topics.publish(records[0].command)[0]
    t.topics.publish_events(
        *results,
        lease_result(lease.command, lease.position),
        *large_output(run.command, run.position, ["one\n", "two\n", "three\n"]),
        dead_letter(junk, "UNREADABLE_COMMAND"),
        dead_letter(again, "DUPLICATE_COMMAND", first=records[0]),
    )
    assert oracle_sees(t) == []
    verdict = verify(t)
    assert verdict.code == 0 and verdict.rows == []
    summary = verdict.summary
    assert (summary["commands"], summary["finalEvents"], summary["deadLetters"]) == (24, 24, 2)
    assert summary["largeOutputs"] == 1 and summary["notes"] == []
    table = t.cli("audit", "verify", "--table")
    assert table.returncode == 0 and table.stdout.startswith("clean: 24 commands, "), table.stdout
    # Nothing is no fault.
    assert verify(t, "--to", "2000-01-01T00:00:00Z").summary["commands"] == 0


def planted(t):
    """Ten probes that are answered, and a place for what is wrong."""
    records, results = probes(t, 10)
    t.topics.publish_events(*results)
    return records, results


def place(t, topic, at=-1):
    """(topic, partition, offset) of the event last written there."""
    events = sorted(t.topics.read_all((topic,)), key=lambda e: e.timestamp)
    return topic, events[at].partition, events[at].offset


def test_planted_duplicate(t):
    records, results = planted(t)
    time.sleep(0.01)
    t.topics.publish_events(results[3])
    verdict = verify(t)
    assert verdict.code == 1
    assert verdict.found() == {
        ("duplicate", *place(t, "probe-results"), records[3].command_id)
    }
    assert f"{records[3].topic}[{records[3].partition}]@{records[3].offset}" in verdict.rows[0]["text"]
    # A dead letter beside a result is one as well.
    t.topics.publish_events(dead_letter(records[4], "INVALID_COMMAND"))
    assert verify(t).kinds() == ["duplicate", "duplicate"]
    assert len(oracle_sees(t)) == 2
    table = t.cli("audit", "verify", "--table").stdout.splitlines()
    assert table[0].startswith("FINDING ") and table[-1].startswith("2 findings in 10 commands: 2 dup")


def test_planted_gap(t):
    planted(t)
    [record] = t.topics.publish(command("Probe"))
    tombstone = t.topics.publish_raw(None, key=b"k")
    verdict = verify(t)
    assert verdict.code == 1
    assert verdict.found() == {
        ("gap", "commands", record.partition, record.offset, record.command_id),
        ("gap", "commands", tombstone.partition, tombstone.offset, None),
    }
    assert len(oracle_sees(t)) == 2
    done = t.cli("audit", "verify", "--json", "--limit", "1")
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 2
    assert Verdict(done).summary["kinds"]["gap"] == 2


def test_planted_orphan(t):
    records, _ = planted(t)
    where = records[0].topic, records[0].partition
    beyond = max(r.offset for r in records) + 1000
    ghosts = [command("Probe") for _ in range(3)]
    t.topics.publish_events(
        probe_result(ghosts[0], (*where, beyond)),
        probe_result(ghosts[1], (where[0], 77, 0)),
        probe_result(ghosts[2], ("elsewhere", 0, 0)),
    )
    verdict = verify(t)
    assert verdict.code == 1 and verdict.kinds() == ["orphan"] * 3
    assert {r["commandId"] for r in verdict.rows} == {g["commandId"] for g in ghosts}
    assert len(oracle_sees(t)) == 3


def test_orphan_of_an_aborted_record(t):
    """A record that no read_committed reader sees cannot have an event."""
    producer = transactional(t)
    producer.begin_transaction()
    ghost = command("Probe")
    t.topics.publish(command("Probe"), partition=0)
    producer.produce(t.topics.full("commands"), b"x", partition=0)
    producer.flush(10)
    producer.abort_transaction()
    [after] = t.topics.publish(command("Probe"), partition=0)
    [before] = [r for r in t.topics.read_commands() if r.offset == 0]
    t.topics.publish_events(
        *(probe_result(r.command, r.position) for r in (before, after)),
        probe_result(ghost, (before.topic, 0, 1)),
    )
    [row] = verify(t).rows
    assert row["finding"] == "orphan" and row["commandId"] == ghost["commandId"], row
    assert len(oracle_sees(t)) == 1


def test_wrong_identity(t):
    records, _ = planted(t)
    one, other, run, junk, bad = *t.topics.publish(
        command("Probe"), command("Probe"), command("Execute")
    ), t.topics.publish_raw(b"junk"), t.topics.publish_raw(b"junk")
    t.topics.publish_events(
        probe_result(other.command, one.position),
        probe_result(one.command, other.position),
        probe_result(run.command, run.position),
        probe_result(command("Probe"), junk.position),
        dead_letter(bad, "UNREADABLE_COMMAND"),
    )
    verdict = verify(t)
    assert verdict.kinds() == ["wrong-id", "wrong-id", "wrong-record", "wrong-record"]
    named = {r["commandId"] for r in verdict.rows if r["finding"] == "wrong-id"}
    assert named == {one.command_id, other.command_id}


def test_same_id(t):
    """Of several records with one id exactly one is served, and the others name it."""
    a, b, c, d = (command("Probe") for _ in range(4))
    a1, a2, b1, b2, c1, c2, d1, d2 = t.topics.publish(a, a, b, b, c, c, d, d)
    t.topics.publish_events(
        probe_result(a, a2.position),
        dead_letter(a1, "DUPLICATE_COMMAND", first=a2),  # right
        probe_result(b, b1.position),
        probe_result(b, b2.position),  # both served
        dead_letter(c1, "DUPLICATE_COMMAND", first=c2),
        dead_letter(c2, "DUPLICATE_COMMAND", first=c1),  # none is
        probe_result(d, d1.position),
        dead_letter(d2, "DUPLICATE_COMMAND", first=a2),  # names another one
    )
    verdict = verify(t)
    found = sorted((r["finding"], r["commandId"]) for r in verdict.rows)
    assert found == sorted(
        [
            ("served-twice", b["commandId"]),
            ("wrong-first", c["commandId"]),
            ("wrong-first", c["commandId"]),
            ("wrong-first", d["commandId"]),
        ]
    )
    assert oracle_sees(t)


def again(event, **changed):
    topic, name, record, key = event
    return topic, name, {**record, **changed}, key


OUTPUT = ["one\n", "two\n", "drei\u00fc\n"]


def test_missing_piece(t):
    runs = t.topics.publish(*(command("Execute") for _ in range(6)))
    events = [
        large_output(r.command, r.position, OUTPUT, token=f"i.{n}")
        for n, r in enumerate(runs)
    ]
    del events[0][1]  # one in the middle
    del events[1][2]  # the last one
    del events[2][:3]  # all
    events[3][1][2]["text"] = "tvo\n"  # other bytes
    events[4].insert(1, again(events[4][0], text="eins"))  # one twice, not the same
    events[5][1:1] = events[5][:1]  # one twice, the same
    abandoned = large_output(runs[5].command, runs[5].position, ["old"], token="old.1")[0]
    t.topics.publish_events(*(e for some in events for e in some), abandoned)
    short = execution_result(
        (plain := command("Execute")), t.topics.publish(plain)[0].position, stdout="a", stdoutBytes=2
    )
    t.topics.publish_events(short)
    began = time.monotonic()
    verdict = verify(t)
    assert time.monotonic() - began < 20
    expected = {r.command_id for r in runs[:5]} | {plain["commandId"]}
    assert {r["commandId"] for r in verdict.rows} == expected, verdict.rows
    assert set(verdict.kinds()) == {"output"}
    seen = {v.split(":")[0] for v in oracle_sees(t)}
    named = {
        f"{r['topic'].split('.', 1)[1]}[{r['partition']}]@{r['offset']} (ExecutionResult SUCCEEDED)"
        for r in verdict.rows
        if r["commandId"] != runs[4].command_id
    }
    assert named < seen and len(seen - named) == 1, seen


def transactional(t):
    producer = Producer({"bootstrap.servers": t.bootstrap, "transactional.id": t.topics.prefix})
    producer.init_transactions(20)
    return producer


def test_aborted_events_are_not_seen(t):
    records, results = probes(t, 2)
    producer = transactional(t)
    producer.begin_transaction()
    t.topics.publish_events(*results, producer=producer)
    producer.abort_transaction()
    assert verify(t).kinds() == ["gap", "gap"]
    t.topics.publish_events(*results)
    producer.begin_transaction()
    t.topics.publish_events(*results, producer=producer)
    # What is not committed yet is not there, whatever stands behind it.
    assert verify(t).code == 0
    producer.commit_transaction()
    assert verify(t, "--wait", "10s").kinds() == ["duplicate", "duplicate"]


@limit(120)
def test_late_events_are_waited_for(t):
    records, results = probes(t, 4)
    assert verify(t).kinds() == ["gap"] * 4
    late = threading.Timer(3, lambda: t.topics.publish_events(*results))
    late.start()
    began = time.monotonic()
    verdict = verify(t, "--wait", "60s", timeout=90)
    assert verdict.code == 0 and 2 < time.monotonic() - began < 30
    late.join()
    began = time.monotonic()
    [more] = t.topics.publish(command("Probe"))
    verdict = verify(t, "--wait", "2")
    assert verdict.kinds() == ["gap"] and time.monotonic() - began > 2
    assert verdict.rows[0]["commandId"] == more.command_id and " old" in verdict.rows[0]["text"]


@limit(120)
def test_a_running_command_is_pending(t):
    """With a worker: what its group is not done with is no gap."""
    t.install(t.fixture())
    t.worker()
    t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(6))))
    config = {"test": {"sleepMs": 15000}}
    [record] = t.topics.publish(command("Execute", orderingKey="", config=config))
    time.sleep(1)
    verdict = verify(t)
    assert verdict.found() == {
        ("pending", "commands", record.partition, record.offset, record.command_id)
    }, (verdict.rows, verdict.summary)
    assert verdict.code == 1 and 500 < verdict.summary["oldestPendingMs"] < 20000
    assert verify(t, "--to", "1h").code == 0
    late = verify(t, "--wait", "60s", timeout=90)
    assert late.code == 0, late.rows


def test_ranges(t):
    """Only commands of the range count; their events are looked for everywhere."""
    early, _ = probes(t, 3, partition=0)
    time.sleep(1.1)
    middle = time.time()
    time.sleep(0.1)
    late, results = probes(t, 3, partition=0)
    other, _ = probes(t, 1, partition=1)
    t.topics.publish_events(*results)
    stamp = str(int(middle * 1000))
    assert len(verify(t).rows) == 4
    assert {r["commandId"] for r in verify(t, "--to", stamp).rows} == {r.command_id for r in early}
    assert [r["commandId"] for r in verify(t, "--from", stamp).rows] == [other[0].command_id]
    one = verify(t, "--from", stamp, "--partition", "0")
    assert one.code == 0 and one.summary["commands"] == 3
    assert one.summary["ranges"] == [{"partition": 0, "first": 3, "last": 5}]
    assert verify(t, "--partition", "0", "--offsets", "3..5").code == 0
    assert len(verify(t, "--partition", "0", "--offsets", "2..3").rows) == 1
    # An orphan that names a place outside the range is somebody else's.
    t.topics.publish_events(probe_result(command("Probe"), (early[0].topic, 0, 900)))
    assert verify(t, "--partition", "1").kinds() == ["gap"]
    assert verify(t, "--partition", "0", "--from", stamp).kinds() == ["orphan"]


def test_records_deleted_from_the_log(t):
    """Commands that left the log are no orphans' fault, and the other way round."""
    records, results = probes(t, 6, partition=0)
    t.topics.publish_events(*results[:4])
    assert verify(t).kinds() == ["gap", "gap"]
    t.topics.publish_events(*results[4:])
    where = t.topics.full("commands")
    [gone] = t.topics.admin.delete_records([TopicPartition(where, 0, 2)]).values()
    gone.result(20)
    verdict = verify(t)
    assert verdict.code == 0 and verdict.summary["commands"] == 4
    assert verdict.summary["eventsOfGoneCommands"] == 2 and len(verdict.summary["notes"]) == 2
    # An event that names one of those still in the log must have a record.
    t.topics.publish_events(probe_result(command("Probe"), (where, 0, 40)))
    assert verify(t).kinds() == ["orphan"]


@limit(120)
def test_events_deleted_from_the_log(t):
    records, results = probes(t, 4, partition=0)
    t.topics.publish_events(*results)
    time.sleep(0.05)
    ends = t.topics.ends(("probe-results",))
    lost = [TopicPartition(*tp, end) for tp, end in ends.items() if end]
    for deleted in t.topics.admin.delete_records(lost).values():
        deleted.result(20)
    later, more = probes(t, 2, partition=0)
    run = t.topics.publish(command("Execute"), partition=0)
    t.topics.publish_events(*more)
    verdict = verify(t)
    # What came before the first record that is left may have been answered; this may not.
    kinds = {r["commandId"]: r["finding"] for r in verdict.rows}
    assert kinds == {**{r.command_id: "gone" for r in records}, run[0].command_id: "gap"}
    assert verdict.code == 1 and verdict.summary["kinds"]["gone"] == 4


@limit(150)
def test_events_aged_out(t):
    """By retention, as it happens to a log that is as old as it may be."""
    t.own_broker(log_retention_check_interval_ms=1000, log_initial_task_delay_ms=1000)
    [old] = t.topics.publish(command("Probe"), timestamp=int(time.time() * 1000) - 13 * DAY)
    aged = int(time.time() * 1000) - 15 * DAY
    t.topics.publish_events(probe_result(old.command, old.position), timestamp=aged)
    wait_until(lambda: any(t.topics.starts(("probe-results",)).values()), 60, "the event aged out")
    assert verify(t).kinds() == ["gone"]
    [new] = t.topics.publish(command("Execute"))
    verdict = verify(t)
    assert verdict.code == 1 and sorted(verdict.kinds()) == ["gap", "gone"], verdict.rows


def test_bad_flags(t):
    for arguments, text in (
        ([], "missing subcommand: verify"),
        (["verfy"], "unknown command 'verfy'; did you mean 'verify'?"),
        (["verify", "x"], "unexpected argument 'x'"),
        (["verify", "--from", "yesterday"], "--from: 'yesterday' is not beginning, end"),
        (["verify", "--to", "x"], "--to: 'x' is not beginning, end"),
        (["verify", "--partition", "x"], "--partition: 'x' is not a valid partition"),
        (["verify", "--offsets", "1..2"], "--offsets needs --partition"),
        (["verify", "--partition", "0", "--offsets", "2..1"], "'2..1' is not FIRST..LAST"),
        (["verify", "--partition", "0", "--offsets", "1..2", "--to", "1h"], "excludes --from and --to"),
        (["verify", "--wait", "long"], "--wait: 'long' is not a duration"),
        (["verify", "--limit", "all"], "--limit: 'all' is not a number"),
        (["verify", "--wiat", "1s"], "did you mean '--wait'?"),
    ):
        done = t.cli("audit", *arguments)
        assert done.returncode == USAGE and text in done.stderr, (arguments, done)
        assert done.stdout == "" and "`envdriver help audit" in done.stderr, (arguments, done)
    done = t.cli("audit", "verify", "--partition", "9")
    assert done.returncode == 2 and "has no partition 9" in done.stderr, done
    done = t.cli("audit", "verify", config={"topic.prefix": "no.such."})
    assert done.returncode == 2 and "topics create" in done.stderr, done
    away = {"kafka.bootstrap.servers": "127.0.0.1:1"}
    done = t.cli("audit", "verify", config=away)
    assert done.returncode == UNAVAILABLE and "127.0.0.1:1" in done.stderr, done


def test_unreadable_events(t):
    [record] = t.topics.publish(command("Probe"))
    producer = Producer({"bootstrap.servers": t.bootstrap})
    producer.produce(t.topics.full("probe-results"), b"junk \x1b[31m", b"k")
    producer.produce(t.topics.full("lease-results"), record.value, b"k")
    producer.flush(10)
    t.topics.publish_events(probe_result(record.command, record.position))
    verdict = verify(t)
    assert verdict.code == 1 and verdict.kinds() == ["unreadable", "unreadable"]
    table = t.cli("audit", "verify", "--table")
    assert table.returncode == 1 and "\x1b" not in table.stdout


def test_progress_on_a_terminal(t):
    records, results = probes(t, 50)
    t.topics.publish_events(*results[:-1])
    path = t.dir / "cli.conf"
    t.cli("audit", "verify")
    done = subprocess.run(
        ["script", "-qec", f"{program()} audit verify -c {path} --wait 2s", "/dev/null"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(),
    )
    assert "commands without a final event" in done.stdout, done
    assert "1 finding in 50 commands: 1 gap" in done.stdout, done


def test_the_oracles_must_agree(t):
    """t.verify, when one of them is blind."""
    [record] = t.topics.publish(command("Probe"))
    whole = oracle.check_exactly_once
    try:
        oracle.check_exactly_once = lambda records, events: []
        assert "audit verify: exit 1, and the Python oracle sees" in refusal(t)
        t.topics.publish_events(probe_result(record.command, record.position))
        oracle.check_exactly_once = lambda records, events: ["something"]
        assert "audit verify: exit 0, and the Python oracle sees" in refusal(t)
    finally:
        oracle.check_exactly_once = whole


def refusal(t):
    try:
        t.verify()
    except AssertionError as error:
        return str(error)
    return "it was content"
