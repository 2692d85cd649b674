# SPDX-License-Identifier: Apache-2.0
"""make soak, make soak-long: load and a seeded schedule of faults; then everything is counted.

A schedule is drawn from the seed before anything starts: the same seed gives the same faults at the
same seconds, though not the same interleavings. At the end: one final event for each command, no
execution called twice, INTERRUPTED only of workers that were killed or declared dead, no lease
forgotten without a warning, and of the worker that lived through all of it memory and descriptors
as they were, no child left.

    SOAK_SECONDS=600 SOAK_SEED=n make soak
    make soak-long          2 million commands, a plugin crash every 10 s, a rebalance every 30 s
"""

import argparse
import os
import random
import secrets
import shutil
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from harness import avro, commands, oracle
from harness.case import Case
from harness.faults import QUICK, descriptors, incarnation, rss_kb
from harness.ledger import Ledger
from harness.paths import RUNS
from harness.process import become_subreaper, children, wait_until
from harness.tally import AGAIN, GOOD, POISON, Tally

MIB = 1024
TELL_EVERY = 30
LONG = 12  # seconds of the longest execution
QUIET = 240  # seconds that what is in flight may take at the end
IN_MEMORY = 300_000  # commands: of more the whole oracle would not fit in memory


@dataclass(frozen=True)
class Fault:
    at: float  # seconds after the start
    name: str
    seconds: float  # how long it lasts
    target: int  # which worker


# name: (weight, least and most seconds that it lasts)
RANDOM = {
    "kill": (4, 0, 4),
    "restart": (3, 0, 0),
    "freeze": (3, 1, 20),
    "redis-kill": (2, 0, 6),
    "redis-freeze": (1, 1, 8),
    "broker-freeze": (2, 1, 14),
    "broker-kill": (1, 0, 3),
    "plugin-kill": (3, 0, 0),
    "join": (2, 4, 15),
}


def schedule(options):
    """The faults of a run, in the order of their times."""
    rng = random.Random(options.seed)
    found = []
    if options.faults == "random":
        at = 5.0
        while at < options.seconds - 10:
            name = rng.choices(list(RANDOM), [w for w, _, _ in RANDOM.values()])[0]
            _, least, most = RANDOM[name]
            found.append(Fault(at, name, round(rng.uniform(least, most), 1), rng.randrange(2)))
            at += found[-1].seconds + rng.uniform(2, 10)
        return found
    # A plugin that crashes ten times in a row, less than ten minutes apart, is given up: a new
    # process begins to count anew, and that of the one which lives through it all dies eight times.
    horizon = int(options.seconds)
    steady = range(100, 900, 100)
    found += [
        Fault(at, "plugin-kill", 0, 2 if at in steady else at // 10 % 2)
        for at in range(10, horizon, 10)
    ]
    found += [Fault(at, "join", 10, 0) for at in range(25, horizon, 30)]
    found += [Fault(at, "restart", 0, at // 75 % 2) for at in range(75, horizon, 75)]
    return sorted(found, key=lambda fault: fault.at)


# --- the load ---


class Load(threading.Thread):
    """Publishes until it is told to stop or has published all, and never has more than `most`
    commands waiting for their end."""

    def __init__(self, t, tally, ledger, options):
        super().__init__(daemon=True)
        self.tally, self.ledger, self.options = tally, ledger, options
        self.topic = t.topics.full("commands")
        self.rng = random.Random(options.seed + 1)
        self.over = threading.Event()
        self.made = 0
        self.failed = []
        self.ids = []
        self.producer = Producer(
            {
                "bootstrap.servers": t.bootstrap,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "message.timeout.ms": 600_000,
                "log_level": 2,  # that the broker is away is what this is about
            }
        )

    def run(self):
        options = self.options
        began = time.monotonic()
        while not self.over.is_set() and (not options.commands or self.made < options.commands):
            due = (time.monotonic() - began) * options.rate if options.rate else self.made + 500
            room = options.most - (self.made - self.tally.finished)
            for _ in range(int(min(max(0, due - self.made), room, 500))):
                self.one()
            self.producer.poll(0.01)
        left = self.producer.flush(120)
        if left:
            self.failed.append(f"{left} commands were not taken by the broker")

    def one(self):
        kind = GOOD
        dice = self.rng.random()
        if dice < self.options.poison:
            kind, key, value = POISON, None, self.poison()
        else:
            plain = self.command()
            if dice < self.options.poison + self.options.duplicates and self.ids:
                kind, plain["commandId"] = AGAIN, self.rng.choice(self.ids)
            elif self.rng.random() < 0.02:
                self.ids = self.ids[-500:] + [plain["commandId"]]
            key, value = commands.message_key(plain).encode(), avro.encode_command(plain)
        self.made += 1

        def delivered(error, message):
            if error:
                self.failed.append(str(error))
            else:
                self.tally.sent(message.partition(), message.offset(), kind)

        while True:
            try:
                self.producer.produce(self.topic, value=value, key=key, on_delivery=delivered)
                return
            except BufferError:
                self.producer.poll(0.1)

    def command(self):
        dice, ledger = self.rng.random(), self.ledger
        key = f"k{self.rng.randrange(200)}" if self.rng.random() < 0.3 else ""
        if dice < self.options.executions:
            seconds = 0 if key else self.rng.choice([0, 0, 0.05, 0.5, 2])
            if self.rng.random() < 0.01:
                seconds, key = LONG, ""
            return ledger.execute(f"run-{self.made}", seconds=seconds, key=key)
        if dice < self.options.executions + self.options.leases:
            return ledger.acquire(seconds=self.rng.choice([0, 0, 0.2]), orderingKey=key)
        return ledger.probe(key=key)

    def poison(self):
        good = avro.encode_command(self.ledger.probe())
        return self.rng.choice(
            [b"", b"no avro", good[: len(good) // 2], good + b"x", b"\xc3\x01" + b"\xff" * 40]
        )


# --- the faults ---


class Soak:
    def __init__(self, t, options):
        self.t, self.options = t, options
        t.own_broker()
        t.make_topics(commands=8)
        self.ledger = Ledger(t)
        config = {**QUICK, "drain.timeout": "1s", "handover.timeout": "30s", "log.level": "info"}
        if options.faults != "random":
            config["max.in.flight"] = "4000"
            config["plugin.max.in.flight"] = "512"
        self.config = config
        self.env = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:quarantine_size_mb=8"}
        self.dead = set()  # incarnations that were killed, or frozen until declared dead
        self.steady = self.start("steady")
        self.others = [self.start(f"w{i}") for i in range(2)]
        for worker in [self.steady, *self.others]:
            worker.wait_ready(60)
        self.joined = 0
        self.rss, self.fds = [], []

    def start(self, name):
        return self.t.worker(
            name, config=self.config, ready=False, build=self.options.build, env=self.env
        )

    def perform(self, fault):
        getattr(self, fault.name.replace("-", "_"))(fault)

    def kill(self, fault):
        worker = self.others[fault.target]
        self.dead.add(incarnation(self.t, worker))
        worker.kill()
        time.sleep(fault.seconds)
        worker.start()

    def restart(self, fault):
        worker = self.others[fault.target]
        code = worker.terminate(60)
        assert code == 0, f"{worker.name} ended with {code} after SIGTERM"
        worker.start()

    def freeze(self, fault):
        worker = self.others[fault.target]
        if fault.seconds > 10:
            self.dead.add(incarnation(self.t, worker))
        worker.stop()
        time.sleep(fault.seconds)
        worker.cont()

    def redis_kill(self, fault):
        self.t.redis.kill()
        time.sleep(fault.seconds)
        self.t.redis.start()

    def redis_freeze(self, fault):
        self.t.redis.pause()
        time.sleep(fault.seconds)
        self.t.redis.cont()

    def broker_freeze(self, fault):
        self.t.broker.pause()
        time.sleep(fault.seconds)
        self.t.broker.cont()

    def broker_kill(self, fault):
        self.t.broker.kill()
        time.sleep(fault.seconds)
        self.t.broker.restart()

    def plugin_kill(self, fault):
        worker = [*self.others, self.steady][fault.target]
        for pid in children(worker.pid) if worker.running else ():
            os.kill(pid, signal.SIGKILL)

    def join(self, fault):
        self.joined += 1
        worker = self.start(f"guest-{self.joined}")
        time.sleep(fault.seconds)
        code = worker.terminate(60)
        assert code == 0, f"{worker.name} ended with {code} after SIGTERM"
        worker.assert_clean()
        self.t.workers.remove(worker)

    def look(self):
        """Memory and descriptors of the one that is left alone."""
        for worker in [self.steady, *self.others]:
            worker.assert_running()
        self.rss.append(rss_kb(self.steady.pid))
        self.fds.append(descriptors(self.steady.pid))

    # --- the verdict ---

    def verdict(self, tally, load):
        found = load.failed[:5] + tally.check()
        asked = self.ledger.asked()
        found += [f"{name} was asked for {n} times" for name, n in asked.items() if n > 1]
        for token in tally.interrupted:
            # Also whoever could not be judged otherwise: a worker whose plugin was killed answers.
            if not token or not any(token.startswith(one) for one in self.dead if one):
                found.append(f"INTERRUPTED, but its worker lived: call {token}")
        lost = self.ledger.leases() - tally.leases
        if len(lost) > tally.warned:
            found.append(f"{len(lost)} leases are nobody's; {tally.warned} results tell of one")
        missing = tally.leases - self.ledger.leases()
        found += [f"lease {one} was published and is destroyed" for one in missing]
        found += self.flat()
        for worker in [self.steady, *self.others]:
            worker.wait_ready(60)
            plugins = children(worker.pid)
            if len(plugins) != 1:
                found.append(f"{worker.name} has children: {plugins}")
        if tally.published <= IN_MEMORY:
            records, events = self.t.topics.read_commands(), self.t.topics.read_all()
            found += oracle.check(records, events)
        return found

    def flat(self):
        """After a third of the time nothing grows any more."""
        if len(self.rss) < 9:
            return []
        third = len(self.rss) // 3
        before, after = max(self.rss[third : 2 * third]), min(self.rss[-3:])
        found = []
        if after > before * 1.2 + 16 * MIB:
            found.append(f"memory grew from {before // MIB} to {after // MIB} MiB: {self.rss}")
        if self.fds[-1] > max(self.fds[: 2 * third]) + 4:
            found.append(f"descriptors grew: {self.fds}")
        return found


def parse():
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="the numbers of make soak-long")
    parser.add_argument("--seconds", type=float, default=float(env("SOAK_SECONDS", "600")))
    parser.add_argument("--seed", type=int, default=int(env("SOAK_SEED") or secrets.randbits(31)))
    parser.add_argument("--commands", type=int, default=int(env("SOAK_COMMANDS", "0")))
    options = parser.parse_args()
    options.poison = options.duplicates = 0.01
    options.faults, options.build = "random", None
    options.rate, options.most = 100, 3000
    options.executions, options.leases = 0.3, 0.05
    if options.long:
        options.commands = options.commands or 2_000_000
        options.seconds = 12 * 3600
        options.faults, options.build = "steady", "release"
        options.rate, options.most = 0, 20_000
        options.executions, options.leases = 0.1, 0.01
    return options


def drive(t, options):
    """Returns what was wrong."""
    soak = Soak(t, options)
    tally = Tally(t.topics).start()
    t.at_end(tally.close)
    load = Load(t, tally, soak.ledger, options)
    t.at_end(load.over.set)
    plan = schedule(options)
    began = told = looked = time.monotonic()
    load.start()
    while load.is_alive() and (options.commands or time.monotonic() - began < options.seconds):
        now = time.monotonic() - began
        if plan and plan[0].at <= now:
            fault = plan.pop(0)
            print(f"{now:7.1f} s  {fault.name} {fault.seconds} s, {fault.target}", flush=True)
            soak.perform(fault)
        if time.monotonic() - looked > 10:
            looked = time.monotonic()
            soak.look()
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            print(
                f"{now:7.1f} s  {tally.finished} of {tally.published} are done; "
                f"{soak.rss[-1] // MIB} MiB, {soak.fds[-1]} descriptors",
                flush=True,
            )
        time.sleep(0.1)
    load.over.set()
    load.join(150)
    wait_until(
        lambda: tally.waiting <= 0, QUIET, lambda: f"all are done, {tally.waiting} are not"
    )
    wait_until(lambda: t.redis.client.hlen("envdriver:orphans") == 0, 180, "no orphan is left")
    for _ in range(3):
        time.sleep(2)
        soak.look()
    took = time.monotonic() - began
    print(f"{tally.finished} commands in {took:.0f} s: {dict(tally.statuses)}")
    print(f"memory of the steady worker in MiB: {[kb // MIB for kb in soak.rss]}")
    return soak.verdict(tally, load)


def main():
    options = parse()
    print(f"seed {options.seed}; SOAK_SEED={options.seed} gives the same schedule", flush=True)
    folder = RUNS / f"soak-{os.getpid()}"
    folder.mkdir(parents=True)
    os.environ["HARNESS_KAFKA"] = str(folder / "kafka")
    become_subreaper()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    t = Case(Path(folder))
    found = []
    try:
        found = drive(t, options)
    except KeyboardInterrupt:
        found = ["interrupted"]
    except Exception as error:
        traceback.print_exc()
        found = [f"{type(error).__name__}: {error}"]
    finally:
        found += t.end()
        for text in found[:40]:
            print(f"wrong: {text}")
        if found:
            print(f"seed {options.seed}; logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
            print("clean: every command once, memory flat, no descriptor and no child left")
        sys.stdout.flush()
        # Threads of a client library must not decide how this ends.
        os._exit(1 if found else 0)


if __name__ == "__main__":
    main()
