# SPDX-License-Identifier: Apache-2.0
"""Output of an execution is whole, however large (P5): docs/engine.md section 6."""

import hashlib
import json
import threading
import time

from harness.case import limit
from harness.commands import command
from harness.process import wait_until

LINE = 1024
MIB = 1024 * 1024


def numbered(lines):
    """What the fixture plugin's knobs stdoutLines and stderrLines make."""
    rest = "\u2603" + "x" * 1011 + "\n"
    return "".join(f"{i:09d}{rest}" for i in range(lines)).encode()


def execution(lines, stderr=0, **top):
    knobs = {"on": "environmentExecute", "stdoutLines": lines, "stderrLines": stderr}
    knobs |= top.pop("knobs", {})
    return command("Execute", orderingKey="", config={"test": knobs}, **top)


def assert_whole(event, lines, stderr=0):
    """The oracle compares pieces and result; this compares the result with the truth."""
    assert event.status == "SUCCEEDED", event.plain["outcome"]
    for name, count in (("stdout", lines), ("stderr", stderr)):
        whole = numbered(count)
        assert event.value[f"{name}Bytes"] == len(whole), (name, event.value[f"{name}Bytes"])
        if event.value[f"{name}Truncated"]:
            assert event.value[f"{name}Sha256"] == hashlib.sha256(whole).hexdigest(), name
        else:
            assert event.value[name].encode() == whole, name


def pieces(events, token=None):
    return [
        e
        for e in events
        if e.name == "ExecutionLog"
        and e.value["origin"] == "FINAL"
        and token in (None, e.value["callToken"])
    ]


@limit(120)
def test_outputs_of_3_and_9_and_20_mb(t):
    t.install(t.fixture())
    worker = t.worker()
    sizes = [(3000, 0), (9000, 0), (100, 9000), (10000, 10000)]
    records = t.topics.publish(*(execution(*size) for size in sizes), command("Probe"))
    events = t.topics.wait(records, timeout=90)
    for event, size in zip(events, sizes):
        assert_whole(event, *size)
    t.verify()
    # One transaction at the least for each set of 8 MiB.
    assert worker.metric("envdriver_transactions_total") >= 4 + 3, worker.metric(
        "envdriver_transactions_total"
    )


@limit(150)
def test_killed_between_the_pieces_and_the_result(t):
    """docs/reliability.md, faults 1 and 18: what is there of a lost attempt counts for nothing."""
    plugin_id = t.install(t.fixture())
    for rerun in (False, True):
        worker = t.worker(f"w{rerun:d}", ready=False, env={"ENVDRIVER_CRASH_AT": "pieces"})
        wait_until(
            lambda: t.redis.client.hget(f"envdriver:worker:{plugin_id}:{worker.name}", "status")
            == "running",
            20,
            f"{worker.name}'s plugin runs",
        )
        records = t.topics.publish(execution(20000, rerunIfInterrupted=rerun))
        assert worker.wait(60) == -9, worker.process.returncode
        left = {
            e.value["callToken"]
            for e in pieces(t.topics.read_all())
            if e.command_id == records[0].command_id
        }
        assert len(left) == 1, "the lost attempt left pieces"
        worker.env = {}
        worker.start()
        [event] = t.topics.wait(records, timeout=60)
        t.verify()
        token = event.value["trace"]["callToken"]
        if rerun:
            assert_whole(event, 20000)
            assert event.value["trace"]["attempt"] == 2 and token not in left, event.plain
        else:
            assert event.status == "INTERRUPTED" and event.value["finalLogRecords"] == 0
            assert left == {token}, "the claim names who was lost"
        assert worker.terminate() == 0


@limit(180)
def test_broker_killed_between_the_pieces(t):
    """Sets in doubt are published again; the whole is right, and there is one result."""
    broker = t.own_broker()
    t.install(t.fixture())
    worker = t.worker()
    t.topics.wait(t.topics.publish(command("Probe")), timeout=40)
    records = t.topics.publish(execution(40000), execution(9000), command("Probe"))
    wait_until(lambda: pieces(t.topics.read_all()), 60, "the first pieces are there")
    broker.kill()
    time.sleep(3)
    broker.restart()
    first, second, probe = t.topics.wait(records, timeout=120)
    assert_whole(first, 40000)
    assert_whole(second, 9000)
    assert probe.status == "SUCCEEDED"
    t.verify()
    assert worker.running


@limit(150)
def test_rolling_restart_hands_large_answers_over(t):
    """The pieces go to Kafka first, Redis holds the result alone (docs/engine.md section 7)."""
    t.make_topics(commands=2)
    t.install(t.fixture())
    old = t.worker("old", config={"drain.timeout": "1s"})
    sizes = (9000, 3000, 1)  # over 8 MiB, over 1 MiB in one transaction, 2 MiB on one stream
    records = t.topics.publish(
        *(execution(lines, 2000, knobs={"sleepMs": 8000}) for lines in sizes),
        execution(10, knobs={"sleepMs": 8000}),
    )
    wait_until(lambda: old.metric("envdriver_calls_running") == 4, 20, "all are called")
    heaviest = watch_answers(t)
    leaving = threading.Thread(target=old.terminate, args=(60,))
    leaving.start()
    time.sleep(1.5)
    t.worker("new")
    events = t.topics.wait(records, timeout=60)
    leaving.join()
    assert old.process.returncode == 0
    for event, lines in zip(events, sizes):
        assert_whole(event, lines, 2000)
        # Called by one, published by the other.
        assert event.value["trace"]["instanceId"] == "old", event.plain["trace"]
    assert_whole(events[3], 10)
    t.verify()
    assert 0 < heaviest() <= MIB, heaviest()


def watch_answers(t):
    """The largest answer that Redis is given from now on."""
    seen, stop = [0], threading.Event()

    def look():
        client = t.redis.client
        while not stop.is_set():
            for key in client.scan_iter("envdriver:answer:*"):
                seen.append(client.strlen(key))
            time.sleep(0.02)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()

    def end():
        stop.set()
        thread.join()
        return max(seen)

    return end


@limit(90)
def test_live_output_stops_when_the_claim_is_lost(t):
    """docs/engine.md section 7: who re-asserts a claim and finds it taken over shows nothing
    more."""
    t.install(t.fixture())
    worker = t.worker()
    script = "for i in $(seq 1 40); do echo $i; sleep 0.5; done"
    fields = {"command": "sh", "args": ["-c", script]}
    records = t.topics.publish(command("Execute", fields, orderingKey=""))

    def live():
        events = t.topics.read_all()
        return len([e for e in events if e.name == "ExecutionLog" and e.value["origin"] == "LIVE"])

    def reconnect():
        before = worker.metric("envdriver_redis_reconnects_total")
        t.redis.client.client_kill_filter(_type="normal", skipme=True)
        wait_until(
            lambda: worker.metric("envdriver_redis_reconnects_total") > before,
            10,
            "the worker is back at Redis",
        )

    wait_until(live, 20, "live output is there")
    reconnect()
    before = live()
    wait_until(lambda: live() > before + 2, 10, "live output goes on while the claim is ours")
    key = f"envdriver:claim:{records[0].command_id}"
    fields = t.redis.client.get(key).split("|")
    fields[8] += "0"
    t.redis.client.set(key, "|".join(fields))
    reconnect()
    wait_until(lambda: "was taken over" in worker.stderr(), 10, "the worker knows")
    before = live()
    time.sleep(3)
    assert live() <= before + 1, (before, live())


def memory(worker, name):
    """Of the process, in MiB: VmHWM is the most that was resident."""
    with open(f"/proc/{worker.pid}/status", encoding="ascii") as status:
        [line] = [line for line in status if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


@limit(240)
def test_100_mb(t):
    """Nearly as large as the protocol's longest line: whole, in a few copies, and the loop does
    not stand still. The release build: sanitizers would be what is measured."""
    t.install(t.fixture())
    worker = t.worker(build="release")
    t.topics.wait(t.topics.publish(command("Probe")))
    before = memory(worker, "VmRSS")
    [event] = t.topics.wait(t.topics.publish(execution(100 * 1024)), timeout=150)
    assert_whole(event, 100 * 1024)
    t.verify()
    peak, turn = memory(worker, "VmHWM"), worker.metric("envdriver_loop_turn_max_ms")
    wait_until(lambda: memory(worker, "VmRSS") < before + 64, 20, "the memory goes back")
    after = memory(worker, "VmRSS")
    print(f"resident {before:.0f}, peak {peak:.0f}, after {after:.0f} MiB; longest turn {turn} ms")
    assert worker.metric("envdriver_bytes_held") < MIB
    assert peak < before + 4 * 100, peak
    assert turn < 100, turn


@limit(150)
def test_command_line_shows_large_output(t):
    """exec prints it all, though nothing was LIVE; the others show the result as it is."""
    t.install(t.fixture())
    t.worker()
    knobs = {"on": "environmentExecute", "stdoutLines": 10000, "stderrLines": 1000, "exitCode": 3}
    path = t.dir / "config.json"
    path.write_text(json.dumps({"test": knobs}), "utf-8")
    options = ["--target", "fixture.envdriver:fixture-env", "--lease", "L", "--environment", "e1"]
    options += ["--config", f"@{path}", "--ordering-key", ""]
    done = t.cli("exec", *options, "--", "true", timeout=100)
    assert done.returncode == 3, (done.returncode, done.stderr[-300:])
    assert done.stdout.encode() == numbered(10000)
    assert done.stderr.encode() == numbered(1000)
    done = t.cli("publish", "exec", *options, "--wait", "--", "true", timeout=100)
    published = json.loads(done.stdout)
    assert published["stdoutBytes"] == 10000 * LINE and published["stdoutTruncated"] is True
    assert published["stdoutSha256"] == hashlib.sha256(numbered(10000)).hexdigest()
    assert published["finalLogRecords"] >= 20
    results = ["--environment", "e1", "--operation", "Execute"]
    shown = t.cli("replay", "--topics", "execution", *results).stdout.splitlines()
    assert json.loads(shown[1]) == published
    watch = ["watch", "--results", "execution", "--from", "beginning", "--limit", "2"]
    assert t.cli(*watch, "--timeout", "20s").stdout.splitlines() == shown
    token = published["trace"]["callToken"]
    logs = t.cli("replay", "--topics", "logs", "--command", published["command"]["commandId"])
    log = [json.loads(line) for line in logs.stdout.splitlines()]
    text = [p["text"] for p in log if p["stream"] == "STDOUT" and p["callToken"] == token]
    assert "".join(text).encode() == numbered(10000)
    t.verify()


@limit(150)
def test_given_up_while_its_answer_is_shaped(t):
    """handover.timeout passes at some time between the end of the call and its hand-over: whatever
    the moment, one final event, and nothing is left in memory (the sanitizer looks)."""
    t.make_topics(commands=2)
    t.install(t.fixture())
    seen = []
    for number, bound in enumerate(("1s", "2s", "3s", "5s")):
        old = t.worker(f"w{number}", config={"drain.timeout": "1s", "handover.timeout": bound})
        records = t.topics.publish(execution(60 * 1024))
        wait_until(lambda: old.metric("envdriver_calls_running") == 1, 20, "it is called")
        assert old.terminate(60) == 0
        new = t.worker(f"x{number}", config={"handover.timeout": "5s"})
        [event] = t.topics.wait(records, timeout=60)
        seen.append(event.error["code"] if event.error else event.status)
        if event.status == "SUCCEEDED":
            assert_whole(event, 60 * 1024)
        else:
            assert event.error["mayHaveRun"], event.plain["outcome"]
        assert new.terminate(60) == 0
    # The plugin may be stopped before it has answered: then the call failed with it.
    assert set(seen) <= {"INTERRUPTED", "SUCCEEDED", "WORKER_UNAVAILABLE"}, seen
    t.verify()
    print(seen)
