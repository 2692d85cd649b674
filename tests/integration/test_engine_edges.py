# SPDX-License-Identifier: Apache-2.0
"""What the engine does at its edges: partitions that are ours and are not read, and an end under a
name that somebody else took (docs/engine.md sections 7 and 9, docs/decisions.md D4)."""

import time

from confluent_kafka import Consumer, Producer

from harness.case import limit
from harness.commands import command
from harness.process import wait_until

QUICK = {"kafka.session.timeout.ms": "6000"}


def position_field(t):
    return f"{t.topics.full('commands')}:0"


@limit(120)
def test_rewind_is_held_until_it_is_accepted(t):
    t.make_topics(commands=1)
    t.install(t.fixture())
    worker = t.worker()
    t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(3))))
    field = position_field(t)
    wait_until(lambda: t.redis.client.hget("envdriver:positions", field), 10, "a position is kept")
    worker.terminate()
    # As if the group's offsets were set back behind what was done.
    t.redis.client.hset("envdriver:positions", field, "1000")
    worker.start()
    wait_until(
        lambda: "is held" in worker.ready_text(), 30, lambda: f"held, not {worker.ready_text()}"
    )
    assert worker.ready_status() == 503
    assert field in worker.ready_text(), worker.ready_text()
    records = t.topics.publish(*(command("Probe") for _ in range(2)))
    time.sleep(2)  # time to be served, if they were not held
    assert not {r.position for r in records} & {e.source for e in t.topics.read_all()}
    t.redis.client.hdel("envdriver:positions", field)
    t.topics.wait(records, timeout=30)
    worker.wait_ready()
    t.verify()


@limit(120)
def test_without_redis_a_rebalance_goes_on(t):
    """A worker that cannot open what it was given answers the assign all the same, so that another
    member gets its part within seconds and not after max.poll.interval.ms."""
    t.make_topics(commands=2)
    t.install(t.fixture())
    worker = t.worker(config=QUICK)
    t.topics.wait(t.topics.publish(*(command("Probe") for _ in range(4))))
    t.redis.stop()
    wait_until(lambda: worker.ready_status() == 503, 10, "it knows that Redis is away")
    # Twice, so that the worker is given partitions while Redis is away.
    for _ in range(2):
        other = member(t)
        try:
            wait_until(lambda: other.poll(0.2) or other.assignment(), 30, "another member's part")
        finally:
            other.close()
    records = t.topics.publish(*(command("Probe") for _ in range(4)))
    held = "partitions are held until it is back"
    wait_until(lambda: held in worker.stderr(), 20, held)
    t.redis.start()
    t.topics.wait(records, timeout=40)
    worker.wait_ready()
    t.verify()


def member(t):
    """Another member of the group, which reads nothing."""
    consumer = Consumer(
        {
            "bootstrap.servers": t.bootstrap,
            "group.id": t.workers[0].config["kafka.group.id"],
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 6000,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
        }
    )
    consumer.subscribe([t.topics.full("commands")])
    return consumer


@limit(150)
def test_fenced_twice_hands_over(t):
    """Two true fences within a minute: somebody else has our transactional id. What runs is not
    lost: it ends, its answer is handed over, then the exit code is 69."""
    t.make_topics(commands=1)
    t.install(t.fixture())
    fenced = t.worker("fenced", config=QUICK)
    t.topics.wait(t.topics.publish(command("Probe")))
    config = {"test": {"sleepMs": 20000, "stdoutBytes": 10}}
    records = t.topics.publish(command("Execute", orderingKey="", config=config))
    wait_until(lambda: calling(t, records[0]), 20, "it runs")
    for _ in range(2):
        rival(t, fenced.name)
        records += t.topics.publish(command("Probe", orderingKey=""))
        time.sleep(3)
    other = t.worker("other", config=QUICK)
    assert fenced.wait(60) == 69
    assert "transactional id" in fenced.stderr()
    t.topics.wait(records, timeout=60)
    other.assert_running()
    events = t.verify()
    assert [e.status for e in events if e.final and e.name == "ExecutionResult"] == ["SUCCEEDED"]


def calling(t, record):
    return "|calling|" in (t.redis.client.get(f"envdriver:claim:{record.command_id}") or "")


def rival(t, name):
    """A producer with the transactional id of worker `name`."""
    producer = Producer(
        {"bootstrap.servers": t.bootstrap, "transactional.id": f"{t.topics.prefix}group.{name}"}
    )
    producer.init_transactions(20)
    return producer


@limit(120)
def test_a_fenced_member_hands_over(t):
    """Two workers with one kafka.group.instance.id: the first is no member any more, for good. It
    says so and ends with 69; what it runs ends and is handed over."""
    t.make_topics(commands=1)
    t.install(t.fixture())
    config = {**QUICK, "kafka.group.instance.id": "same"}
    fenced = t.worker("fenced", config=config)
    config_of_call = {"test": {"sleepMs": 8000, "stdoutBytes": 10}}
    records = t.topics.publish(command("Execute", orderingKey="", config=config_of_call))
    wait_until(lambda: calling(t, records[0]), 20, "it runs")
    other = t.worker("other", config=config, ready=False)
    wait_until(lambda: fenced.ready_status() != 200, 20, "a fenced worker is not ready")
    assert fenced.wait(40) == 69, fenced.stderr()
    said = "another worker runs with our kafka.group.instance.id 'same'"
    assert said in fenced.stderr(), fenced.stderr()
    other.wait_ready(30)
    t.topics.wait(records + t.topics.publish(command("Probe")), timeout=60)
    t.verify()


@limit(60)
def test_wrong_prefix_is_told_before_the_producer_starts(t):
    """docs/engine.md section 9: `meta` comes before INIT, which would fence the rightful worker."""
    rightful = rival(t, "w1")
    t.redis.client.hset("envdriver:meta", mapping={"group": "somebody-else"})
    worker = t.worker(ready=False)
    assert worker.wait(30) == 78
    assert "serves group 'somebody-else'" in worker.stderr(), worker.stderr()
    rightful.begin_transaction()
    rightful.produce(t.topics.full("plugin-events"), b"x")
    rightful.commit_transaction(10)
