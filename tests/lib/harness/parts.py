# SPDX-License-Identifier: Apache-2.0
"""The Kafka side of envdriver without the rest: tests/integration/kafka_parts.c moves consumer,
publisher, cluster and best_effort by lines and tells what they said."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

from confluent_kafka import KafkaException

from .paths import BUILD, environment
from .process import sanitizer_report, spawn
from .worker import SANITIZER_OPTIONS

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


def published(p, line, timeout=60):
    """Submits a batch until it is done, as the engine would."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        wait_idle(p)
        p(line)
        said = p.wait(("verdict", "no meta"), timeout)  # no meta: not in the group for now
        if said["what"] == "verdict" and said["trouble"] == FINE:
            return
        time.sleep(0.2)
    raise AssertionError(f"never published: {line}: {p.seen[-10:]}")


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
