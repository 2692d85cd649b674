# SPDX-License-Identifier: Apache-2.0
"""tests/bench/run: measures envdriver beside its peer, in one run, and prints a table.

docs/performance.md says what is measured and how to read it.
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import asdict

import measure
import subjects
from harness.paths import BUILD
from subjects import Envdriver, Peer, Setting

PLUGINS = {"sdk": "plugin on the SDK", "echo": "echo plugin in C"}
GOALS = {"sdk": 0.5, "echo": 0.25}  # envdriver ÷ peer, at least
DELAY_GOAL = 3  # envdriver ÷ bare transaction, at most
RSS_GOAL = 15  # MiB, at most


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--commands", type=int, help="commands of a backlog (100000; quick 20000)")
    parser.add_argument("--rounds", type=int, help="backlogs of each kind (3; quick 1)")
    parser.add_argument("--asks", type=int, help="commands one at a time (500; quick 300)")
    parser.add_argument("--idle", type=float, help="seconds without commands (10; quick 3)")
    parser.add_argument("--only", choices=["peer", "envdriver"], help="measure one of them")
    parser.add_argument("--part", choices=["backlog", "delay"], help="measure a part")
    given = parser.parse_args()
    usual = (20_000, 1, 300, 3) if given.quick else (100_000, 3, 500, 10)
    for name, value in zip(("commands", "rounds", "asks", "idle"), usual):
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def say(text=""):
    print(text, file=sys.stderr, flush=True)


# --- measuring ---


def measure_backlogs(setting, given, chosen):
    """{(plugin, subject): [Backlog, …]}; a round is one run of each, side by side in time."""
    topics = setting.topics()
    setting.driver("publish", topics, given.commands)
    say("warming up the broker")
    for subject in chosen:
        measure.backlog(setting, subject, "echo", topics, given.commands)
    found = {}
    for number in range(given.rounds):
        for plugin in PLUGINS:
            for subject in chosen:
                run = measure.backlog(setting, subject, plugin, topics, given.commands)
                found.setdefault((plugin, subject.name), []).append(run)
                say(
                    f"round {number + 1}: {subject.name}, {plugin}: {run.rate:,.0f} commands/s, "
                    f"load {os.getloadavg()[0]:.1f}"
                )
    return found


def measure_delays(setting, given, chosen):
    """({name: Delay}, Idle of envdriver or None)"""
    topics = setting.topics()
    delays, idle = {}, None
    for name, offsets in (("bare transaction", False), ("bare, with an offset", True)):
        delays[name] = measure.delay_of(measure.bare(setting, topics, given.asks, offsets))
        say(f"{name}: p50 {delays[name].p50:.1f} ms")
    for plugin in PLUGINS:
        for subject in chosen:
            # Topics of its own: a new group begins with the oldest command.
            topics = setting.topics()
            running = setting.start(subject, plugin, topics)
            name = f"{subject.name}, {plugin}"
            try:
                measure.ask(setting, topics, 1)
                if subject is Envdriver and plugin == "echo":
                    idle = measure.idle(running.pid, given.idle)
                delays[name] = measure.delay_of(measure.ask(setting, topics, given.asks))
            finally:
                running.stop()
            say(f"{name}: p50 {delays[name].p50:.1f} ms")
    return delays, idle


# --- the table ---


def show_backlogs(found):
    print("| backlog | commands/s (least–most) | CPU s per 1,000: worker | plugin | broker | redis |"
          " peak RSS MiB |")
    print("|---|---|---|---|---|---|---|")
    for (plugin, subject), runs in found.items():
        rates = [run.rate for run in runs]
        cpu = {who: statistics.median(run.cpu[who] for run in runs) for who in runs[0].cpu}
        columns = [
            f"{subject}, {PLUGINS[plugin]}",
            f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
            *(f"{cpu[who]:.4f}" for who in ("worker", "plugin", "broker", "redis")),
            f"{statistics.median(run.peak for run in runs):.0f}",
        ]
        print(f"| {' | '.join(columns)} |")
    print()
    for plugin, goal in GOALS.items():
        pair = found.get((plugin, Envdriver.name)), found.get((plugin, Peer.name))
        if all(pair):
            ratio = statistics.median(ours.rate / theirs.rate for ours, theirs in zip(*pair))
            print(f"envdriver ÷ peer, {PLUGINS[plugin]}: {ratio:.2f} (goal: {goal} or more)")
    print()


def show_delays(delays):
    print("| one command at a time | p50 ms | p90 ms | p99 ms | of |")
    print("|---|---|---|---|---|")
    for name, d in delays.items():
        print(f"| {name} | {d.p50:.1f} | {d.p90:.1f} | {d.p99:.1f} | {d.count} |")
    print()
    for plugin in PLUGINS:
        ours = delays.get(f"{Envdriver.name}, {plugin}")
        if ours:
            ratio = ours.p50 / delays["bare transaction"].p50
            print(
                f"envdriver ÷ bare transaction, {PLUGINS[plugin]}: {ratio:.1f} "
                f"(goal: {DELAY_GOAL} or less)"
            )
    print()


def show_idle(idle):
    total = sum(idle.wakeups.values())
    print(
        f"Idle: {idle.rss:.1f} MiB resident (goal: under {RSS_GOAL}), {idle.anonymous:.1f} of them "
        f"its own; {idle.cpu:.1f} ms CPU and {total:.1f} wake-ups a second:"
    )
    print()
    print("| thread | wake-ups/s |")
    print("|---|---|")
    for name, rate in sorted(idle.wakeups.items(), key=lambda item: -item[1]):
        print(f"| {name} | {rate:.1f} |")


def main():
    given = arguments()
    if not (BUILD / "bench" / "peer").exists():
        sys.exit("tests/bench/run: not built; run: make bench")
    chosen = [s for s in (Peer, Envdriver) if given.only in (None, s.name)]
    load = os.getloadavg()[0]
    if load > 0.7:
        say(f"load is {load:.1f}: something else runs here, and the figures will show it")
    backlogs, delays, idle = {}, {}, None
    setting = Setting()
    try:
        if given.part != "delay":
            backlogs = measure_backlogs(setting, given, chosen)
        if given.part != "backlog":
            delays, idle = measure_delays(setting, given, chosen)
    finally:
        setting.close()
    if backlogs:
        show_backlogs(backlogs)
    if delays:
        show_delays(delays)
    if idle:
        show_idle(idle)
    raw = {
        "backlogs": {", ".join(k): [asdict(r) for r in v] for k, v in backlogs.items()},
        "delays": {k: asdict(d) for k, d in delays.items()},
        "idle": asdict(idle) if idle else None,
    }
    (subjects.WORK / "figures.json").write_text(json.dumps(raw, indent=1), "utf-8")


if __name__ == "__main__":
    main()
