# SPDX-License-Identifier: Apache-2.0
"""The rules that the model needs (tests/model/README.md), each in the real program, twice: as it
is, when nothing may be wrong, and with the rule taken out of its place (harness/without.py), when
the same must go wrong. What goes wrong is the shortest trace that the model shows.

Rules of one module are seen in that module's check: it passes in tests/integration, and here it
must fail without the rule.
"""

import os
import re
import subprocess
import time

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from harness import oracle, without
from harness.case import limit
from harness.faults import QUICK, Hit, wait_frozen, wait_owner
from harness.ledger import Ledger, published
from harness.paths import BUILD
from harness.process import children, wait_until

NOT_ENDED = "no final event"
CLAIM_FIELDS = (
    "version state topic partition offset timestamp instance incarnation token attempt at lease"
).split()


def rule(name, seconds, finds):
    """Makes test_NAME and test_NAME_taken_out of scenario(t, build), which returns what is wrong;
    `finds` is in one of these lines without the rule."""

    def make(scenario):
        @limit(seconds)
        def as_it_is(t):
            t.expect_none(scenario(t, None))

        @limit(seconds + 60)
        def taken_out(t):
            wrong = scenario(t, without.build(name, "envdriver"))
            print("\n".join(wrong))
            assert any(finds in line for line in wrong), f"nothing is wrong without it: {wrong}"

        globals()[f"test_{name}"] = as_it_is
        globals()[f"test_{name}_taken_out"] = taken_out
        return scenario

    return make


def worker(t, name, build, hit=None, **config):
    config = {**QUICK, **{key.replace("_", "."): value for key, value in config.items()}}
    return t.worker(name, config=config, env=hit and hit.env, build=build)


def claim_key(record):
    return f"envdriver:claim:{record.command_id}"


def claim(t, record):
    """Its fields, in the order of CLAIM_FIELDS; None when there is none."""
    text = t.redis.client.get(claim_key(record))
    return text.split("|") if text else None


def edit_claim(t, record, **fields):
    now = claim(t, record)
    for name, value in fields.items():
        now[CLAIM_FIELDS.index(name)] = value
    t.redis.client.set(claim_key(record), "|".join(now))


def wait_claim(t, record, state, timeout=30):
    wait_until(
        lambda: (claim(t, record) or ["", ""])[1] == state,
        timeout,
        lambda: f"the claim is {state}: {claim(t, record)}",
    )


def verdict(t):
    time.sleep(0.5)
    return oracle.check(t.topics.read_commands(), t.topics.read_all())


def ends(t, records, timeout):
    """[] when all have their final events in time, else a line that says so."""
    try:
        t.topics.wait(records, timeout)
        return []
    except AssertionError as error:
        return [f"{NOT_ENDED}: {error}"]


# --- who calls ---


@rule("guard", 120, "called after its final event")
def guard(t, build):
    """A worker stands still between a claim's reply and the call. Others end the command."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, "claimed", "STOP")
    frozen = worker(t, "w0", build, hit)
    hit.arm()
    records = t.topics.publish(ledger.execute("once"))
    wait_frozen(frozen)
    worker(t, "w1", build)
    [event] = t.topics.wait(records, 60)
    assert event.status == "INTERRUPTED", event.plain
    frozen.cont()
    time.sleep(4)  # time to call
    return ["called after its final event"] * ledger.asked()["once"] + verdict(t)


@rule("renew", 90, "a take-over that was under way")
def renew(t, build):
    """Judged dead while it stood still, a holder is back before the take-over reaches Redis: the
    token that was seen must not be that of its call."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, "claimed", "STOP")
    holder = worker(t, "w0", build, hit, kafka_session_timeout_ms="30000")
    hit.arm()
    [record] = t.topics.publish(ledger.execute("once", seconds=3))
    wait_frozen(holder)
    seen = claim(t, record)[8]
    time.sleep(6)  # stood still for longer than the holder may
    holder.cont()
    wait_until(lambda: ledger.asked()["once"], 20, "the plugin is called")
    now = claim(t, record)
    ends_it = now[1] == "calling" and now[8] == seen
    t.topics.wait([record], 30)
    return ["a take-over that was under way ends a call that runs"] * ends_it + verdict(t)


@rule("handwait", 90, "though a call of its own is not over")
def handwait(t, build):
    """The claim is the own process's, by a token that no call here has: an answer on its way to
    Redis, or a take-over or release that is not executed yet. Put there by hand."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, "polled", "STOP")
    w = worker(t, "w0", build, hit)
    hit.arm()
    [record] = t.topics.publish(ledger.execute("once"))
    wait_frozen(w)
    [message] = t.topics._read(("commands",), "read_uncommitted")
    mine = t.redis.client.hget("envdriver:instance:w0", "incarnation")
    place = f"{record.topic}|{record.partition}|{record.offset}|{message.timestamp()[1]}"
    text = f"v1|calling|{place}|w0|{mine}|{mine}.99|1|2026-01-01T00:00:00.000Z|"
    t.redis.client.set(claim_key(record), text)
    w.cont()
    time.sleep(3)  # time to call too early
    early = ledger.asked()["once"]
    edit_claim(t, record, state="claimed")
    t.topics.wait([record], 30)
    return ["called though a call of its own is not over"] * early + verdict(t)


@rule("reread", 120, NOT_ENDED)
def reread(t, build):
    """Who waits for a holder sees the claim released (by hand, as the holder's release does)."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, "claimed", "STOP")
    holder = worker(t, "w0", build, hit)
    hit.arm()
    [record] = t.topics.publish(ledger.execute("once"))
    wait_frozen(holder)
    waiting = worker(t, "w1", build)
    wait_owner(waiting)
    time.sleep(2)  # it has read the claim, and waits
    edit_claim(t, record, state="claimed")
    late = ends(t, [record], 8)
    holder.kill()
    return late or verdict(t)


@rule("ownfin", 120, "are DUPLICATE_COMMAND")
def ownfin(t, build):
    """The dead letter of a second record with the same id must not end the first one's claim."""
    t.make_topics(commands=2)
    ledger = Ledger(t)
    w = worker(t, "w0", build)
    same = ledger.execute("once", seconds=60, commandId="same")
    first = t.topics.publish(same, partition=0)
    wait_until(lambda: ledger.asked()["once"], 30, "the first one is called")
    [letter] = t.topics.wait(t.topics.publish(same, partition=1), 30)
    assert letter.status == "DUPLICATE_COMMAND", letter.plain
    time.sleep(1)
    w.kill()
    w.start()
    t.topics.wait(first, 60)
    return verdict(t)


@rule("drop", 90, "exit code")
def drop(t, build):
    """A dead letter that cannot be published when its partition goes is nobody's answer."""
    t.make_topics(commands=1)
    w = worker(t, "w0", build, drain_timeout="0s")
    wait_owner(w)
    t.topics.delete("dead-letters")
    t.topics.publish_raw(b"no command")
    wait_until(lambda: "becomes a dead letter" in w.stderr(), 20, "the record is read")
    time.sleep(2)
    code = w.terminate(60)
    w.checked = code != 0
    return [f"exit code {code}: {w.stderr()[-300:]}"] if code else []


# --- who waits ---


@rule("cancel", 150, "its call runs on")
def cancel(t, build):
    """A worker with a call that it left loses Redis: it is judged dead at 15 s, so it ends the
    call at 10 s."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    t.redis.client.acl_setuser(
        "one", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], categories=["+@all"]
    )
    url = t.redis.url.replace("unix://", "unix://one:secret@")
    leaves = worker(t, "w0", build, drain_timeout="0s", handover_timeout="2min", redis_url=url)
    records = t.topics.publish(ledger.execute("once", seconds=90))
    wait_until(lambda: ledger.asked()["once"], 30, "the call is made")
    heir = worker(t, "w1", build)
    leaves.process.terminate()
    wait_owner(heir)
    t.redis.client.execute_command("ACL", "SETUSER", "one", "off")
    t.redis.client.execute_command("CLIENT", "KILL", "USER", "one")
    [event] = t.topics.wait(records, 60)
    assert event.status == "INTERRUPTED", event.plain
    wrong = ["its call runs on at a worker that lives"] if leaves.running else []
    leaves.kill()
    return wrong + verdict(t)


@rule("bound", 150, "taken over from a holder that lives")
def bound(t, build):
    """The bound of a wait counts only while the waiting worker runs."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    holder = worker(
        t, "w0", build, drain_timeout="0s", handover_timeout="1min", plugin_call_timeout="1min"
    )
    records = t.topics.publish(ledger.acquire(seconds=20))
    wait_claim(t, records[0], "calling")
    waits = worker(
        t,
        "w1",
        build,
        handover_timeout="0s",
        plugin_call_timeout="2s",
        kafka_session_timeout_ms="30000",
    )
    holder.process.terminate()
    wait_owner(waits)
    time.sleep(1)
    token = claim(t, records[0])[8]
    waits.stop()
    time.sleep(9)  # beyond its bound, which does not count while it stands still
    waits.cont()
    time.sleep(3)  # time to take over
    after = claim(t, records[0])
    wrong = ["taken over from a holder that lives"] if after[8] != token else []
    t.topics.wait(records, 60)
    holder.wait(60)
    return wrong + verdict(t)


# --- leases ---


def lease_ends(t, ledger, timeout=25):
    """Each lease that was made is published, or destroyed again."""
    deadline = time.monotonic() + timeout
    while True:
        alive, given = ledger.leases(), published(t.topics.read_all())
        if alive == given or time.monotonic() > deadline:
            break
        time.sleep(1)
    return [f"published, and destroyed: {lease}" for lease in given - alive] + [
        f"forgotten: {lease}" for lease in alive - given
    ]


@rule("doubtfin", 200, "published, and destroyed")
def doubtfin(t, build):
    """Frozen at the commit of a result without a lease, until another worker has published one
    with a lease. The offsets then say that the record is done: not by whom."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    hit = Hit(t, "committing", "STOP")
    frozen = worker(t, "w0", build, hit)
    hit.arm()
    records = t.topics.publish(ledger.acquire(seconds=4))
    wait_claim(t, records[0], "calling")
    [plugin] = [pid for pid, line in children(frozen.pid).items() if "ledger" in line]
    os.kill(plugin, 9)
    wait_frozen(frozen)
    worker(t, "w1", build)
    [event] = t.topics.wait(records, 90)
    assert event.status == "SUCCEEDED", event.plain
    wait_claim(t, records[0], "done")
    frozen.cont()
    wait_until(lambda: "the batch in doubt is" in frozen.stderr(), 30, "the offsets are read")
    time.sleep(12)  # for whoever looks for orphans
    return lease_ends(t, ledger, 1) + verdict(t)


def small_results(t):
    """The broker takes no lease result over 20 kB."""
    entry = ConfigEntry(
        "max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(
        ResourceType.TOPIC, t.topics.full("lease-results"), incremental_configs=[entry]
    )
    for done in t.topics.admin.incremental_alter_configs([resource]).values():
        done.result(20)


def too_large(t, build):
    """An answer is recorded with its lease, refused as too large, and handed over as the smaller
    one, by a worker that lost its partition and gets it again."""
    t.make_topics(commands=1)
    small_results(t)
    ledger = Ledger(t)
    hit = Hit(t, "begun", "STOP", count=2)
    w = worker(t, "w0", build, hit)
    hit.arm()
    records = t.topics.publish(ledger.acquire(config={"padding": 100_000}))
    wait_frozen(w)
    assert claim(t, records[0])[11], claim(t, records[0])
    time.sleep(3)
    w.cont()
    return ledger, records


@rule("shapeorph", 150, "forgotten")
def shapeorph(t, build):
    ledger, records = too_large(t, build)
    [event] = t.topics.wait(records, 60)
    assert event.error["code"] == "RESULT_TOO_LARGE", event.plain
    return lease_ends(t, ledger) + verdict(t)


@rule("onelease", 150, "forgotten")
def onelease(t, build):
    """The same; the claim was heard before the hand-over, the answer fetched after it."""
    ledger, records = too_large(t, build)
    wait_until(lambda: claim(t, records[0])[1:12:10] == ["answered", ""], 30, "it is handed over")
    edit_claim(t, records[0], lease=ledger.acquired()[0])
    [event] = t.topics.wait(records, 60)
    assert event.error["code"] == "RESULT_TOO_LARGE", event.plain
    return lease_ends(t, ledger) + verdict(t)


# --- rules of one module ---

CHECKS = {
    "nocall": ("claims_check", "no call: absent: state claimed"),
    "called": ("claims_check", "no call: called before: said 'NEW"),
    "sticky": ("claims_check", "release: absent before the claim"),
    "finget": ("claims_check", "finish acquire: another lease is an orphan"),
    "fifo": ("claims_life_check", "test_release_first"),
    "recheck": ("claims_life_check", "test_record_before_claims"),
    "killold": ("redis_check", "test_predecessor_is_killed"),
    "beat": ("instance_check", "test_overtaken"),
    "watch": ("instance_check", "test_predecessor_still"),
}


def check_fails(name, program, says):
    without.build(name, program)
    done = subprocess.run(
        [BUILD / "without" / name / program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=150,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    failed = [line for line in text.splitlines() if re.search("ERROR|FAILED|Assertion", line)]
    print("\n".join(failed))
    assert done.returncode != 0, f"{program} passes without {name}"
    assert any(says in line for line in failed), failed


def make_check_test(name, program, says):
    @limit(220)
    def taken_out(t):
        check_fails(name, program, says)

    globals()[f"test_{name}_taken_out"] = taken_out


for _name, (_program, _says) in CHECKS.items():
    make_check_test(_name, _program, _says)
