#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the recorded cases through Kafka, envdriver and the fixture plugin: see README.md.

    build/venv/bin/python tests/golden/run.py [-k CASE] [-v] [FILE.jsonl…]
"""

import argparse
import copy
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import check  # noqa: E402
import plan as planning  # noqa: E402
from harness import registry  # noqa: E402
from harness.broker import Broker  # noqa: E402
from harness.case import Case  # noqa: E402
from harness.paths import BUILD, ROOT  # noqa: E402
from harness.process import become_subreaper  # noqa: E402
from harness.worker import program  # noqa: E402
from lane import Lane  # noqa: E402
from recording import load  # noqa: E402

RUNS = ROOT / "build" / "golden"
LANES = 4
LIMIT = 600
TRIES = 3
SLOW = ("initHang", "shutdownHang", "ignoreSigterm")


class Setting(Case):
    """The servers of a run."""

    def config_of(self, topics):
        return {
            "kafka.bootstrap.servers": self.bootstrap,
            "kafka.group.id": f"{topics.prefix}group",
            "kafka.session.timeout.ms": "6000",
            "kafka.heartbeat.interval.ms": "500",
            "topic.prefix": topics.prefix,
            "redis.url": self.redis.url,
            "plugin.dirs": registry.plugin_dirs(),
            "plugin.log.info": "true",  # as the original logs it
        }


class Result:
    def __init__(self, recording):
        self.recording = recording
        self.wrong = ["was not run"]
        self.strict = None
        self.seconds = 0


def main():
    options = parse()
    recordings = load(options.files or sorted(HERE.glob("*.jsonl")))
    chosen = [r for r in recordings if not options.pattern or re.search(options.pattern, r.name)]
    program()
    build_call()
    folder = RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    sweep()
    folder.mkdir(parents=True)
    become_subreaper()
    shared = "HARNESS_KAFKA" in os.environ
    if not shared:
        os.environ["HARNESS_KAFKA"] = str(folder / "kafka")
    setting = Setting(folder)
    try:
        results = run(setting, chosen, options)
    finally:
        wrong = setting.end()
        if not shared:
            Broker(folder / "kafka").stop(clean=False)
            shutil.rmtree(folder / "kafka", ignore_errors=True)
    return report(recordings, results, wrong, options, folder)


def parse():
    parser = argparse.ArgumentParser(prog="tests/golden/run.py")
    parser.add_argument("-k", dest="pattern", help="only cases whose name matches (regex)")
    parser.add_argument("-v", dest="verbose", action="store_true", help="a line for each case")
    parser.add_argument("files", nargs="*", type=Path, help="recordings; all beside run.py")
    return parser.parse_args()


def build_call():
    """tests/golden/call.c; `make unit` makes it, too."""
    if (BUILD / "golden" / "call").exists():
        return
    san = [] if BUILD.name == "release" else [f"SAN={BUILD.name}"]
    target = (BUILD / "golden" / "call").relative_to(ROOT)
    subprocess.run(["make", "-s", "-C", ROOT, *san, target], check=True, stdout=sys.stderr)


def sweep():
    """Removes what earlier runs left, but the newest one."""
    old = sorted(RUNS.glob("*")) if RUNS.exists() else []
    for folder in old[:-1]:
        if not Path("/proc", folder.name.rpartition("-")[2]).exists():
            shutil.rmtree(folder, ignore_errors=True)


# --- running ---


def run(setting, recordings, options):
    """Cases that want a worker with other settings have a lane of their own."""
    results = {r.name: Result(r) for r in recordings}
    waiting = {}
    for recording in sorted(recordings, key=lambda r: not is_slow(r)):
        result = results[recording.name]
        try:
            made = planning.make(recording)
        except Exception as error:
            result.wrong = [f"cannot be planned: {describe(error)}"]
            continue
        settings = tuple(sorted(made.settings.items()))
        waiting.setdefault(settings, queue.SimpleQueue()).put((result, made))
    setting.bootstrap, setting.redis.client
    lanes = []
    for settings, cases in waiting.items():
        for _ in range(LANES if not settings and cases.qsize() > LANES else 1):
            lane = Lane(setting, f"lane{len(lanes) + 1}", dict(settings))
            lane.start()
            lanes.append((lane, cases))
    threads = [
        threading.Thread(target=run_lane, args=(lane, cases, options), daemon=True)
        for lane, cases in lanes
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + LIMIT
    for thread in threads:
        thread.join(max(0, until - time.monotonic()))
    return results


def is_slow(recording):
    return any(knob in recording.text for knob in SLOW)


def run_lane(lane, cases, options):
    broken = None
    try:
        lane.ready()
    except Exception as error:
        broken = f"the worker did not start: {describe(error)}"
    while True:
        try:
            result, made = cases.get_nowait()
        except queue.Empty:
            return
        began = time.monotonic()
        if broken:
            result.wrong = [broken]
        else:
            result.wrong = run_case(lane, result, made)
        result.seconds = time.monotonic() - began
        if options.verbose:
            verdict = "FAILED" if result.wrong else "strict" if result.strict else "ok"
            print(f"{verdict:7} {result.seconds:6.2f}s  {result.recording.name}", flush=True)


def run_case(lane, result, made):
    """Whether calls of the recording overlap is a matter of tenths of a second, which a busy
    machine may not have: such a case gets more than one try."""
    for _ in range(TRIES if result.recording.at_once else 1):
        try:
            # What is planned is changed by a run.
            planned = copy.deepcopy(made)
            wanted, result.strict = check.expected(result.recording, planned)
            seen = lane.run(result.recording, planned, wanted)
            wrong = check.check(result.recording, planned, wanted, seen)
        except Exception as error:
            wrong = [describe(error)]
        if not wrong:
            break
        planning.rename(made)
    return wrong


def describe(error):
    if isinstance(error, AssertionError):
        return str(error)
    return "".join(traceback.format_exception(error))


# --- reporting ---


def report(recordings, results, wrong, options, folder):
    failed = [r for r in results.values() if r.wrong]
    strict = [r for r in results.values() if r.strict and not r.wrong]
    if strict:
        print("\nstrict, as the documents say:")
        for result in strict:
            print(f"  {result.recording.name}: {result.strict}")
    if failed or wrong:
        print("\nfailed:")
    for result in failed:
        print(f"  {result.recording.name}")
        for line in result.wrong:
            print("    " + line.replace("\n", "\n    "))
    for line in wrong:
        print(f"  {line}")
    print(f"\nlogs: {folder.relative_to(ROOT)}")
    print(
        f"golden: {len(results)} of {len(recordings)} run, {len(strict)} strict differences, "
        "0 skipped"
    )
    counts = Counter(bool(r.wrong) for r in results.values())
    print(f"{counts[False]} passed, {counts[True] + len(wrong)} failed, 0 skipped")
    sys.stdout.flush()
    return 1 if failed or wrong or not results else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
