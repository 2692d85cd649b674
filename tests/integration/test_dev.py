# SPDX-License-Identifier: Apache-2.0
"""`envdriver dev`: who may give it commands."""

import hashlib
import hmac
import os
import re
import signal
import stat
import subprocess

from confluent_kafka import Producer
from harness import avro
from harness.case import limit
from harness.commands import command, sandbox_provider
from harness.paths import environment
from harness.process import wait_until
from harness.worker import program

WHO = ["--provider", "local", "--environment", "e"]


def start(t):
    """A running `envdriver dev` and the variables that it wrote."""
    path, log = t.dir / "env", t.dir / "dev.log"
    path.touch(0o644)
    process = subprocess.Popen(
        [program(), "dev", "--no-http", "--env-file", path, "-X", f"instance.id=d{os.getpid()}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log.open("w"), env=environment(),
    )

    def stop():
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    t.at_end(stop)
    wait_until(lambda: "ready; nothing is kept" in log.read_text(), 30, log.read_text)
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
