# SPDX-License-Identifier: Apache-2.0
"""A worker in surroundings that are not ours: a log that nobody reads, other people's variables,
closed descriptors, places that cannot be written."""

import fcntl
import os
import re
import signal
import subprocess
import time

from harness.case import limit
from harness.commands import command, sandbox_provider
from harness.paths import environment
from harness.worker import program

FULL = 4096  # bytes of the smallest pipe


@limit(90)
def test_a_log_that_nobody_reads_stops_nothing(t):
    t.install(t.local())
    pipe = t.dir / "unread"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, FULL)
    assert os.write(reader, b"x" * FULL) == FULL  # not one line more
    worker = t.worker(before=["sh", "-c", f'exec "$@" >{pipe} 2>&1', "sh"])
    records = t.topics.publish(
        *(command("Probe", target=sandbox_provider("local"), orderingKey="") for _ in range(10))
    )
    for event in t.topics.wait(records, timeout=30):
        assert event.status == "SUCCEEDED", event.plain
    assert worker.ready_status() == 200
    began = time.monotonic()
    assert worker.terminate(timeout=10) == 0
    assert time.monotonic() - began < 8
    assert os.read(reader, 2 * FULL) == b"x" * FULL
    os.close(reader)


@limit(90)
def test_closed_descriptors_foreign_variables_and_signals_change_nothing(t):
    t.install(t.local())
    links = {
        "ENVDRIVER_SERVICE_HOST": "10.0.48.109",
        "ENVDRIVER_SERVICE_PORT_HTTP": "9464",
        "ENVDRIVER_PORT": "tcp://10.0.48.109:9464",
        "ENVDRIVER_REDIS_PORT_6379_TCP_ADDR": "10.0.48.110",
    }
    worker = t.worker(before=["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"], env=links)
    assert [os.readlink(f"/proc/{worker.pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        worker.signal(number)
    records = t.topics.publish(command("Probe", target=sandbox_provider("local")))
    [event] = t.topics.wait(records)
    assert event.status == "SUCCEEDED", event.plain
    done = t.cli("drivers", env=links)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "ignored ENVDRIVER_SERVICE_HOST and its like: Kubernetes" in done.stderr
    # What is written to a closed output is not written.
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" 1>&-', "sh", program(), "help"], env=environment(), timeout=30
    )
    assert closed.returncode == 2


READ_ONLY = (
    "mount --make-rprivate / && mount -o bind,ro / / && mount -o remount,ro,bind / "
    '&& exec "$@"'
)


@limit(90)
def test_a_place_for_the_lock_is_found_and_none_is_needed(t):
    locks = t.dir / "locks"
    locks.mkdir()
    config = {"lock.dir": str(locks)}
    worker = t.worker(config=config)
    [file] = locks.iterdir()
    assert re.fullmatch(r"envdriver-[0-9a-f]{32}\.lock", file.name), file
    assert file.stat().st_mode & 0o777 == 0o600
    second = t.cli("worker", config={**config, "instance.id": "w1"})
    assert second.returncode == 78
    assert "another worker on this host runs as 'w1'" in second.stderr
    assert worker.terminate() == 0
    assert not list(locks.iterdir())

    # Somebody leads the name elsewhere, and nothing can be written.
    victim = t.dir / "victim"
    victim.write_text("kept")
    file.symlink_to(victim)
    worker.before = ["unshare", "-m", "sh", "-c", READ_ONLY, "sh"]
    worker.start().wait_ready()
    assert f"lock.dir: no lock can be made in '{locks}': " in worker.stderr()
    assert worker.terminate() == 0
    assert victim.read_text() == "kept" and file.is_symlink()
