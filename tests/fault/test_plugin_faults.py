# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, faults 12 to 15: plugins that die, hang, flood and talk nonsense."""

import json
import os
import statistics
import time

from harness.case import limit, short
from harness.commands import command
from harness.faults import rss_kb
from harness.hostile import Hostile, answer
from harness.process import wait_until

MIB = 1024 * 1024
GIB = 1024 * MIB


def one(t, plain, timeout=30):
    [event] = t.topics.wait(t.topics.publish(plain), timeout)
    return event


def worker_record(t, plugin_id, worker):
    return t.redis.client.hgetall(f"envdriver:worker:{plugin_id}:{worker.name}")


def wait_running(t, plugin_id, worker):
    wait_until(
        lambda: worker_record(t, plugin_id, worker).get("status") == "running",
        20,
        f"the plugin of {worker.name} runs",
    )


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# --- fault 12: it dies in the middle of a call ---


def died(event, message):
    error = event.error
    assert (event.status, error["code"]) == ("FAILED", "WORKER_UNAVAILABLE"), event.plain
    assert error["message"].startswith(message), error
    assert (error["rpcCode"], error["retryable"], error["mayHaveRun"]) == (-32000, True, True)


@limit(120)
@short
def test_plugin_dies_in_a_call(t):
    plugin_id = t.install(t.fixture())
    worker = t.worker(config={"plugin.start.wait": "15s"})
    rows = [
        (5, "Worker process exited (code=5, signal=null)"),
        ("SIGSEGV", "Worker process exited (code=null, signal=SIGSEGV)"),
        ("SIGKILL", "Worker process exited (code=null, signal=SIGKILL)"),
    ]
    for crash, message in rows:
        config = {"test": {"crash": crash, "stderr": "last words"}}
        # What is under way beside it ends with it, and says so too.
        beside = command("Execute", config={"test": {"hang": True}}, orderingKey="")
        slow = t.topics.publish(beside)
        wait_until(lambda: worker.metric("envdriver_calls_running") == 1, 20, "it runs")
        died(one(t, command("Execute", config=config, orderingKey="")), message)
        [event] = t.topics.wait(slow)
        died(event, message)
        assert "last words" in event.error["message"], event.error
        # A command that comes in the back-off has it started at once.
        assert one(t, command("Probe")).status == "SUCCEEDED"
    record = worker_record(t, plugin_id, worker)
    assert record["totalCrashes"] == "3" and int(record["consecutiveCrashes"]) == 3, record
    events = [e.value["type"] for e in t.verify() if e.name == "PluginEvent"]
    assert events.count("WORKER_CRASHED") == 3 and events.count("WORKER_RESTARTED") == 3, events


@limit(120)
def test_plugin_that_always_crashes_is_given_up(t):
    plugin_id = t.install(t.fixture())
    worker = t.worker(config={"plugin.start.wait": "15s"})
    for _ in range(10):
        event = one(t, command("Probe", config={"test": {"crash": 1}}, orderingKey=""))
        died(event, "Worker process exited (code=1, signal=null)")
    wait_until(
        lambda: worker_record(t, plugin_id, worker).get("status") == "crashed", 10, "given up"
    )
    # From here it is not called and not waited for.
    begin = time.monotonic()
    records = t.topics.publish(*(command("Probe", orderingKey="") for _ in range(20)))
    for event in t.topics.wait(records):
        assert event.error["code"] == "NO_RUNNING_WORKER", event.plain
        assert event.value["trace"]["attempt"] == 0
    took = time.monotonic() - begin
    assert took < 10, f"{took:.2f} s: none of them waits for plugin.start.wait"
    types = [e.value["type"] for e in t.verify() if e.name == "PluginEvent"]
    assert types.count("WORKER_GAVE_UP") == 1, types
    # A change of its record is the way out.
    t.redis.client.hset(f"envdriver:plugin:{plugin_id}", "status", "disabled")
    # Two changes in a row may be read as one that is none.
    wait_until(
        lambda: one(t, command("Probe")).error["code"] != "NO_RUNNING_WORKER", 10, "it is disabled"
    )
    t.redis.client.hset(f"envdriver:plugin:{plugin_id}", "status", "ready")
    wait_running(t, plugin_id, worker)
    assert one(t, command("Probe")).status == "SUCCEEDED"


# --- fault 13: it hangs, and holds on to life ---


@limit(120)
def test_plugin_hangs_and_does_not_want_to_end(t):
    """Deaf to SIGTERM and to shutdown, with three children that are so too and hold its pipes."""
    hostile = Hostile(t)
    worker = t.worker(config={"plugin.call.timeout": "2s"})
    wait_running(t, hostile.id, worker)
    file = t.dir / "brood"
    began = time.monotonic()
    event = one(t, hostile.command("ValidateConfig", config={"brood": str(file)}))
    took = time.monotonic() - began
    assert event.error["code"] == "TIMEOUT", event.plain
    message = 'RPC call "environmentValidateConfig" timed out after 2000ms'
    assert event.error["message"] == message, event.error
    assert 2 <= took < 6, took
    assert (event.error["retryable"], event.error["mayHaveRun"]) == (True, True)
    brood = [int(pid) for pid in file.read_text().split()]
    assert len(brood) == 4 and all(map(alive, brood))
    t.verify()
    # shutdown 10 s, then 0.5 s, SIGTERM 5 s, SIGKILL of the group.
    began = time.monotonic()
    assert worker.terminate(40) == 0
    took = time.monotonic() - began
    assert 15 <= took < 30, took
    assert not any(map(alive, brood)), [pid for pid in brood if alive(pid)]


@limit(90)
@short
def test_plugin_leaves_its_children_behind(t):
    """It dies; the children that hold its pipes do not keep the call waiting, and go too."""
    hostile = Hostile(t)
    worker = t.worker()
    wait_running(t, hostile.id, worker)
    file = t.dir / "brood"
    records = t.topics.publish(hostile.command(config={"brood": str(file)}))
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 4, 20, "the brood")
    parent, *children = [int(pid) for pid in file.read_text().split()]
    began = time.monotonic()
    os.kill(parent, 9)
    [event] = t.topics.wait(records)
    assert time.monotonic() - began < 5
    died(event, "Worker process exited (code=null, signal=SIGKILL)")
    wait_until(lambda: not any(map(alive, children)), 5, "its children are gone")
    t.verify()


# --- fault 14: it floods ---


def high_water_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    raise AssertionError("no VmHWM")


@limit(180)
def test_a_line_without_end(t):
    """1 GB without a line break: cut off at plugin.line.max.bytes, and the call fails. Release
    build: the sanitizers multiply memory."""
    cap = 128 * MIB  # the default
    hostile = Hostile(t)
    worker = t.worker(build="release", config={"plugin.call.timeout": "40s"})
    wait_running(t, hostile.id, worker)
    before = rss_kb(worker.pid)
    event = one(t, hostile.command("ValidateConfig", config={"flood": GIB}), timeout=90)
    # Its answer was on the line that was thrown away.
    assert event.error["code"] == "TIMEOUT", event.plain
    high = high_water_kb(worker.pid)
    print(f"release build: {before} KiB at rest, {high} KiB at most, cap {cap // 1024} KiB")
    assert high * 1024 < cap + 64 * MIB, high
    # With the next line break it is well again.
    config = {"raw": ["\n"]}
    assert one(t, hostile.command("ValidateConfig", config=config)).status == "SUCCEEDED"
    assert rss_kb(worker.pid) * 1024 < 64 * MIB, rss_kb(worker.pid)
    assert worker.metric("envdriver_plugin_bad_lines_total") >= 1
    t.verify()


@limit(60)
@short
def test_slow_drip_ends_by_the_deadline(t):
    hostile = Hostile(t)
    worker = t.worker(config={"plugin.call.timeout": "3s"})
    wait_running(t, hostile.id, worker)
    began = time.monotonic()
    event = one(t, hostile.command("ValidateConfig", config={"drip": True}))
    took = time.monotonic() - began
    assert event.error["code"] == "TIMEOUT" and 3 <= took < 8, (took, event.plain)
    t.verify()


def latency(t, hostile, count):
    took = []
    for _ in range(count):
        began = time.monotonic()
        assert one(t, hostile.command()).status == "SUCCEEDED"
        took.append(time.monotonic() - began)
    return statistics.median(took)


@limit(180)
def test_flood_of_notifications_and_its_neighbour(t):
    """10^6 log notifications a second from one plugin: the calls to another take no longer than
    while the first one does the same work for nobody. Release build."""
    flooder, neighbour = Hostile(t, "hostile.flooder"), Hostile(t, "hostile.neighbour")
    worker = t.worker(build="release", config={"log.level": "info", "plugin.log.info": "true"})
    wait_running(t, flooder.id, worker)
    wait_running(t, neighbour.id, worker)
    latency(t, neighbour, 20)
    ratios, rates = [], []
    for _ in range(3):
        quiet, _ = beside(t, worker, flooder, neighbour, {"sink": True})
        loud, rate = beside(t, worker, flooder, neighbour, {})
        ratios.append(loud / quiet)
        rates.append(rate)
    high = high_water_kb(worker.pid)
    print(f"latency with the flood / without: {ratios}; {rates} notifications/s; {high} KiB")
    assert statistics.median(ratios) < 4, ratios
    assert high * 1024 < 128 * MIB, high
    # What a second may log is limited, and it is said what was left out.
    assert "of its messages were left out" in worker.stderr()
    assert len(worker.stderr().splitlines()) < 20_000
    t.verify()


def beside(t, worker, flooder, neighbour, more, count=40):
    """(median latency of the neighbour while the flood runs, notifications a second)"""
    notes = 3_000_000 if not more else 60_000_000
    config = {"notes": notes, **more}
    began = time.monotonic()
    records = t.topics.publish(flooder.command(config=config))
    time.sleep(0.3)
    median = latency(t, neighbour, count)
    [event] = t.topics.wait(records, timeout=90)
    assert event.status == "SUCCEEDED", event.plain
    return median, notes / (time.monotonic() - began)


# --- fault 15: it talks nonsense ---


@limit(120)
@short
def test_nonsense_between_the_lines(t):
    hostile = Hostile(t)
    worker = t.worker()
    wait_running(t, hostile.id, worker)
    rows = {
        "no JSON": ["hello\n", "{nope\n", '"text"\n', "[]\n", "{}\n", "\x00\x01\n", "\n\n"],
        "another id": [answer({"ok": False}).replace("{id}", n) for n in ("999999", "0", "-1")],
        "an id of another kind": [
            answer({"ok": False}).replace("{id}", n) for n in ('"1"', "null", "1.5", "[1]", "1e400")
        ],
        "depth of 20000": ["[" * 20000 + "]" * 20000 + "\n", '{"a":' * 20000 + "1" + "}" * 20000 + "\n"],
        "neither result nor error": ['{"jsonrpc":"2.0","id":{id}}\n'],
        "requests nobody serves": ['{"jsonrpc":"2.0","id":"x","method":"nope","params":{}}\n'],
    }
    for name, raw in rows.items():
        event = one(t, hostile.command(config={"raw": raw, "say": name}))
        assert event.status == "SUCCEEDED", (name, event.plain)
        assert event.value["summary"] == name, (name, event.plain)
    assert worker.metric("envdriver_plugin_bad_lines_total") >= 12
    t.verify()


@limit(90)
@short
def test_an_answer_is_never_matched_to_another_command(t):
    """A second answer, and answers that come after the time-out, while others are called."""
    hostile = Hostile(t)
    worker = t.worker(config={"plugin.call.timeout": "1s"})
    wait_running(t, hostile.id, worker)
    twice = answer({"ok": True, "summary": "first"}) + answer({"ok": True, "summary": "second"})
    event = one(t, hostile.command(config={"answer": twice}))
    assert event.value["summary"] == "first", event.plain
    assert one(t, hostile.command(config={"say": "own"})).value["summary"] == "own"
    late = [
        hostile.command("ValidateConfig", config={"lateMs": 2500, "say": "late"}) for _ in range(20)
    ]
    records = t.topics.publish(*late)
    ended = time.monotonic() + 4
    number = 0
    while time.monotonic() < ended:
        number += 1
        event = one(t, hostile.command(config={"say": f"own {number}"}))
        assert event.value["summary"] == f"own {number}", event.plain
    for event in t.topics.wait(records):
        assert event.error["code"] == "TIMEOUT", event.plain
    t.verify()


@limit(90)
@short
def test_strange_but_legal_results_are_results(t):
    """What JSON.stringify can write and others cannot read is no reason to lose an execution."""
    hostile = Hostile(t)
    worker = t.worker(config={"plugin.call.timeout": "5s"})
    wait_running(t, hostile.id, worker)
    deep = '{"a":' * 500 + "1" + "}" * 500
    rows = [
        ("NUL", r'"stdout":"a\u0000b"', {"stdout": "a\0b"}, False),
        ("lone surrogate", r'"stdout":"x\ud800y"', {"stdout": "x\ufffdy"}, True),
        ("bad UTF-8", '"stdout":"x\udcffy"', {"stdout": "x\ufffdy"}, True),
        ("2^63", '"metadata":{"n":9223372036854775808,"m":-0,"e":1E400}', {}, False),
        ("deep", f'"metadata":{deep}', {}, False),
    ]
    for name, fields, expected, warned in rows:
        text = '{"exitCode":0,"signal":null,"timedOut":false,' + (
            '"stderr":"",' if "stdout" in fields else '"stdout":"","stderr":"",'
        )
        config = {"answer": answer(text + fields + "}")}
        event = one(t, hostile.command("Execute", config=json.dumps(config)))
        assert event.status == "SUCCEEDED", (name, event.plain)
        for field, value in expected.items():
            assert event.value[field] == value, (name, field, event.value[field])
        assert bool(event.value["trace"]["warnings"]) == warned, (name, event.value["trace"])
        if "metadata" in fields:
            assert event.value["metadata"] == fields.partition(":")[2], name
    bad = answer('{"exitCode":9223372036854775808,"stdout":"","stderr":""}')
    event = one(t, hostile.command("Execute", config={"answer": bad}))
    assert event.status == "SUCCEEDED" and event.value["exitCode"] is None, event.plain
    assert "9223372036854775808" in str(event.value["trace"]["warnings"]), event.value["trace"]
    t.verify()


# --- limits of the host: D18 ---


@limit(60)
def test_limits_of_a_plugin_are_those_of_the_configuration(t):
    t.install(t.fixture())
    t.worker(
        config={
            "plugin.limit.memory": "1GiB",
            "plugin.limit.files": "300",
            "plugin.limit.processes": "5000",
        }
    )
    script = "ulimit -c; ulimit -d; ulimit -n; ulimit -Hn; ulimit -u"
    fields = {"command": "bash", "args": ["-c", script]}
    event = one(t, command("Execute", fields, orderingKey=""))
    assert event.value["stdout"].split() == ["0", str(MIB), "300", "300", "5000"], event.plain
    t.verify()


@limit(60)
@short
def test_plugin_that_takes_memory_dies_of_its_limit(t):
    hostile = Hostile(t)
    worker = t.worker(config={"plugin.limit.memory": "200MiB"})
    wait_running(t, hostile.id, worker)
    event = one(t, hostile.command(config={"grow": True}))
    died(event, "Worker process exited (code=1, signal=null)")
    assert "MemoryError" in event.error["message"], event.error
    assert one(t, hostile.command()).status == "SUCCEEDED"
    t.verify()
