# SPDX-License-Identifier: Apache-2.0
"""The rules T1 to T14 of docs/reliability.md, one test (or a few) for each, named after it. A real
broker and the real worker, but for what no broker can be made to answer: that is in
publisher_check, which plays it on librdkafka's mock cluster."""

import re
import subprocess
import sys
import time
from collections import Counter

from harness import registry
from harness.case import limit, short
from harness.commands import command
from harness.faults import Hit, interrupted, stalled, status, wait_frozen, wait_not_stalled
from harness.paths import BUILD, ROOT, environment
from harness.process import sanitizer_report, wait_until
from harness.worker import SANITIZER_OPTIONS

# How often the broker looks for transactions that outlived their time-out.
EXPIRY = {"transaction_abort_timed_out_transaction_cleanup_interval_ms": "200"}


class Hold(Hit):
    """Has the thread that comes to a stage stand there, until it is released. The rest of the
    worker goes on."""

    def __init__(self, t, stage):
        super().__init__(t, stage, "HOLD")
        self.held = self.file.with_name(self.file.name + ".held")

    def wait(self):
        wait_until(self.held.exists, 30, f"{self.file.name}: somebody is there")

    def release(self):
        self.held.unlink()
        self.disarm()


def rig(t, **settings):
    """A broker of this test with a fixture plugin that has everything written down."""
    broker = t.own_broker(**settings)
    t.install(t.fixture())
    return broker


def begin(t, *arguments, **more):
    return running(t.worker(*arguments, **more))


def running(worker):
    """Until its plugin runs: a command that comes sooner waits for it a while only."""
    wait_until(
        lambda: status(worker).get("workers", {}).get("running"),
        40,
        lambda: f"the plugin of {worker.name} runs: {status(worker).get('workers')}",
    )
    return worker


def watched(t, **config):
    tee = ROOT / "tests" / "golden" / "tee.py"
    wrapper = f"{sys.executable} -B {tee} {t.dir / 'sent'}"
    return {"plugin.wrapper": wrapper, **{k.replace("__", "."): v for k, v in config.items()}}


def executions(t):
    """{name: how often plugins were asked to run it}"""
    calls = Counter()
    for path in (t.dir / "sent").glob("*/*/in"):
        for line in path.read_bytes().splitlines():
            if b'"environmentExecute"' in line:
                calls.update(re.findall(rb'"command":"(run-[\w-]+)"', line))
    return {name.decode(): n for name, n in calls.items()}


def run(name, seconds=0, **top):
    test = {"stdoutBytes": 10, "sleepMs": int(seconds * 1000), **top.pop("test", {})}
    top.setdefault("orderingKey", "")
    return command("Execute", {"command": f"run-{name}"}, config={"test": test}, **top)


def one(t, what=None, timeout=60):
    [event] = t.topics.wait(t.topics.publish(what or run("warm")), timeout=timeout)
    assert event.status == "SUCCEEDED", event.plain
    return event


def recreated(worker):
    return worker.metric("envdriver_producer_recreated_total")


def aborts(worker):
    return worker.metric("envdriver_transaction_aborts_total")


def called_once(t, *names):
    calls = executions(t)
    assert {name: calls.get(f"run-{name}") for name in names} == dict.fromkeys(names, 1), calls


def claim_state(t, record):
    found = t.redis.client.get(f"envdriver:claim:{record.command_id}")
    return found.split("|")[1] if found else None


# --- T1: a commit that is not answered ---


@short
@limit(120)
def test_t1_a_commit_is_asked_for_until_it_is_answered(t):
    """Frozen for less than the time-out: the same transaction, no abort, and a producer that
    once timed out is not used again."""
    broker = rig(t)
    hold = Hold(t, "committing")
    worker = begin(t, config=watched(t), env=hold.env)
    one(t)
    hold.arm()
    records = t.topics.publish(run("held"))
    hold.wait()
    broker.pause()
    hold.release()
    wait_until(
        lambda: "does not answer the transaction" in worker.ready_text(), 15, worker.ready_text
    )
    time.sleep(2)
    broker.cont()
    [event] = t.topics.wait(records)
    assert event.status == "SUCCEEDED", event.plain
    wait_until(lambda: recreated(worker) == 1, 10, "the producer is replaced")
    assert aborts(worker) == 0
    worker.wait_ready()
    one(t, run("next"))
    assert recreated(worker) == 1
    called_once(t, "held", "next")
    t.verify()


@limit(120)
def test_t1_an_old_commit_is_in_doubt_until_the_offsets_are_read(t):
    """Frozen beyond the time-out. The commit lies in the broker's socket and is carried out when
    it thaws; it never looks for expired transactions here. The offsets say so."""
    never = {"transaction_abort_timed_out_transaction_cleanup_interval_ms": "600000"}
    broker = rig(t, **never)
    hold = Hold(t, "committing")
    worker = begin(t, config=watched(t, transaction__timeout="2s"), env=hold.env)
    one(t)
    hold.arm()
    records = t.topics.publish(run("held"))
    hold.wait()
    broker.pause()
    hold.release()
    wait_until(lambda: recreated(worker) == 1, 15, "the producer is replaced")
    broker.cont()
    t.topics.wait(records)
    wait_until(lambda: "batch in doubt is committed" in worker.stderr(), 10, worker.stderr)
    worker.wait_ready()
    one(t, run("next"))
    called_once(t, "held", "next")
    t.verify()


# --- T2: a transaction that outlived its time-out ---


@short
@limit(120)
def test_t2_an_expired_transaction_is_published_again(t):
    """It looks like a fence. Two of them within a minute are no reason to end."""
    rig(t, **EXPIRY)
    hold = Hold(t, "committing")
    worker = begin(t, config=watched(t, transaction__timeout="1s"), env=hold.env)
    one(t)
    for n in (1, 2):
        hold.arm()
        records = t.topics.publish(run(f"held-{n}"))
        hold.wait()
        time.sleep(2.5)  # beyond the transaction's time-out
        hold.release()
        [event] = t.topics.wait(records)
        assert event.status == "SUCCEEDED", event.plain
        wait_until(lambda: recreated(worker) == n, 10, f"producer {n + 1}")
    assert worker.stderr().count("batch in doubt is published again") == 2
    assert worker.running
    one(t, run("next"))
    called_once(t, "held-1", "held-2", "next")
    t.verify()


# --- T3: a fence ---


@limit(180)
def test_t3_two_with_one_id_end_the_one_that_was_fenced_twice(t):
    """Two workers of one group and one instance.id, each with a Redis of its own, so that nothing
    but Kafka tells them apart."""
    rig(t)
    other_redis = t._start_redis(tcp=True)
    registry.install(other_redis.client, t.fixture())
    hold = Hold(t, "produced")
    a = begin(t, "same", config={"transaction.timeout": "60s"}, env=hold.env)
    one(t)
    hold.arm()
    records = t.topics.publish(run("held"))
    hold.wait()
    (t.dir / "b").mkdir()
    whole, t.dir = t.dir, t.dir / "b"
    b = begin(t, "same", config={"redis.url": other_redis.url, "transaction.timeout": "60s"})
    t.dir = whole
    hold.release()
    wait_until(lambda: not a.running or recreated(a) == 1, 20, "a was fenced")
    a.assert_running()
    end = time.monotonic() + 50
    while a.running and b.running and time.monotonic() < end:
        records += t.topics.publish(*(run(f"{len(records)}-{i}") for i in range(4)))
        time.sleep(0.3)
    loser, winner = (a, b) if not a.running else (b, a)
    assert loser.wait(20) == 69, (a.process.returncode, b.process.returncode)
    said = loser.stderr()
    assert f"'{t.topics.prefix}group.same'" in said and "same instance.id" in said, said[-800:]
    t.topics.wait(records, timeout=60)
    assert winner.running
    t.verify()
    # What the fenced one had written is there, and nobody sees it.
    seen = len(t.topics.read_all(("execution-results",)))
    assert len(t.topics.read_all(("execution-results",), "read_uncommitted")) > seen


# --- T4: a generation that is over ---


@limit(120)
def test_t4_a_stale_generation_aborts_and_is_no_failure(t):
    """A rebalance while a transaction is open, and it does not end in revoke.drain: its offsets
    are refused. The answers are handed over; the producer stays."""
    t.make_topics(commands=2)
    t.install(t.fixture())
    hold = Hold(t, "produced")
    a = begin(t, "a", config=watched(t, revoke__drain="500ms"), env=hold.env)
    one(t)
    hold.arm()
    names = [f"held-{i}" for i in range(8)]
    records = t.topics.publish(*(run(name) for name in names))
    hold.wait()
    b = begin(t, "b", config=watched(t))
    wait_until(lambda: a.metric("envdriver_partitions") == 1, 20, "a has given one away")
    hold.release()
    events = t.topics.wait(records, timeout=40)
    assert {e.status for e in events} == {"SUCCEEDED"}, [e.plain for e in events]
    assert "the consumer group moved on" in a.stderr()
    assert aborts(a) == 1 and recreated(a) == 0 and recreated(b) == 0
    assert a.ready_status() == 200
    called_once(t, *names)
    one(t)
    t.verify()


# --- T5: the zombie ---


@short
@limit(180)
def test_t5_a_zombie_cannot_commit(t):
    """The key fault: stopped with an open transaction until another has its partition and has
    published. The transaction outlives all of it, so that only the group's generation stands
    between it and a second event."""
    rig(t)
    config = watched(t, transaction__timeout="120s")
    hold = Hold(t, "produced")
    a = begin(t, "a", config=config, env=hold.env)
    one(t)
    hold.arm()
    [m2] = t.topics.publish(run("m2"))
    hold.wait()
    a.stop()
    wait_frozen(a)
    b = begin(t, "b", config=config)
    m3, m4 = t.topics.publish(command("Probe"), run("m4"))
    # A's transaction keeps readers from seeing it; the claim is done once it is committed.
    wait_until(
        lambda: [claim_state(t, r) for r in (m2, m3, m4)] == ["done"] * 3, 60, "b has done all"
    )
    hold.release()
    a.cont()
    wait_until(lambda: aborts(a) == 1, 20, "the zombie's transaction is aborted")
    events = t.topics.wait([m2, m3, m4], timeout=30)
    assert [e.status for e in events] == ["INTERRUPTED", "SUCCEEDED", "SUCCEEDED"]
    assert "the consumer group moved on" in a.stderr()
    assert recreated(a) == 0
    called_once(t, "m2", "m4")
    # What it had written is in the log, and only read_uncommitted readers see it.
    found = t.topics.read_all(("execution-results",), "read_uncommitted")
    assert sorted(e.status for e in found if e.command_id == m2.command_id) == [
        "INTERRUPTED",
        "SUCCEEDED",
    ]
    # It recovers in process.
    assert b.terminate() == 0
    a.wait_ready(30)
    one(t, run("m5"))
    t.verify()
    assert a.terminate() == 0


# --- T6: killed with an open transaction ---


@short
@limit(120)
def test_t6_a_restart_ends_what_a_dead_worker_left_open(t):
    """Its time-out is two minutes: only the same transactional id can end it sooner."""
    rig(t)
    hit = Hit(t, "produced")
    worker = begin(t, config=watched(t, transaction__timeout="120s"), env=hit.env)
    one(t)
    hit.arm()
    records = t.topics.publish(command("Probe"))
    assert worker.wait(30) == -9
    hit.disarm()
    wait_until(lambda: stalled(t), 10, "its transaction holds readers up")
    began = time.monotonic()
    worker.start()
    wait_not_stalled(t, 10, "readers go on")
    print(f"readers go on {time.monotonic() - began:.2f} s after the restart")
    t.topics.wait(records)
    t.verify()


@limit(120)
def test_t6_without_a_restart_the_time_out_ends_it(t):
    """Readers of that partition stall until then, and another worker goes on."""
    rig(t, **EXPIRY)
    config = watched(t, transaction__timeout="8s")
    hit = Hit(t, "produced")
    worker = begin(t, "a", config=config, env=hit.env)
    one(t)
    hit.arm()
    records = t.topics.publish(command("Probe"))
    assert worker.wait(30) == -9
    began = time.monotonic()
    begin(t, "b", config=config)
    assert stalled(t)
    wait_not_stalled(t, 12, "readers go on")
    took = time.monotonic() - began
    print(f"readers stalled {took:.1f} s, the time-out is 8 s")
    assert 6 < took < 10, took
    t.topics.wait(records)
    t.verify()


@short
@limit(90)
def test_t6_no_transaction_is_open_while_a_plugin_works(t):
    """The call outlives the transaction's time-out three times; a kill in its middle stalls
    nobody."""
    rig(t, **EXPIRY)
    worker = begin(t, config=watched(t, transaction__timeout="1s"))
    one(t, run("long", seconds=3))
    assert recreated(worker) == 0 and aborts(worker) == 0
    records = t.topics.publish(run("killed", seconds=20))
    wait_until(lambda: executions(t).get("run-killed"), 10, "the plugin was asked")
    worker.kill()
    assert not stalled(t)
    running(worker.start().wait_ready(40))
    t.topics.wait(records)
    called_once(t, "long", "killed")
    assert len(interrupted(t.verify())) == 1


# --- T7: a record too large ---


@short
@limit(90)
def test_t7_a_result_too_large_is_never_silent(t):
    """The client's own limit (produce fails, a commit would succeed without the record), then
    the topic's (the broker refuses it). What travels with it arrives."""
    rig(t)
    worker = begin(t, config=watched(t, kafka__message__max__bytes="100000"))
    names = [f"ok-{i}" for i in range(5)]
    big = {"stdoutBytes": 200000}
    records = t.topics.publish(run("big", test=big), *(run(name) for name in names))
    events = t.topics.wait(records)
    assert [e.status for e in events] == ["FAILED"] + 5 * ["SUCCEEDED"], [e.plain for e in events]
    assert events[0].error["code"] == "RESULT_TOO_LARGE", events[0].error
    assert worker.terminate() == 0
    limit_topic(t, "execution-results", 100000)
    begin(t, "w2", config=watched(t))
    records = t.topics.publish(run("big-2", test=big), *(run(f"{name}-2") for name in names))
    events = t.topics.wait(records)
    assert [e.status for e in events] == ["FAILED"] + 5 * ["SUCCEEDED"], [e.plain for e in events]
    assert events[0].error["code"] == "RESULT_TOO_LARGE", events[0].error
    called_once(t, "big", "big-2", *names)
    t.verify()


def limit_topic(t, name, size):
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry(
        "max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(
        ResourceType.TOPIC, t.topics.full(name), incremental_configs=[entry]
    )
    for done in t.topics.admin.incremental_alter_configs([resource]).values():
        done.result(10)
    time.sleep(0.5)


# --- T8: a topic that is missing ---


@limit(120)
def test_t8_a_missing_topic_parks_its_results_only(t):
    """Deleted while a transaction is open. Nothing is a dead letter, the plugin is not called
    again, others go on, and the result comes when the topic does."""
    rig(t)
    hold = Hold(t, "begun")
    worker = begin(t, config=watched(t), env=hold.env)
    one(t)
    hold.arm()
    [record] = t.topics.publish(command("Probe"))
    hold.wait()
    t.topics.delete("probe-results")
    hold.release()
    wait_until(lambda: "its results wait" in worker.stderr(), 20, "it is parked")
    one(t, run("other"))
    assert t.topics.full("probe-results") in worker.stderr()
    assert claim_state(t, record) == "calling"
    t.topics.create(only=("probe-results",))
    wait_until(lambda: claim_state(t, record) == "done", 40, "the result is published")
    events = t.verify()
    [event] = [e for e in events if e.final and e.command_id == record.command_id]
    assert event.status == "SUCCEEDED" and event.value["trace"]["attempt"] == 1, event.plain


# --- T9: the broker dies ---


@limit(420)
def test_t9_a_broker_killed_under_an_open_transaction(t):
    """At each stage of it. Nothing is lost, nothing is there twice."""
    broker = rig(t)
    stages = "begun produced offsets committing committed".split()
    for stage in stages:
        hold = Hold(t, stage)
        worker = begin(t, f"w-{stage}", config=watched(t), env=hold.env)
        one(t)
        hold.arm()
        records = t.topics.publish(run(stage))
        hold.wait()
        broker.kill()
        hold.release()
        time.sleep(1.5)
        broker.restart()
        [event] = t.topics.wait(records, timeout=60)
        assert event.status == "SUCCEEDED", event.plain
        running(worker.wait_ready(40))
        one(t, run(f"{stage}-next"))
        assert worker.terminate(60) == 0, stage
    called_once(t, *stages, *(f"{stage}-next" for stage in stages))
    t.verify()


# --- T10, and answers that no broker gives on demand ---


@short
@limit(90)
def test_t10_a_call_out_of_order_is_a_bug(t):
    """And what else the table says of answers of the mock cluster."""
    path = BUILD / "tests" / "publisher_check"
    assert path.exists(), f"{path} is not built; run: make SAN=address DEVELOPER=1 unit"
    done = subprocess.run(
        [path], capture_output=True, text=True, timeout=80, env=environment(**SANITIZER_OPTIONS)
    )
    (t.dir / "publisher_check.txt").write_text(done.stdout + done.stderr, "utf-8")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
    assert not sanitizer_report(done.stderr)


# --- T11: init right after a kill ---


@limit(240)
def test_t11_init_waits_until_the_predecessor_is_ended(t):
    """Killed at the commit again and again, and started at once: the broker still works on the
    old transaction. Then with a broker that does not answer at all."""
    broker = rig(t)
    hit = Hit(t, "committing")
    worker = begin(t, config=watched(t, transaction__timeout="120s"), env=hit.env)
    for n in range(6):
        one(t)
        hit.arm()
        records = t.topics.publish(command("Probe"), command("Probe"))
        assert worker.wait(30) == -9
        hit.disarm()
        running(worker.start().wait_ready(20))
        t.topics.wait(records, timeout=40)
    hit.arm()
    records = t.topics.publish(command("Probe"))
    assert worker.wait(30) == -9
    hit.disarm()
    broker.pause()
    worker.start()
    time.sleep(5)  # it starts against a broker that does not answer, and goes on trying
    assert worker.running and worker.ready_status() == 503
    broker.cont()
    worker.wait_ready(30)
    t.topics.wait(records, timeout=40)
    assert not [line for line in worker.stderr().splitlines() if " error " in line.lower()]
    t.verify()


# --- T12: polling is kept up ---


@limit(120)
def test_t12_a_long_execution_does_not_leave_the_group(t):
    """Three times max.poll.interval.ms, with one slot only and more commands waiting than it
    has room for."""
    rig(t)
    config = watched(t, kafka__max__poll__interval__ms="6000", max__in__flight="2")
    worker = begin(t, config=config)
    one(t)
    before = worker.metric("envdriver_rebalances_total")
    records = t.topics.publish(
        run("long", seconds=18, orderingKey="k"),
        *(run(f"next-{i}", orderingKey="k") for i in range(20)),
    )
    events = t.topics.wait(records, timeout=60)
    assert {e.status for e in events} == {"SUCCEEDED"}, [e.plain for e in events]
    assert worker.metric("envdriver_rebalances_total") == before
    said = worker.stderr()
    assert "max.poll.interval" not in said and "MAXPOLL" not in said, said[-2000:]
    called_once(t, "long", *(f"next-{i}" for i in range(20)))
    t.verify()


# --- T13: the group metadata ---


@limit(180)
def test_t13_every_batch_has_the_metadata_of_its_assignment(t):
    """Another member comes and goes, with a commit after each turn. Metadata of an earlier
    generation, or none, would be refused or fence nobody."""
    t.make_topics(commands=4)
    t.install(t.fixture())
    a = begin(t, "a")
    one(t)
    total = []
    for turn in range(3):
        b = begin(t, f"b{turn}")
        total += t.topics.publish(*(command("Probe", orderingKey="") for _ in range(12)))
        t.topics.wait(total, timeout=30)
        assert b.metric("envdriver_transactions_total") > 0, "b publishes, too"
        assert aborts(b) == 0 and recreated(b) == 0
        assert b.terminate() == 0
        total += t.topics.publish(*(command("Probe", orderingKey="") for _ in range(12)))
        t.topics.wait(total, timeout=30)
    assert aborts(a) == 0 and recreated(a) == 0
    a.assert_not_said("the consumer group moved on")
    t.verify()


# --- T14: secrets and the log ---


@short
@limit(90)
def test_t14_no_secret_is_in_the_log(t):
    """librdkafka says everything it does and is configured with; each of its lines names the
    client, which here is also the user. SASL is configured and not used, so that it works."""
    rig(t)
    secrets = {
        "kafka.sasl.username": "a-name-to-hide",
        "kafka.sasl.password": "a-password-to-hide",
        "kafka.ssl.key.password": "a-key-password-to-hide",
        "kafka.sasl.oauthbearer.config": "principal=a-principal-to-hide",
    }
    user = secrets["kafka.sasl.username"]
    loud = {"kafka.debug": "all", "kafka.sasl.mechanism": "PLAIN", "kafka.client.id": user}
    worker = begin(t, config=watched(t) | loud | secrets)
    one(t)
    pages = [worker.get(path).body for path in ("/status", "/readyz", "/metrics")]
    assert worker.terminate() == 0
    said = worker.stderr()
    assert "sasl.password = [redacted]" in said and "client.id = ***" in said, "it is loud"
    events = [str(e.plain) for e in t.verify()]
    for secret in secrets.values():
        hidden = secret.rpartition("=")[2]
        for text in (said, *pages, *events):
            assert hidden not in text, text[max(0, text.find(hidden) - 200) :][:400]
