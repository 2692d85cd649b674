# SPDX-License-Identifier: Apache-2.0
"""`envdriver dev`: who may give it commands, what it says, and what it leaves behind."""

import contextlib
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

from confluent_kafka import Producer
from harness import avro
from harness.case import limit
from harness.commands import command, sandbox_provider
from harness.paths import FIXTURES, environment
from harness.process import wait_until
from harness.worker import program

WHO = ["--provider", "local", "--environment", "e"]


class Dev:
    """`envdriver dev` with a place of its own for what it puts into TMPDIR."""

    def __init__(self, t, *arguments):
        self.log = t.dir / f"dev{len(arguments)}.log"
        # Not below t.dir: the path of a socket has to be short.
        self.tmp = Path(tempfile.mkdtemp(prefix="dev-", dir="/tmp"))
        self.process = subprocess.Popen(
            [program(), "dev", "-X", f"instance.id=d{os.getpid()}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log.open("w"),
            env=environment(TMPDIR=str(self.tmp)), start_new_session=True,
        )
        t.at_end(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        shutil.rmtree(self.tmp)

    def said(self):
        return self.log.read_text("utf-8")

    def wait_ready(self):
        wait_until(lambda: "ready; nothing is kept" in self.said(), 30, self.said)
        return self

    def left(self):
        """What is in its TMPDIR, and who still works with it."""
        found = [path.name for path in self.tmp.iterdir()]
        for stat_file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = stat_file.read_bytes().decode("utf-8", "replace").replace("\0", " ")
                found += [line] if str(self.tmp) in line else []
        return found


def start(t):
    """A running `envdriver dev` and the variables that it wrote."""
    path = t.dir / "env"
    path.touch(0o644)
    dev = Dev(t, "--no-http", "--env-file", path).wait_ready()
    log = dev.log
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "commands are taken only with that token" in log.read_text()
    return dict(re.findall(r"^export (\w+)='(.*)'$", path.read_text(), re.M))


def run(variables, *arguments):
    return subprocess.run([program(), *arguments], capture_output=True, text=True,
                          timeout=30, env=environment(**variables), check=False)


@limit(60)
def test_only_signed_commands_are_taken(t):
    """Another user of the host sees the mock Kafka, and what is written there, but not the token."""
    variables = start(t)
    done = run(variables, "publish", "probe", *WHO, "--wait")
    assert done.returncode == 0, done.stderr
    servers, token = variables["ENVDRIVER_KAFKA_BOOTSTRAP_SERVERS"], variables["ENVDRIVER_COMMAND_TOKEN"]
    for other in ({}, {"ENVDRIVER_COMMAND_TOKEN": "another-token-of-mine"}):
        mine = {**variables, **other}
        if not other:
            del mine["ENVDRIVER_COMMAND_TOKEN"]
        done = run(mine, "publish", "probe", *WHO, "--wait")
        assert done.returncode == 1 and "INVALID_COMMAND" in done.stdout, (done.stdout, done.stderr)
        assert "signed with its command.token" in done.stdout, done.stdout
    # A signature that fits another record does not fit this one, the right one does.
    value = avro.encode_command(command("Probe", target=sandbox_provider("local")))
    producer = Producer({"bootstrap.servers": servers})
    for signed in (b"another", value):
        good = hmac.new(token.encode(), signed, hashlib.sha256).hexdigest()
        producer.produce("environment.commands", value, headers=[("envdriver-signature", good)])
        assert producer.flush(10) == 0

    def letters():
        done = run(variables, "replay", "--topics", "dead-letters,probe-results")
        assert token not in done.stdout
        return done.stdout

    wait_until(lambda: letters().count("\n") == 5, 20, letters)
    assert letters().count("does not fit") == 2 and letters().count("is missing") == 1, letters()


def broken(t):
    """A plugin that does not get through its hand-shake."""
    folder = t.dir / "broken"
    folder.mkdir()
    manifest = {**t.fixture().manifest, "id": "a.broken"}
    plugin = {"manifest": manifest, "command": ["./run.sh"]}
    (folder / "plugin.json").write_text(json.dumps(plugin), "utf-8")
    (folder / "run.sh").write_text("#!/bin/sh\necho no license >&2\nexit 3\n", "ascii")
    (folder / "run.sh").chmod(0o755)
    return folder


@limit(90)
def test_it_is_quiet_and_leaves_nothing(t):
    """Whatever ends it: SIGTERM, Ctrl-C twice, SIGKILL."""
    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT], [signal.SIGKILL]):
        dev = Dev(t, "--no-http").wait_ready()
        assert "plugin envdriver.local is running\n" in dev.said(), dev.said()
        assert any("redis-server" in line for line in dev.left()), dev.left()
        for number in signals:
            dev.process.send_signal(number)
        dev.process.wait(20)
        wait_until(lambda dev=dev: not dev.left(), 10, lambda dev=dev: f"{signals}: {dev.left()}")
        loud = [line for line in dev.said().splitlines() if not line.startswith("envdriver dev: ")]
        loud = [line for line in loud if "second signal" not in line]
        assert not loud, loud


@limit(60)
def test_it_says_which_plugins_run(t):
    """And takes commands for those that do."""
    env = t.dir / "env"
    fixture = t.fixture().folder
    dev = Dev(t, "--no-http", "--env-file", env, "-X", "plugin.start.timeout=5s", broken(t), fixture)
    dev.wait_ready()
    lines = dev.said()
    assert "envdriver dev: plugin fixture.envdriver is running\n" in lines, lines
    [line] = [line for line in lines.splitlines() if "dev: plugin a.broken is " in line]
    assert "exited (code=3, signal=null)" in line and "no license" in line, line
    variables = dict(re.findall(r"^export (\w+)='(.*)'$", env.read_text("utf-8"), re.M))
    who = ["--target", "fixture.envdriver:fixture-env", "--environment", "e"]
    done = run(variables, "publish", "probe", *who, "--wait")
    assert done.returncode == 0, (done.stdout, done.stderr)
    done = run(variables, "plugin", "list")
    assert "no license" in done.stdout, done
    done = run(variables, "topics", "create")  # the mock would leave it without an answer
    assert done.returncode == 2 and "mock of `envdriver dev`" in done.stderr, done


@limit(60)
def test_it_says_what_to_do_when_its_port_is_taken(t):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dev = Dev(t, "-X", f"http.listen=127.0.0.1:{taken.getsockname()[1]}")
        assert dev.process.wait(20) == 2, dev.said()
    assert "--no-http does without it" in dev.said() and "-X http.listen=" in dev.said(), dev.said()
    assert dev.left() == [], dev.left()


@limit(120)
def test_files_that_change(t):
    """The plugin is started anew, the new worker first; one that cannot be read stays."""
    folder = t.dir / "ledger"
    shutil.copytree(FIXTURES / "ledger-plugin", folder)
    dev = Dev(t, "--no-http", "-X", "log.level=info", folder).wait_ready()
    plugin = folder / "plugin.json"
    good = plugin.read_text("utf-8")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("left by itself", "ascii")
    (folder / "ledger.py").write_text((folder / "ledger.py").read_text("utf-8") + "#\n", "utf-8")
    wait_until(lambda: "takes over from" in dev.said(), 30, dev.said)
    plugin.write_text(good.replace("{", "", 1), "utf-8")
    wait_until(lambda: "it stays as it is: " in dev.said(), 30, dev.said)
    plugin.write_text(good, "utf-8")
    wait_until(lambda: dev.said().count("takes over from") == 2, 30, dev.said)
    assert dev.said().count("it is started anew") == 2, dev.said()
