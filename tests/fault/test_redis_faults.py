# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, faults 9 and 10: Redis is away at the start, dies midway, freezes."""

import socketserver
import threading
import time

from harness.case import limit, short
from harness.commands import command
from harness.faults import assert_calls, interrupted
from harness.ledger import Ledger
from harness.process import wait_until


def assert_once(ledger, events):
    assert_calls(ledger, events)
    assert not interrupted(events), [e.plain for e in interrupted(events)][:3]


@short
@limit(120)
def test_redis_down_at_start(t):
    """Fault 9: not ready, nothing is read; starts when Redis is back."""
    ledger = Ledger(t)
    t.redis.stop()
    records = t.topics.publish(*(ledger.probe() for _ in range(10)), ledger.execute("first"))
    worker = t.worker(ready=False)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        worker.assert_running()
        assert worker.ready_status() in (None, 503)
        time.sleep(0.5)
    assert "Redis" in worker.ready_text(), worker.ready_text()
    worker.assert_not_said("subscribed")
    t.redis.start()
    worker.wait_ready(30)
    t.topics.wait(records)
    assert_once(ledger, t.verify())


def away(t, leave, come_back, seconds):
    """Fault 10: calls that run while Redis is away end with their real result, what is read waits,
    nothing fails."""
    ledger = Ledger(t)
    worker = t.worker()
    t.topics.wait(t.topics.publish(ledger.probe()))
    running = [ledger.execute(f"run-{i}", seconds=i) for i in range(8)]
    records = t.topics.publish(*running, ledger.acquire(seconds=3))
    wait_until(lambda: len(ledger.asked()) == 8, 10, "all are called")
    leave()
    time.sleep(1)
    records += t.topics.publish(
        *(ledger.execute(f"late-{i}", key=f"k{i % 3}") for i in range(20)), ledger.probe()
    )
    time.sleep(seconds - 1)
    worker.assert_running()
    assert worker.ready_status() == 503
    assert "Redis" in worker.ready_text(), worker.ready_text()
    come_back()
    worker.wait_ready(30)
    for event in t.topics.wait(records, timeout=60):
        assert event.status == "SUCCEEDED", event.plain
    assert_once(ledger, t.verify())
    return ledger


@limit(150)
def test_redis_killed_for_30_s(t):
    t.redis.client.ping()
    away(t, t.redis.kill, t.redis.start, 30)


@limit(150)
def test_redis_frozen_for_15_s(t):
    """The connection stays, nothing answers."""
    away(t, t.redis.pause, t.redis.cont, 15)


@short
@limit(90)
def test_redis_killed_for_4_s(t):
    away(t, t.redis.kill, t.redis.start, 4)


@limit(240)
def test_redis_killed_again_and_again(t):
    """Every 3 s for a minute, under load, with two workers."""
    t.make_topics(commands=4)
    ledger = Ledger(t)
    workers = [t.worker("w1"), t.worker("w2")]
    records = []
    end = time.monotonic() + 60
    turn = 0
    while time.monotonic() < end:
        records += t.topics.publish(
            *(ledger.execute(f"run-{turn}-{i}", seconds=0.2 * i) for i in range(10)),
            *(ledger.probe(key=f"k{i % 4}") for i in range(10)),
            ledger.acquire(),
        )
        time.sleep(2.5)
        t.redis.restart()
        turn += 1
    for worker in workers:
        worker.wait_ready(30)
    t.topics.wait(records, timeout=60)
    events = t.verify(quiet=1)
    assert_once(ledger, events)
    print(f"{turn} kills of Redis under {len(records)} commands")


@limit(150)
def test_redis_refuses_writes_for_want_of_memory(t):
    """OOM counts as Redis down (docs/engine.md section 4): nothing fails."""
    ledger = Ledger(t)
    worker = t.worker()
    t.topics.wait(t.topics.publish(ledger.probe()))
    t.redis.client.config_set("maxmemory", "1mb")
    records = t.topics.publish(*(ledger.execute(f"run-{i}") for i in range(5)), ledger.acquire())
    time.sleep(5)  # time to be called, if they were
    worker.assert_running()
    assert not ledger.asked()
    t.redis.client.config_set("maxmemory", "0")
    for event in t.topics.wait(records, timeout=40):
        assert event.status == "SUCCEEDED", event.plain
    worker.wait_ready(30)
    assert_once(ledger, t.verify())


class Answering(socketserver.ThreadingUnixStreamServer):
    """In the place of a Redis: it answers every command with one line."""

    daemon_threads = True

    def __init__(self, path, line):
        path.unlink(missing_ok=True)
        super().__init__(str(path), self.Session)
        self.line = line
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Session(socketserver.StreamRequestHandler):
        def handle(self):
            for head in self.rfile:
                for _ in range(int(head[1:]) * 2 if head[:1] == b"*" else 0):
                    self.rfile.readline()
                self.wfile.write(self.server.line + b"\r\n")


def told(worker, text, seconds=10):
    """/readyz and the log say so."""
    wait_until(
        lambda: worker.ready_status() == 503 and text in worker.ready_text(),
        seconds,
        lambda: f"{text!r} in /readyz, not {worker.ready_text()!r}",
    )
    wait_until(lambda: f"{text}" in worker.stderr(), 3, f"{text!r} in the log")


@limit(150)
@short
def test_redis_says_why_it_stays_away(t):
    """The reason is the latest one, whatever it was before."""
    client = t.redis.client
    user = {"enabled": True, "keys": ["*"], "channels": ["*"], "commands": ["+@all"]}
    client.acl_setuser("worker", passwords=["+right"], **user)
    t.install(t.fixture())
    worker = t.worker(config={"redis.url": f"unix://worker:right@{t.redis.socket}"})
    client.acl_setuser("worker", reset_passwords=True, passwords=["+other"], **user)
    client.client_kill_filter(user="worker")
    told(worker, "WRONGPASS")
    client.acl_setuser("worker", reset_passwords=True, passwords=["+right"], **user)
    worker.wait_ready(30)
    # Everything is permitted but what a command needs: the greeting works, commands do not.
    time.sleep(10)
    client.acl_setuser("worker", reset_passwords=True, passwords=["+right"], enabled=True,
                       keys=["*"], channels=["*"], commands=["+@all", "-evalsha"])
    records = t.topics.publish(command("Probe"))
    told(worker, "NOPERM")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert worker.ready_status() == 503, "never ready in between"
        time.sleep(0.1)
    client.acl_setuser("worker", reset_passwords=True, passwords=["+right"], **user)
    worker.wait_ready(30)
    t.topics.wait(records, timeout=30)
    t.redis.stop()
    told(worker, "no such file")
    loading = Answering(t.redis.socket, b"-LOADING Redis is loading the dataset in memory")
    told(worker, "LOADING Redis is loading the dataset")
    loading.shutdown()
    loading.server_close()
    t.redis.socket.unlink(missing_ok=True)
    t.redis.start()
    told(worker, "WRONGPASS")  # users are not persisted
    client.acl_setuser("worker", passwords=["+right"], **user)
    worker.wait_ready(30)
    t.redis.pause()
    told(worker, "no reply", seconds=20)
    frozen = t.cli("plugin", "list")
    t.redis.cont()
    assert frozen.returncode == 69, frozen
    assert "no reply from Redis" in frozen.stderr and "within 5 s" in frozen.stderr, frozen.stderr
    worker.wait_ready(30)
