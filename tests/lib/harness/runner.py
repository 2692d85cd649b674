# SPDX-License-Identifier: Apache-2.0
"""tests/run: chooses tests, runs them, prints one line for each and ends with the counts. With the
name of a target (targets.py) it sets up and builds first."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from . import newest, suites, targets
from .paths import BUILD, ROOT, RUNS

KEPT_RUNS = 5
ALONE_MAX = 4


def main():
    options = parse()
    if options.target:
        return targets.run(options.target)
    tests = choose(options)
    if options.pattern:
        tests = [t for t in tests if re.search(options.pattern, t.name)]
    if options.valgrind:
        suites.use_valgrind(tests)
    if options.list:
        for test in tests:
            print(test.name)
        return 0
    folder = open_run()
    os.environ["HARNESS_KAFKA"] = str(folder / "kafka")
    if options.newest:
        print(f"with librdkafka {newest.use(folder / 'librdkafka')}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        results = run(tests, folder, options)
    except KeyboardInterrupt:
        suites.interrupt()
        raise
    finally:
        end_brokers(folder)
    return summary(results, folder)


def choose(options):
    """Of the fault tests --all takes the short ones, or those that are named."""
    tests = []
    if options.all or not options.fault:
        tests += suites.unit()
    if options.all:
        tests += suites.golden() + suites.fuzz() + suites.functions("integration")
    if options.all or options.fault:
        whole = options.fault or options.pattern
        tests += [test for test in suites.functions("fault") if whole or test.short]
    return tests


def parse():
    parser = argparse.ArgumentParser(
        prog="tests/run",
        description="Runs tests of the build in build/address (or ENVDRIVER_BUILD) and ends with "
        "their counts. With a target: sets up, builds and runs what `make TARGET` does.",
    )
    parser.add_argument("target", nargs="?", choices=targets.TARGETS, metavar="TARGET")
    parser.add_argument("--unit", action="store_true", help="the unit tests only (the default)")
    parser.add_argument("--all", action="store_true", help="everything but the long faults")
    parser.add_argument("--fault", action="store_true", help="all of tests/fault, also the long")
    parser.add_argument("-k", dest="pattern", help="only tests whose name matches (regex)")
    parser.add_argument("-v", dest="verbose", action="store_true", help="each unit test, each log")
    parser.add_argument("-j", dest="jobs", type=int, default=1, help="test files side by side")
    parser.add_argument(
        "--librdkafka-newest",
        dest="newest",
        action="store_true",
        help="run envdriver with the librdkafka of the Python package confluent-kafka",
    )
    parser.add_argument(
        "--valgrind", action="store_true", help="run programs and workers under valgrind"
    )
    parser.add_argument("--list", action="store_true", help="names the tests and runs none")
    return parser.parse_args()


# --- the folder of a run ---


def open_run():
    """build/test-runs/<time>-<pid>, also build/test-runs/last; older ones go."""
    folder = RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir(parents=True)
    last = RUNS / "last"
    fresh = RUNS / f".last-{os.getpid()}"
    fresh.symlink_to(folder.name)
    fresh.replace(last)
    sweep(folder)
    return folder


def sweep(ours):
    """Ends the brokers of a run that was killed, and removes all but the newest finished runs."""
    finished = []
    for folder in sorted(f for f in RUNS.iterdir() if f.is_dir() and not f.is_symlink()):
        pid = folder.name.rpartition("-")[2]
        if folder != ours and not is_runner(pid):
            end_brokers(folder)
            finished.append(folder)
    for folder in finished[: max(0, len(finished) - KEPT_RUNS)]:
        shutil.rmtree(folder, ignore_errors=True)


def is_runner(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return b"harness" in f.read()
    except OSError:
        return False


def end_brokers(folder):
    """The shared one of a run, and those of tests that did not get to it."""
    for kafka in [*folder.glob("kafka"), *folder.glob("*/kafka")]:
        subprocess.run(
            [ROOT / "scripts" / "kafka", "stop", "--now", "--dir", kafka],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for data in kafka.glob("*/data"):
            shutil.rmtree(data, ignore_errors=True)


# --- running and telling ---


def run(tests, folder, options):
    """Tests of one file run one after another, files side by side when asked."""
    groups = {}
    for test in tests:
        groups.setdefault(test.group, []).append(test)

    def run_one(test, more=""):
        name = re.sub(r"[^\w.-]", "_", test.name) + more
        seconds, found = suites.timed(test, folder / name)
        tell(test, seconds, found, options.verbose)
        return found

    def run_group(group):
        return [(test, run_one(test)) for test in group]

    if options.jobs > 1:
        pool = ThreadPoolExecutor(options.jobs)
        try:
            pairs = [p for found in pool.map(run_group, groups.values()) for p in found]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        pairs = alone(pairs, run_one)
    else:
        pairs = [p for group in groups.values() for p in run_group(group)]
    return [r for _, found in pairs for r in found]


def alone(pairs, run_one):
    """What failed with another file beside it runs once more with nothing beside it, and both
    are told: on two cores a deadline of a test may be its neighbour's doing. When much fails,
    it is not that."""
    failed = [test for test, found in pairs if any(r.status == "failed" for r in found)]
    if not 0 < len(failed) <= ALONE_MAX:
        return pairs
    print(f"\nfailed with others beside, once more alone: {', '.join(t.name for t in failed)}")
    again = {test: run_one(test, "-alone") for test in failed}
    return [(test, again.get(test, found)) for test, found in pairs]


def tell(test, seconds, results, verbose):
    """One line a test; a unit program counts as one line unless told otherwise."""
    counts = Counter(r.status for r in results)
    status = "FAILED" if counts["failed"] else "skipped" if counts["skipped"] and not counts["passed"] else "ok"
    line = f"{status:7} {seconds:6.2f}s  {test.name}"
    if len(results) > 1:
        line += " (" + ", ".join(f"{n} {s}" for s, n in sorted(counts.items())) + ")"
    lines = [line]
    for result in results:
        if result.status == "failed" or (result.status == "skipped" and result.text):
            lines.append(f"        {result.name}: {first_line(result.text)}")
        elif verbose and result.name != test.name:
            lines.append(f"        {result.name}")
    if verbose and results and results[0].log:
        lines.append(f"        log: {shown(results[0].log)}")
    print("\n".join(lines), flush=True)


def summary(results, folder):
    failed = [r for r in results if r.status == "failed"]
    skipped = [r for r in results if r.status == "skipped"]
    if failed:
        print("\nfailed:")
        for result in failed:
            text = result.text.strip()
            lines = text.splitlines()
            print(f"  {result.name}")
            print("\n".join(f"    {line}" for line in lines[:12]))
            if len(lines) > 12:
                print("    …")
            print(f"    log: {shown(result.log)}")
    if skipped:
        print("\nskipped:")
        for result in skipped:
            print(f"  {result.name}: {first_line(result.text) or 'no reason given'}")
    counts = Counter(r.status for r in results)
    if not results:
        print(f"no test ran; is anything built in {shown(BUILD)}?")
    elif not failed:
        print(f"\nlogs: {shown(folder)}")
    print(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped",
        flush=True,
    )
    return 1 if failed or not counts["passed"] else 0


def first_line(text):
    return text.strip().partition("\n")[0]


def shown(path):
    try:
        return path.relative_to(ROOT)
    except ValueError:
        return path


if __name__ == "__main__":
    try:
        sys.exit(main())
    except newest.Unusable as error:
        sys.exit(f"tests/run: --librdkafka-newest: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
