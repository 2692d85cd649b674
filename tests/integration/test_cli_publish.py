# SPDX-License-Identifier: Apache-2.0
"""`envdriver publish` as scripts and people use it: what it exits with, what it says when it is
interrupted, progress and summary of a file. The test itself answers the commands."""

import json
import os
import signal
import subprocess
import time

from harness.commands import command
from harness.events import dead_letter, execution_result, lease_result, outcome, probe_result
from harness.paths import environment
from harness.process import wait_until
from harness.worker import SANITIZER_OPTIONS, program


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class Publishing:
    """A running `envdriver publish ARGUMENTS`, until its commands are there."""

    def __init__(self, t, *arguments, count=1, terminal=False, input=None):
        t.cli("topics", "list")
        known = {r.position for r in t.topics.read_commands()}
        argv = [program(), "publish", *map(str, arguments)]
        if terminal:
            argv = ["script", "-qec", " ".join(map(str, argv)), "/dev/null"]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), **SANITIZER_OPTIONS),
        )
        if input is not None:
            self.process.stdin.write(input)
        self.process.stdin.close()
        self.process.stdin = None
        self.records = []

        def placed():
            self.records = [r for r in t.topics.read_commands() if r.position not in known]
            return len(self.records) >= count

        wait_until(placed, 20, "the commands are published")

    def end(self):
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


def test_exit_codes(t):
    probe = ["probe", "--provider", "p", "--wait"]
    resume = ["resume", "--provider", "p", "--lease", "L", "--wait"]
    run = ["exec", "--provider", "p", "--lease", "L", "--wait", "--table", "sh"]
    stderr = "sh: nope: not found\nmore"
    for arguments, make, code, text in (
        (probe, lambda c, s: probe_result(c, s), 0, '"ok":true'),
        (probe, lambda c, s: probe_result(c, s, ok=False), 1, '"ok":false'),
        ([*probe, "--table"], lambda c, s: probe_result(c, s, ok=False), 1, "  not ok  "),
        (probe, lambda c, s: probe_result(c, s, outcome("FAILED", "TIMEOUT", "late")), 1, "TIMEOUT"),
        (resume, lambda c, s: lease_result(c, s), 0, "lease-9"),
        (resume, lambda c, s: lease_result(c, s, leaseLost=True), 1, '"leaseLost":true'),
        ([*resume, "--table"], lambda c, s: lease_result(c, s, leaseLost=True), 1, "  lease lost  "),
        # The command ran, and that is what was asked for: `envdriver exec` exits as it did.
        (run, lambda c, s: execution_result(c, s, exitCode=0), 0, "  SUCCEEDED  "),
        (run, lambda c, s: execution_result(c, s, exitCode=3, stderr=stderr), 0, "  exit 3  "),
        (run, lambda c, s: execution_result(c, s, exitCode=3, stderr=stderr), 0, "exit 3: sh: nope: not found\n"),
        (run, lambda c, s: execution_result(c, s, signal="SIGKILL"), 0, "  SIGKILL  "),
        (run, lambda c, s: execution_result(c, s, timedOut=True), 0, "  timed out  "),
        (run, lambda c, s: execution_result(c, s), 0, "no exit code"),
    ):
        publishing = Publishing(t, *arguments)
        [record] = publishing.records
        t.topics.publish_events(make(record.command, record.position))
        got, out, err = publishing.end()
        assert got == code and text in out, (arguments, text, got, out, err)
        assert err == "", err


def test_interrupted(t):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        publishing = Publishing(t, "probe", "--provider", "p", "--wait", "--id", f"left-{code}")
        time.sleep(0.5)
        publishing.process.send_signal(number)
        got, out, err = publishing.end()
        assert (got, out) == (code, ""), (got, err)
        assert f"interrupted; published and not ended yet: 'left-{code}'" in err, err
        assert f"envdriver watch --from 1h --command 'left-{code}'" in err, err
    # Of several, those that have ended are not named.
    text = "".join(json.dumps(command("Probe", commandId=f"many-{n}")) + "\n" for n in range(13))
    publishing = Publishing(t, "--file", "-", "--wait", input=text, count=13)
    ended = next(r for r in publishing.records if r.command_id == "many-4")
    t.topics.publish_events(probe_result(ended.command, ended.position))
    time.sleep(1.5)
    publishing.process.send_signal(signal.SIGINT)
    got, out, err = publishing.end()
    assert got == 130 and len(lines(out)) == 1, (got, err)
    assert err.count("'many-") == 11, err
    assert "'many-4'" not in err and " and 2 more" in err, err
    assert "1 ok, 0 failed, 12 without a result" in err, err


def test_nobody_reads(t):
    t.cli("topics", "list")
    read, write = os.pipe()
    process = subprocess.Popen(
        [program(), "publish", "probe", "--provider", "p", "--wait", "--id", "unread"],
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf")),
    )
    os.close(write)
    os.close(read)
    _, said = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGPIPE, (process.returncode, said)
    assert "nobody reads the results; published and not ended yet: 'unread'" in said, said


def test_summary_of_a_file(t):
    plain = [command("Probe", commandId=f"c-{n}") for n in range(6)]
    text = "".join(json.dumps(one) + "\n" for one in plain)
    for terminal in (False, True):
        publishing = Publishing(
            t, "--file", t.dir / "commands.jsonl" if terminal else "-", "--new-ids", "--wait",
            count=6, terminal=terminal, input=None if terminal else text,
        )  # fmt: skip
        first, second, third, *others = publishing.records
        time.sleep(1.5 if terminal else 0)
        t.topics.publish_events(
            probe_result(first.command, first.position, ok=False),
            probe_result(second.command, second.position, outcome("FAILED", "TIMEOUT", "late")),
            dead_letter(third, "INVALID_COMMAND"),
            *(probe_result(r.command, r.position) for r in others),
        )
        got, out, err = publishing.end()
        assert got == 1 and "3 ok, 3 failed" in out + err, (got, out, err)
        if terminal:
            assert "0 of 6 have ended" in out, out
        else:
            assert len(lines(out)) == 6 and err == "envdriver publish: 3 ok, 3 failed\n", err
        (t.dir / "commands.jsonl").write_text(text, "utf-8")
    quiet = Publishing(t, "--file", "-", "--wait", "-q", input=text, count=6)
    t.topics.publish_events(*(probe_result(r.command, r.position) for r in quiet.records))
    got, out, err = quiet.end()
    assert (got, len(lines(out)), err) == (0, 6, ""), err


def test_envelope_is_opened(t):
    [record] = t.topics.publish(command("Probe", commandId="enveloped"))
    recorded = t.cli("replay", "--topics", "commands", "--envelope").stdout
    done = t.cli("publish", "--file", "-", "--new-ids", input=recorded)
    assert done.returncode == 0 and len(lines(done.stdout)) == 1, done
    assert lines(done.stdout)[0]["commandId"] != "enveloped"
    done = t.cli("publish", "--file", "-", input=recorded)
    assert lines(done.stdout)[0]["commandId"] == "enveloped", done
    # A result is none, and it says which it is.
    t.topics.publish_events(probe_result(record.command, record.position))
    recorded = t.cli("replay", "--topics", "probe", "--envelope").stdout
    done = t.cli("publish", "--file", "-", input=recorded)
    assert done.returncode == 2, done
    assert '-:1: a record "ProbeResult", not a command; envdriver replay --topics commands' in done.stderr, done
