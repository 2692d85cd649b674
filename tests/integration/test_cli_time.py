# SPDX-License-Identifier: Apache-2.0
"""Ranges of time of `envdriver replay` and `audit verify`, on logs whose producers' clocks differ:
the time of a record is its producer's, so that offsets are not in the order of time. And filters,
places and readers that go away."""

import json
import os
import subprocess
import time

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from harness.case import limit
from harness.commands import command
from harness.events import probe_result
from harness.paths import environment
from harness.worker import program

USAGE = 64
MINUTE, HOUR = 60_000, 3_600_000


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def replayed(t, *arguments):
    done = t.cli("replay", "--topics", "commands", *arguments)
    assert done.returncode == 0, done.stderr
    return [row["commandId"] for row in lines(done.stdout)], done.stderr


def verified(t, *arguments):
    done = t.cli("audit", "verify", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    *rows, last = lines(done.stdout)
    return done.returncode, rows, last["summary"], done.stderr


def take_any_time(t):
    """As brokers before Kafka 4 do; later ones take up to an hour ahead."""
    entry = ConfigEntry(
        "message.timestamp.after.max.ms", str(2**62), incremental_operation=AlterConfigOpType.SET
    )
    where = ConfigResource("topic", t.topics.full("commands"), incremental_configs=[entry])
    [done] = t.topics.admin.incremental_alter_configs([where]).values()
    done.result(20)


@limit(90)
def test_clocks_differ(t):
    """One publisher's clock is an hour ahead, one is a day behind, one is days ahead."""
    t.make_topics(commands=1)
    take_any_time(t)
    now = int(time.time() * 1000)

    def publish(name, time_ms):
        [record] = t.topics.publish(command("Probe", commandId=name), timestamp=time_ms)
        return record

    written = [publish("early", now - 120 * MINUTE), publish("ahead", now - 10 * MINUTE)]
    written += [publish(f"ordinary-{i}", now - (65 - i) * MINUTE) for i in range(20)]
    written += [publish("days-ahead", now + 72 * HOUR), publish("behind", now - 26 * HOUR)]
    written += [publish("now", now)]
    ordinary = [r.command_id for r in written[2:22]]
    ids, said = replayed(t, "--from", "3h", "--to", "30min")
    assert ids == ["early", *ordinary], ids
    assert "note: 20 records of the range lie behind later ones" in said and "commands[0]@1)" in said
    assert replayed(t, "--from", "3h", "--to", "30min", "-q")[1] == ""
    # watch leaves out what was there before the time, too.
    shown = t.cli("watch", "--results", "commands", "--from", "70min", "--timeout", "5s", "--json")
    ids = [row["commandId"] for row in lines(shown.stdout)]
    assert ids == ["ahead", *ordinary, "days-ahead", "now"], ids
    ids, said = replayed(t, "--from", "70min")
    assert ids == ["ahead", *ordinary, "days-ahead", "now"] or set(ids) == {
        *("ahead", "days-ahead", "now"),
        *ordinary,
    }, ids
    assert said == ""
    ids, _ = replayed(t, "--to", "24h")
    assert ids == ["behind"]
    ids, _ = replayed(t, "--from", "50min", "--to", "46min")
    assert ids == [f"ordinary-{i}" for i in range(16, 20)], ids
    # All of the range and nothing else is verified, and what lies between is nobody's orphan.
    t.topics.publish_events(*(probe_result(r.command, r.position) for r in written[1:-1]))
    code, rows, summary, said = verified(t, "--from", "3h", "--to", "30min")
    assert code == 1 and [(r["finding"], r["commandId"]) for r in rows] == [("gap", "early")], rows
    assert summary["commands"] == 21 and summary["ranges"] == [{"partition": 0, "first": 0, "last": 21}]
    assert any("20 commands of the range lie behind later ones" in n for n in summary["notes"])
    assert "20 commands of the range" in said
    code, rows, summary, _ = verified(t, "--from", "70min", "--to", "1min")
    assert code == 0 and summary["commands"] == 21, (rows, summary)
    code, rows, summary, _ = verified(t, "--from", "28h", "--to", "24h")
    assert code == 0 and summary["commands"] == 1
    # Days ahead: its event bears the worker's time, days earlier. That is no gap.
    future = time.strftime("%Y-%m-%d", time.gmtime(now / 1000 + 48 * 3600))
    code, rows, summary, said = verified(t, "--from", future)
    assert code == 0 and summary["commands"] == 1, (rows, summary)
    assert "1 final events bear a time of more than an hour before" in said, said
    # An event that really is missing still is.
    code, rows, _, _ = verified(t, "--from", "1min", "--to", future)
    assert code == 1 and [r["commandId"] for r in rows] == ["now"]


def test_partitions_merge(t):
    """Nobody's clock holds back what other partitions have."""
    now = int(time.time() * 1000)
    for n, (partition, minutes) in enumerate([(0, 50), (0, 5), (0, 48), (1, 49), (2, 47), (2, 3), (2, 46)]):
        t.topics.publish(
            command("Probe", commandId=f"{n}-{minutes}"), partition=partition, timestamp=now - minutes * MINUTE
        )
    ids, said = replayed(t, "--from", "1h", "--to", "30min")
    assert ids == ["0-50", "3-49", "2-48", "4-47", "6-46"], ids
    assert "note: 2 records of the range" in said


REFUSED = (
    (["replay", "--status", "failed"], "--status: unknown 'failed'; did you mean 'FAILED'?"),
    (["replay", "--status", "NOSUCH"], "--status: unknown 'NOSUCH'; valid: SUCCEEDED, FAILED"),
    (["replay", "--status", "FAILED,EXPIRD"], "did you mean 'EXPIRED'?"),
    (["replay", "--status", "FAILED", "--status", "timeout"], "did you mean 'TIMEOUT'?"),
    (["replay", "--status", "FAILED,"], "--status: unknown ''"),
    (["replay", "--status", "dead_letter"], "did you mean 'DEAD_LETTER'?"),
    (["replay", "--status", "duplicate_comand"], "did you mean 'DUPLICATE_COMMAND'?"),
    (["watch", "--status", "suceeded"], "did you mean 'SUCCEEDED'?"),
    (["replay", "--operation", "execute"], "--operation: unknown 'execute'; did you mean 'Execute'?"),
    (["replay", "--operation", "Execut"], "did you mean 'Execute'?"),
    (["watch", "--operation", "Probe,acquire"], "did you mean 'AcquireLease'?"),
    (["watch", "--operation", "x"], "valid: ValidateConfig, Probe"),
    (["replay", "--topics", "probes"], "--topics: unknown topic 'probes'; did you mean 'probe'?"),
    (["topics", "create", "--partitions", "comands=3"], "did you mean 'commands'?"),
    (["replay", "--from", "1min", "--to", "2min"], "is empty: --from 1min is not before --to 2min"),
    (["audit", "verify", "--from", "2026-11-24", "--to", "2026-11-23"], "--from 2026-11-23 --to"),
    (["audit", "verify", "--from", "2026-11-24", "--to", "2026-11-24"], "the range is empty"),
    (["replay", "--from", "2026-11-31"], "'2026-11-31' is not beginning, end, a date like"),
)


def test_refused(t):
    for arguments, text in REFUSED:
        done = t.cli(*arguments)
        assert done.returncode == USAGE and text in done.stderr, (arguments, done)
        assert done.stdout == "", arguments


def test_places_and_what_is_not_there(t):
    [record] = t.topics.publish(command("Probe"))
    t.topics.publish_events(probe_result(record.command, record.position))
    today = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 60))
    for start in ("30000d", "1969-12-31", "20000d", "5m", "30 sec", "2w", today, f"{today}T00:00", "beginning"):
        done = t.cli("replay", "--from", start)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 2, (start, done)
        assert done.stderr == "", start
    both = t.cli("replay", "--status", "FAILED,SUCCEEDED", "--operation", "Probe,Execute")
    assert len(lines(both.stdout)) == 1, both
    one = t.cli("watch", "--from", "30000d", "--status", "EXPIRED", "--status", "SUCCEEDED", "--limit", 1)
    assert one.returncode == 0 and len(lines(one.stdout)) == 1
    none = t.cli("replay", "--status", "FAILED")
    assert (none.returncode, none.stdout) == (0, "")
    assert "note: none of the 2 records of the range passes the filter" in none.stderr
    empty = t.cli("replay", "--from", "9d", "--to", "8d")
    assert empty.returncode == 0 and "note: there is no record in the range" in empty.stderr
    for arguments in (["replay"], ["audit", "verify"], ["watch", "--timeout", "1s"]):
        done = t.cli(*arguments, "--limit", 0)
        assert done.returncode == 0 and "note: --limit 0 is no limit" in done.stderr, done
    nothing = t.cli("audit", "verify", "--from", "9d", "--to", "8d")
    [summary] = lines(nothing.stdout)
    assert summary["summary"]["commands"] == 0 and "nothing is proven" in summary["summary"]["notes"][0]
    assert nothing.returncode == 0 and "no command in the range" in nothing.stderr
    table = t.cli("audit", "verify", "--from", "9d", "--to", "8d", "--table")
    assert table.stdout.startswith("nothing was verified"), table


def test_the_reader_goes_away(t):
    """What prints for long ends as soon as nobody reads it, not with the next line."""
    [record] = t.topics.publish(command("Probe"))
    t.topics.publish_events(probe_result(record.command, record.position))
    t.cli("topics", "list")
    for arguments in (
        ["watch", "--from", "beginning"],
        ["audit", "verify", "--wait", "60s"],
    ):
        read, write = os.pipe()
        began = time.monotonic()
        process = subprocess.Popen(
            [program(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=subprocess.PIPE,
            env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf")),
        )
        os.close(write)
        if arguments[0] == "watch":
            assert os.read(read, 1)
        os.close(read)
        _, said = process.communicate(timeout=15)
        assert process.returncode == -13, (arguments, process.returncode, said)
        assert time.monotonic() - began < 10, arguments
