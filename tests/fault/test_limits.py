# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, fault 21: no descriptors, no processes, no memory. What cannot be done now
is a retriable result or an orderly end, and nothing is lost after a restart."""

import os
import resource
import signal
import subprocess

from harness.case import limit, short
from harness.commands import command
from harness.faults import assert_calls, descriptors
from harness.ledger import Ledger
from harness.process import wait_until

AGAIN, ABORT = 75, signal.SIGABRT
# Neither root, whom RLIMIT_NPROC does not bind, nor anybody else's processes.
USER = 61234
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]


def set_limit(worker, what, soft):
    """Of a process that runs."""
    _, hard = resource.prlimit(worker.pid, what)
    resource.prlimit(worker.pid, what, (soft, hard))


def set_processes(worker, soft):
    """The same of one that runs as USER, who alone may do that."""
    subprocess.run([*AS_USER, "prlimit", "--pid", str(worker.pid), f"--nproc={soft}:"], check=True)


def one(t, plain, timeout=30):
    [event] = t.topics.wait(t.topics.publish(plain), timeout)
    return event


def probe(**more):
    return command("Probe", orderingKey="", **more)


def cannot_start(t, worker, why):
    """The host's lack, in the log; to the caller the same as any worker that does not run."""
    for _ in range(3):
        event = one(t, probe())
        assert event.error["code"] == "NO_RUNNING_WORKER", event.plain
        assert event.error["retryable"] and not event.error["mayHaveRun"], event.plain
    tries = [line for line in worker.stderr().splitlines() if why in line]
    assert 0 < len(tries) < 20, (len(tries), tries[:3])  # and not in a circle
    assert "Worker process failed to start: " in tries[0], tries[0]


def processor_time(pid):
    """Seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- descriptors ---


@limit(120)
@short
def test_too_few_descriptors_at_the_start(t):
    """ulimit -n 40: 75, and what it lacks; 64 are enough."""
    ledger = Ledger(t)
    worker = t.worker("w1", ready=False, before=["prlimit", "--nofile=40:40", "--"])
    assert worker.process.wait(20) == AGAIN, worker.stderr()[-1000:]
    assert "the limit of 40 open files is too low" in worker.stderr(), worker.stderr()[-1000:]
    worker = t.worker("w2", before=["prlimit", "--nofile=64:64", "--"])
    records = t.topics.publish(*(ledger.execute(f"run-{n}", seconds=0.1) for n in range(20)))
    t.topics.wait(records, timeout=60)
    print(f"runs with {descriptors(worker.pid)} of 64 descriptors")
    assert "Too many open files" not in worker.stderr(), worker.stderr()[-1000:]
    assert_calls(ledger, t.verify())


@limit(150)
@short
def test_no_descriptor_left_while_it_runs(t):
    """Not one more can be opened. What runs goes on; a plugin that has to be started is a retriable
    result; HTTP waits and does not spin. When there are some again, all is well."""
    ledger = Ledger(t)
    t.install(t.fixture())
    worker = t.worker(config={"plugin.start.wait": "1s"})
    assert one(t, ledger.execute("before")).status == "SUCCEEDED"
    wait_until(lambda: one(t, probe()).status == "SUCCEEDED", 20, "the plugin runs")
    set_limit(worker, resource.RLIMIT_NOFILE, 3)
    event = one(t, probe(config={"test": {"crash": 1}}))
    assert event.error["code"] == "WORKER_UNAVAILABLE", event.plain
    cannot_start(t, worker, "Too many open files")
    for n in range(20):
        assert one(t, ledger.execute(f"during-{n}")).status == "SUCCEEDED"
    worker.ready_status()  # an accept that waits has its descriptor already
    before = processor_time(worker.pid)
    assert worker.ready_status() is None
    assert processor_time(worker.pid) - before < 1, "accept is tried again and again"
    set_limit(worker, resource.RLIMIT_NOFILE, 1000)
    wait_until(lambda: one(t, probe()).status == "SUCCEEDED", 30, "the plugin runs again")
    wait_until(lambda: worker.ready_status() == 200, 20, worker.ready_text)
    assert_calls(ledger, t.verify())


# --- processes ---


def as_user(t):
    """What runs a worker that RLIMIT_NPROC binds."""
    if os.getuid() != 0:
        t.skip("only root can run a worker as a user without other processes")
    # The private socket is root's.
    t._once("redis", lambda: t._start_redis(tcp=True))
    return [*AS_USER[:-1], "--pdeathsig", "KILL", "--"]


@limit(120)
def test_no_process_can_be_started(t):
    """fork fails: a retriable result, and the plugin runs as soon as there is room."""
    before = as_user(t)
    t.install(t.fixture())
    worker = t.worker(before=before, config={"plugin.start.wait": "1s"})
    wait_until(lambda: one(t, probe()).status == "SUCCEEDED", 20, "the plugin runs")
    set_processes(worker, 1)
    event = one(t, probe(config={"test": {"crash": 1}}))
    assert event.error["code"] == "WORKER_UNAVAILABLE", event.plain
    cannot_start(t, worker, "cannot fork: Resource temporarily unavailable")
    set_processes(worker, 10_000)
    wait_until(lambda: one(t, probe()).status == "SUCCEEDED", 30, "the plugin runs again")
    types = [e.value["type"] for e in t.verify() if e.name == "PluginEvent"]
    assert "WORKER_GAVE_UP" not in types, types


# --- memory ---


def address_space(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[0]) * resource.getpagesize()


@limit(240)
def test_no_memory(t):
    """RLIMIT_AS: the worker ends, by itself with 75 or by librdkafka's abort when malloc fails, or
    it gets by; each command has its one end. Release build: a sanitizer reserves terabytes."""
    ledger = Ledger(t)
    pad, records, ends = {"pad": "x" * 700_000}, [], []
    for n, room in enumerate((0, 1 << 20, 16 << 20, 64 << 20)):
        worker = t.worker(f"w{n}", build="release")
        assert one(t, ledger.execute(f"before-{n}"), timeout=60).status == "SUCCEEDED"
        set_limit(worker, resource.RLIMIT_AS, address_space(worker.pid) + room)
        made = [ledger.execute(f"run-{n}-{i}", seconds=0.5, config=pad) for i in range(60)]
        records += t.topics.publish(*made)
        try:
            ends.append(worker.wait(10))
            assert ends[-1] in (AGAIN, -ABORT), (ends, worker.stderr()[-2000:])
            worker.checked = True  # the abort's "Assertion `p' failed" is rd_malloc's
        except subprocess.TimeoutExpired:
            ends.append("lived")
            set_limit(worker, resource.RLIMIT_AS, resource.RLIM_INFINITY)
            assert worker.terminate(60) == 0
    t.worker("last")
    t.topics.wait(records, timeout=90)
    print(f"ends: {ends}")
    assert ends[0] != "lived", ends
    assert_calls(ledger, t.verify())
