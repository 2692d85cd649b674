# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md, the cheap extras: gaps in the log. (SIGTERM at every stage is in
test_killed.py, the stop without a broker and what a read_uncommitted reader sees in
test_kafka_faults.py; many headers, no key and a configuration cut short in
test_input_faults.py.)"""

import time

from confluent_kafka import Producer

from harness import avro, commands
from harness.case import limit, short
from harness.ledger import Ledger
from harness.process import wait_until


@short
@limit(90)
def test_gaps_of_aborted_transactions(t):
    """A publisher whose transactions abort every second time: their records and all markers are
    offsets that nobody is given. The windows pass over them, also while something slow below them
    is not done, and after a restart."""
    t.make_topics(commands=1)
    ledger = Ledger(t)
    worker = t.worker()
    producer = Producer(
        {"bootstrap.servers": t.bootstrap, "transactional.id": f"{t.topics.prefix}orchestrator"}
    )
    producer.init_transactions(30)

    def transaction(number, keep):
        producer.begin_transaction()
        for i in range(5):
            plain = ledger.execute(f"run-{number}-{i}", seconds=6 if number == 0 else 0)
            producer.produce(
                t.topics.full("commands"),
                value=avro.encode_command(plain),
                key=commands.message_key(plain).encode(),
            )
        producer.flush(30)
        if keep:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    for number in range(20):
        transaction(number, number % 2 == 0)
        if number == 10:
            worker.kill()
            worker.start()
    records = t.topics.read_commands()
    assert len(records) == 50, len(records)
    assert records[-1].offset >= 100, records[-1].offset
    worker.wait_ready(40)
    t.topics.wait(records, timeout=60)
    t.verify(quiet=1)
    # What was aborted was not called.
    asked = ledger.asked()
    assert max(asked.values()) == 1 and all(int(n.split("-")[1]) % 2 == 0 for n in asked)


@limit(180)
def test_gaps_of_compaction(t):
    """A compacted command topic: what compaction left is served once each, and nothing waits for
    what it took."""
    t.own_broker(
        log_cleaner_backoff_ms="200",
        log_segment_delete_delay_ms="100",
        log_cleaner_min_compaction_lag_ms="0",
    )
    t.make_topics(
        commands=1,
        of_commands={
            "cleanup.policy": "compact",
            "segment.ms": "500",
            "min.cleanable.dirty.ratio": "0.01",
            "max.compaction.lag.ms": "1000",
        },
    )
    ledger = Ledger(t)
    worker = t.worker()
    assert "is compacted" in worker.stderr()
    first = t.topics.publish(*(ledger.probe(key=f"k{i % 5}") for i in range(30)))
    slow = t.topics.publish(ledger.execute("slow", seconds=20, key="slow"))
    t.topics.wait(first)
    worker.kill()
    for turn in range(8):
        t.topics.publish(*(ledger.probe(key=f"k{i % 5}") for i in range(20)))
        time.sleep(0.7)
    wait_until(
        lambda: len(t.topics.read_commands()) < 100, 60, "compaction has taken most of them"
    )
    worker.start().wait_ready(40)
    left = t.topics.read_commands()
    print(f"{len(left)} of 191 commands are left")
    t.topics.wait(left, timeout=60)
    t.topics.wait(t.topics.publish(*(ledger.probe() for _ in range(5))), timeout=20)
    assert max(ledger.asked().values()) == 1
    finals = [e for e in t.topics.read_all() if e.final]
    assert len({e.source for e in finals}) == len(finals), "each at most once"
    assert slow[0].position in {e.source for e in finals}
