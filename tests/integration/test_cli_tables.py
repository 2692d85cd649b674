# SPDX-License-Identifier: Apache-2.0
"""Tables on a terminal of a known size: they fit, whatever the ids; -o; colours by outcome."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time
import uuid

from harness.commands import command
from harness.events import dead_letter, execution_result, outcome, probe_result
from harness.paths import environment
from harness.worker import program

USAGE = 64
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(t, *arguments, columns=80, **env):
    """(exit code, what a terminal of that size is sent)"""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [program(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), TERM="xterm", **env),
    )
    os.close(slave)
    text = b""
    while True:
        try:
            got = os.read(master, 65536)
        except OSError:
            break
        text += got
        if not got:
            break
    os.close(master)
    return process.wait(20), text.decode().replace("\r\n", "\n")


def written(t):
    """A command of each outcome, with ids as long as they are in real life."""
    lease = "local-" + "e" * 40
    made = [
        command("Probe", commandId=str(uuid.uuid4()), environmentId="an-environment-with-a-long-name"),
        command("Execute", {"lease": {"providerLeaseId": lease}}, commandId=str(uuid.uuid4())),
        command("Execute", {"lease": {"providerLeaseId": lease}}, commandId=str(uuid.uuid4())),
        command("Probe", commandId="a" * 200),
        command("Probe", commandId=str(uuid.uuid4())),
    ]
    records = t.topics.publish(*made)
    why = "The environment took longer than its limit, and nothing that it said meanwhile helps anybody."
    t.topics.publish_events(
        probe_result(made[0], records[0].position),
        execution_result(made[1], records[1].position, exitCode=3, stderr="sh: nope: not found\n"),
        execution_result(made[2], records[2].position, exitCode=0),
        probe_result(made[3], records[3].position, outcome("FAILED", "TIMEOUT", why)),
        dead_letter(records[4], "INVALID_COMMAND"),
        crash(),
    )
    t.cli("topics", "list")
    return made, why


def crash():
    record = {
        "eventId": str(uuid.uuid4()),
        "type": "WORKER_CRASHED",
        "occurredAt": int(time.time() * 1000),
        "pluginId": "docker-1",
        "pluginKey": "acme.sandbox",
        "instanceId": "w1",
        "pid": 4711,
        "exitCode": 1,
        "signal": None,
        "willRestart": True,
        "nextRestartAt": None,
        "consecutiveCrashes": 1,
        "totalCrashes": 1,
        "message": "exited with code 1",
        "companyId": None,
        "commandId": None,
        "name": None,
        "details": "{}",
    }
    return "plugin-events", "PluginEvent", record, "docker-1"


def test_replay_fits(t):
    made, why = written(t)
    for columns in (60, 80, 100, 132, 250):
        code, shown = on_terminal(t, "replay", columns=columns)
        rows = COLOUR.sub("", shown).splitlines()
        assert code == 0 and len(rows) == 12, (columns, shown)
        assert all(len(row) <= columns for row in rows), (columns, max(rows, key=len))
        assert " STATUS " in rows[0] and " SUMMARY" in rows[0]
        assert rows[0].startswith("TIME ") == (columns >= 80)
        for word in ("exit 3", "SUCCEEDED", "DEAD_LETTER", "FAILED", "docker-1", "WORKER_CRASHED"):
            assert (columns, word) == (60, "WORKER_CRASHED") or any(word in row for row in rows), (columns, word, rows)
        # No text is broken in the middle of a word.
        [failed] = [row for row in rows if "FAILED" in row]
        text = failed[rows[0].index("SUMMARY") :].removesuffix("…").rstrip()
        assert f"TIMEOUT: {why} ".startswith(text + " "), (columns, text)
    # With room for all of it nothing is missing.
    _, shown = on_terminal(t, "replay", columns=400)
    assert made[0]["commandId"] in shown and made[0]["environmentId"] not in COLOUR.sub("", shown).splitlines()[0]
    code, wide = on_terminal(t, "replay", "-o", "wide")
    assert made[3]["commandId"] in wide and made[1]["operation"]["lease"]["providerLeaseId"] in wide
    assert "PLACE" in wide and "execution-results[" in wide
    piped = t.cli("replay", "--table").stdout.splitlines()
    assert piped[0].split() == "TIME RECORD OPERATION STATUS COMMAND ENVIRONMENT LEASE SUMMARY".split()
    assert any(made[3]["commandId"] in row and why in row for row in piped)
    assert "\x1b" not in "".join(piped)


def test_columns_are_chosen(t):
    made, _ = written(t)
    done = t.cli("replay", "-o", "status,command,Plugin", "--topics", "probe,execution,events")
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["STATUS", "COMMAND", "PLUGIN"] and len(rows) == 6, rows
    assert any(row.split() == ["exit", "3", made[1]["commandId"], "plugin-1"] for row in rows), rows
    assert len([json.loads(row) for row in t.cli("replay", "-o", "json").stdout.splitlines()]) == 11
    assert t.cli("topics", "list", "-o", "state").stdout.split() == ["STATE"] + ["exists"] * 11
    for arguments, text in (
        (["replay", "-o", "stauts"], "-o: unknown column 'stauts'; did you mean 'status'?"),
        (["watch", "-o", "x"], "valid: wide, or some of time,record,operation,status,command"),
        (["replay", "-o", "time,,status"], "-o: unknown column ''"),
        (["topics", "list", "-o", "stat"], "did you mean 'state'?"),
        (["audit", "verify", "-o", "comand-id"], "did you mean 'commandId'?"),
        (["publish", "probe", "--provider", "p", "-o", "status"], "-o: unknown column 'status'"),
        (["drivers", "-o", "plugin"], "did you mean 'pluginKey'?"),
    ):
        done = t.cli(*arguments)
        assert done.returncode == USAGE and text in done.stderr, (arguments, done)
    assert not [r for r in t.topics.read_commands() if r.command_id not in {m["commandId"] for m in made}]


def test_colours(t):
    written(t)
    _, shown = on_terminal(t, "replay", columns=200)
    for word, colour in (("SUCCEEDED", 32), ("FAILED", 31), ("exit 3", 31), ("DEAD_LETTER", 31)):
        assert f"\x1b[{colour}m{word}\x1b[0m" in shown, (word, shown)
    _, shown = on_terminal(t, "topics", "list")
    assert "\x1b[32mexists\x1b[0m" in shown
    assert "\x1b" not in on_terminal(t, "replay", NO_COLOR="1")[1]


def test_audit_and_topics_fit(t):
    written(t)
    t.topics.publish(command("Probe", commandId=str(uuid.uuid4())))
    for columns in (60, 80, 120):
        code, shown = on_terminal(t, "audit", "verify", columns=columns)
        rows = COLOUR.sub("", shown).splitlines()
        assert code == 1 and all(len(row) <= columns for row in rows[:-1]), (columns, rows)
        # What is wrong is wrapped, not cut.
        text = " ".join(" ".join(rows).split())
        assert "no final event; the group has no committed position" in text, rows
        code, shown = on_terminal(t, "topics", "list", "--partitions", 3, "--retention", "4d", columns=columns)
        rows = COLOUR.sub("", shown).splitlines()
        assert code == 0 and all(len(row) <= columns for row in rows), (columns, rows)
        assert "retention.ms is" in " ".join(" ".join(rows).split())


def test_json_on_a_terminal_drives_nothing(t):
    hidden = "a\u202eb\x9b31m\x7f\U000e0041"
    [record] = t.topics.publish(command("Probe", environmentId=hidden))
    t.cli("topics", "list")
    code, shown = on_terminal(t, "replay", "--json")
    [row] = [json.loads(line) for line in shown.splitlines()]
    assert code == 0 and row["environmentId"] == hidden and not set(hidden[1:]) & set(shown) - set("b31m")
    # In a pipe it stays as it is.
    assert hidden in t.cli("replay", "--json").stdout, record


def test_plugins_have_colours_and_columns(t):
    t.install(t.local(), "local")
    t.cli("topics", "list")
    code, shown = on_terminal(t, "plugin", "list")
    assert code == 0 and "\x1b[32mready\x1b[0m" in shown, shown
    away = {"redis.url": "redis://127.0.0.1:1"}
    for words in (["list"], ["add", "/nonexistent"], ["reload", "local"]):
        done = t.cli("plugin", *words, "-o", "statsu", config=away)
        assert done.returncode == USAGE and "did you mean 'status'?" in done.stderr, done
