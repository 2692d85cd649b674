# SPDX-License-Identifier: Apache-2.0
"""`envdriver exec` on a real worker with the local plugin: what it says of a command that waits,
what becomes of one that is interrupted, and what it learns from the records of a lease."""

import hashlib
import json
import signal
import subprocess
import time

from harness.case import limit
from harness.hostile import Hostile, answer
from harness.paths import environment
from harness.process import wait_until
from harness.worker import SANITIZER_OPTIONS, program


class Running:
    """A running `envdriver exec ARGUMENTS`; `behind` is a shell pipe that reads its output."""

    def __init__(self, t, *arguments, behind=None):
        t.cli("topics", "list")
        words = [program(), "exec", *map(str, arguments)]
        if behind:
            words = ["bash", "-c", f'"$@" | {behind}; echo "code ${{PIPESTATUS[0]}}"', "sh", *words]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), **SANITIZER_OPTIONS),
        )

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self

    def end(self, timeout=40):
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


def run_bytes(t, *arguments):
    return subprocess.run(
        [program(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), **SANITIZER_OPTIONS),
    )


def acquire(t, *arguments):
    words = ["publish", "acquire", "--provider", "local", "--run-id", "r", "--wait", "--json"]
    done = t.cli(*words, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["lease"]["providerLeaseId"]


def running(t, lease):
    """The folder of a lease, where commands leave their marks."""
    done = t.cli("exec", "--lease", lease, "--", "pwd")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_file(path):
    wait_until(lambda: subprocess.run(["test", "-e", path]).returncode == 0, 20, path)


@limit(90)
def test_waits_and_interruptions(t):
    t.install(t.local(), "local")
    t.worker()
    lease = acquire(t)
    folder = running(t, lease)
    # Behind another one of the lease: said, with its id; then it runs all the same.
    first = Running(t, "--lease", lease, "--id", "the-first", "--", "sh", "-c", "touch a; sleep 5")
    wait_file(f"{folder}/a")
    second = Running(t, "--lease", lease, "--", "echo", "second")
    code, out, err = second.end()
    assert (code, out) == (0, "second\n"), err
    assert "the command waits behind 'the-first' of the lease, which runs\n" in err, err
    assert err.count("\n") == 1, err
    assert first.end() == (0, "", "")

    # Left running: the words that stop it do so.
    left = Running(t, "--lease", lease, "--id", "left", "--", "sh", "-c", "touch b; sleep 60")
    wait_file(f"{folder}/b")
    code, out, err = left.interrupt().end()
    assert (code, out) == (130, ""), err
    assert "interrupted; command 'left' goes on in its lease\n" in err, err
    assert "to watch it: envdriver watch --results execution,logs --from 1h --command left\n" in err
    stop = err.split("to stop it: envdriver ")[1].split("\n")[0]
    assert "publish release --target envdriver.local:local --plugin-id local " in stop, err
    # One that waits is not stopped by what would stop the other.
    waits = Running(t, "--lease", lease, "--on-interrupt", "cancel", "--", "true")
    time.sleep(2)
    code, out, err = waits.interrupt().end()
    assert (code, out) == (130, "") and "has not begun: it waits behind 'left'" in err, err
    done = subprocess.run(
        ["bash", "-c", f"{program()} {stop} --wait --json"],
        env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), **SANITIZER_OPTIONS),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert json.loads(done.stdout)["receipt"]["state"] == "stopped", done

    # Stopped.
    lease = acquire(t)
    folder = running(t, lease)
    stopped = ["--lease", lease, "--on-interrupt", "cancel", "--", "sh", "-c"]
    ends = Running(t, *stopped, "echo begin; touch c; sleep 60")
    wait_file(f"{folder}/c")
    began = time.monotonic()
    code, out, err = ends.interrupt().end()
    assert (code, out) == (130, "begin\n") and "the command has ended\n" in err, err
    assert time.monotonic() - began < 20
    # So does a reader that has gone away; head has what it wants at once.
    began = time.monotonic()
    code, out, err = Running(t, *stopped, "yes", behind="head -1").end()
    assert out == "y\ncode 141\n" and "nobody reads the output any more" in err, (out, err)
    assert "the command has ended\n" in err and time.monotonic() - began < 20, err
    left = Running(t, "--lease", lease, "--", "sh", "-c", "echo x; sleep 2", behind="head -1")
    code, out, err = left.end()
    assert out == "x\ncode 141\n" and "goes on in its lease\n" in err, (out, err)


@limit(90)
def test_what_the_records_of_a_lease_say(t):
    t.install(t.local(), "local")
    t.worker()
    root = str(t.dir / "leases")
    config = json.dumps({"root": root, "env": {"FROM": "the lease's config"}})
    lease = acquire(t, "--config", config, "--company", "co", "--environment", "env-1")
    whole = json.dumps({"providerLeaseId": lease})
    path = t.dir / "lease.json"
    path.write_text(whole)
    shows = ["--", "sh", "-c", "pwd; echo $FROM"]
    for words in (
        ["--lease", lease],
        ["--lease", lease, "--provider", "local"],
        ["--lease", whole],
        ["--lease", whole, "--target", "envdriver.local:local"],
        ["--lease", f"@{path}", "--target", "envdriver.local:local", "--company", "co"],
    ):
        done = t.cli("exec", *words, *shows)
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout == f"{root}/{lease}/workspace\nthe lease's config\n", words
    records = [r.command for r in t.topics.read_commands() if r.command["operation"]["type"] == "Execute"]
    for plain in records:
        assert (plain["companyId"], plain["environmentId"]) == ("co", "env-1"), plain
        assert plain["config"] == json.loads(config) and "metadata" in plain["operation"]["lease"]
    # Its own options win.
    done = t.cli("exec", "--lease", lease, "--config", json.dumps({"root": root}), *shows)
    assert done.stdout == f"{root}/{lease}/workspace\n\n", done.stderr

    for words, code, text in (
        (["--lease", '{"x":1}'], 64, "--lease: the object has no providerLeaseId"),
        (["--lease", "{"], 64, "--lease: "),
        (["--lease", "@/nonexistent"], 125, "--lease: cannot read '/nonexistent'"),
        (["--lease", lease, "--on-interrupt", "stop"], 64, "'stop' is neither cancel nor leave"),
    ):
        done = t.cli("exec", *words, "--", "true")
        assert done.returncode == code and text in done.stderr, (words, done)
    done = t.cli("exec", "--lease", lease, "--stdin", "--", "wc", "-c", input="x" * (1 << 20) + "\n")
    assert done.returncode == 125 and done.stderr.count("\n") == 1, done.stderr
    assert "--stdin: the input has more than 1048576 bytes" in done.stderr
    done = t.cli("exec", "--lease", lease, "--stdin", "--", "wc", "-c", input="x" * (1 << 20))
    assert done.returncode == 125 and "(command.max.bytes)" in done.stderr, done.stderr
    done = t.cli("exec", "--lease", lease, "--timeout", "300ms", "--", "sleep", "30")
    assert done.returncode == 124 and "exceeded its time limit, --timeout" in done.stderr, done
    config = json.dumps({"root": root, "timeoutMs": 300})
    done = t.cli("exec", "--lease", lease, "--config", config, "--", "sleep", "30")
    assert done.returncode == 124 and "`timeoutMs` of the config" in done.stderr, done


@limit(120)
def test_bytes_come_as_they_were_written(t):
    t.install(t.local(), "local")
    t.worker()
    lease = acquire(t)
    for what in (
        r"printf '\377\000\001'",
        "head -c 1000 /dev/urandom | tee r",
        # Live pieces that end within characters, and both outputs.
        r"for b in '\360' '\237' '\246' '\212' '\200' a; do printf $b; sleep 0.05; done; cat r >&2",
        # In pieces of their own, behind text.
        "seq 100000; head -c 2000000 /dev/urandom | tee -a r",
        "cat r; cat r >&2",
    ):
        keep = ["sh", "-c", f"( {what} ) >out 2>err; cat out; cat err >&2"]
        done = run_bytes(t, "exec", "--lease", lease, "--", *keep)
        wanted = run_bytes(t, "exec", "--lease", lease, "--", "sh", "-c", "sha256sum <out; sha256sum <err")
        got = "".join(f"{hashlib.sha256(b).hexdigest()}  -\n" for b in (done.stdout, done.stderr))
        assert done.returncode == 0 and wanted.stdout.decode() == got, what
    # A limit counts what the command wrote.
    config = json.dumps({"outputLimitBytes": 3000})
    words = ["--config", config, "--", "head", "-c", "3000", "/dev/urandom"]
    done = run_bytes(t, "exec", "--lease", lease, *words)
    assert done.returncode == 0 and len(done.stdout) == 3000, done.stderr
    assert t.cli("audit", "verify").returncode == 0


@limit(60)
def test_replaced_bytes_are_told(t):
    Hostile(t)
    t.worker()
    given = {"exitCode": 0, "signal": None, "timedOut": False, "stdout": "a\ufffd", "stderr": ""}
    given["metadata"] = {"outputBytesReplaced": 1}
    config = json.dumps({"answer": answer(given)})
    words = ["--lease", "L", "--target", "hostile.envdriver:hostile", "--config", config, "--", "x"]
    done = t.cli("exec", *words)
    assert (done.returncode, done.stdout) == (0, "a\ufffd"), done.stderr
    assert "1 bytes of the output are not UTF-8; U+FFFD replaces them" in done.stderr
