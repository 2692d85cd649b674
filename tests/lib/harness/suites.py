# SPDX-License-Identifier: Apache-2.0
"""The kinds of tests that tests/run knows. Each kind finds its tests and runs one at a time.

Only the standard library here: the unit tests must run without the venv.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .paths import BUILD, ROOT, TESTS, TSAN_OPTIONS, VALGRIND, environment

UNIT_LIMIT = 300
VALGRIND_LIMIT = 1200
SUITE_LIMIT = 900
PATIENCE = 75  # more than a function's own limit and what it may take to clean up
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


@dataclass
class Result:
    name: str
    status: str  # passed, failed, skipped
    text: str = ""  # why, for the last two
    log: Path | None = None


class Program:
    """A test that is a program; `run` writes what it prints to a log."""

    seconds = UNIT_LIMIT
    before = ()  # a command that runs it

    def __init__(self, name, argv, **variables):
        self.name = name
        self.group = name
        self.argv = [str(a) for a in argv]
        self.env = environment(
            ASAN_OPTIONS="detect_leaks=1",
            UBSAN_OPTIONS="print_stacktrace=1",
            TSAN_OPTIONS=TSAN_OPTIONS,
            **variables,
        )

    def run(self, folder):
        log = folder / "log"
        if not Path(self.argv[0]).exists():
            log.write_text("", "utf-8")
            return [Result(self.name, "failed", f"{self.argv[0]} is not built", log)]
        with open(log, "wb") as out:
            try:
                done = subprocess.run(
                    [*self.before, *self.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    timeout=self.seconds,
                    env=self.env,
                    cwd=ROOT,
                    check=False,
                )
                code = done.returncode
            except subprocess.TimeoutExpired:
                code = None
        results = self.judge(log.read_text("utf-8", "replace"), code)
        for result in results:
            result.log = log
        return results

    def end(self, code):
        if code is None:
            return f"took longer than {self.seconds} s"
        if code < 0:
            return f"ended by signal {-code}"
        return f"exit code {code}"


# --- unit: cmocka programs ---


class Unit(Program):
    """Counts what cmocka reports. A program that does not come to its end (crash, sanitizer,
    time-out) or ends badly without saying why is one failure more."""

    line = re.compile(r"^\[ *(RUN|OK|FAILED|SKIPPED|ERROR) *\] (\w+)$", re.MULTILINE)
    states = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped", "ERROR": "failed"}

    def judge(self, text, code):
        seen = {}
        for word, name in self.line.findall(text):
            seen[name] = self.states.get(word, "running")
        results = [
            Result(f"{self.name}:{name}", status, _why(text, name) if status != "passed" else "")
            for name, status in seen.items()
            if status != "running"
        ]
        begun = [name for name, status in seen.items() if status == "running"]
        complete = seen and not begun and "test(s) run." in text
        failed = any(r.status == "failed" for r in results)
        if begun or (code != 0 and not failed) or not complete:
            at = f" in {begun[0]}" if begun else ""
            what = self.end(code) + at if code != 0 else f"ran no test to its end{at}"
            results.append(Result(f"{self.name}{':' + begun[0] if begun else ''}", "failed", what))
        return results


def _why(text, name):
    """What cmocka printed between a test's RUN line and its verdict."""
    match = re.search(rf"\] {name}\n(.*?)\n\[ *\w+ *\] {name}$", text, re.DOTALL | re.MULTILINE)
    return match.group(1).strip() if match else ""


def unit():
    """One for each tests/unit/test_*.c: a program that was not built is a failure."""
    return [
        Unit(f"unit/{source.stem}", [BUILD / "tests" / source.stem])
        for source in sorted((TESTS / "unit").glob("test_*.c"))
    ]


# --- integration: Python functions, each in a process of its own ---


class Function:
    running = set()

    def __init__(self, path, name, seconds, short):
        self.path, self.function, self.seconds, self.short = path, name, seconds, short
        self.name = f"{path.parent.name}/{path.stem}:{name}"
        self.group = str(path)

    def run(self, folder):
        log, verdict = folder / "log", folder / "result.json"
        argv = [sys.executable, "-B", "-m", "harness.case", self.path, self.function, folder]
        with open(log, "wb") as out:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(TESTS / "lib")},
                start_new_session=True,
            )
            self.running.add(process)
            try:
                process.wait(self.seconds + PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            finally:
                self.running.discard(process)
        if not verdict.exists():
            text = f"ended without a verdict (exit code {process.returncode})"
            return [Result(self.name, "failed", text, log)]
        found = json.loads(verdict.read_text("utf-8"))
        return [Result(self.name, found["status"], found["text"], log)]


def interrupt():
    """Ends the test functions that run: each stops what it started."""
    processes = list(Function.running)
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


class Broken:
    """A test file that cannot be imported."""

    seconds = 0
    short = True

    def __init__(self, path, error):
        self.name = self.group = f"{path.parent.name}/{path.stem}"
        self.error = error

    def run(self, folder):
        log = folder / "log"
        log.write_text(f"{self.error}\n", "utf-8")
        return [Result(self.name, "failed", f"cannot be imported: {self.error}", log)]


def functions(folder):
    """The test functions of tests/<folder>/test_*.py."""
    found = []
    for path in sorted((TESTS / folder).glob("test_*.py")):
        try:
            from . import case  # needs the venv

            for name, what in case.functions(case.load(path)).items():
                found.append(Function(path, name, *what))
        except Exception as error:
            found.append(Broken(path, f"{type(error).__name__}: {error}"))
    return found


# --- suites that count for themselves, and fuzz corpora ---


class Suite(Program):
    """A program that ends with `N passed, N failed, N skipped`."""

    seconds = SUITE_LIMIT

    def judge(self, text, code):
        lines = text.strip().splitlines()
        counts = COUNTS.match(lines[-1]) if lines else None
        if not counts:
            return [Result(self.name, "failed", f"ended without its counts, {self.end(code)}")]
        passed, failed, skipped = (int(n or 0) for n in counts.groups())
        if code != 0 and not failed:
            failed = 1
        details = "\n".join(lines[-15:-1])
        return (
            [Result(self.name, "passed")] * passed
            + [Result(self.name, "failed", details)] * failed
            + [Result(self.name, "skipped", details)] * skipped
        )


class Replay(Program):
    """A fuzz target over its corpus: passes when it exits 0."""

    def judge(self, text, code):
        if code == 0:
            return [Result(self.name, "passed")]
        return [Result(self.name, "failed", f"{self.end(code)}\n{text[-2000:]}")]


def golden():
    runner = TESTS / "golden" / "run.py"
    if not runner.exists():
        return []
    env = {"PYTHONPATH": TESTS / "lib", "ENVDRIVER_BUILD": BUILD}
    return [Suite("golden/run.py", [sys.executable, "-B", runner], **env)]


def fuzz():
    """Each tests/fuzz/fuzz_X.c as build/…/fuzz/fuzz_X over tests/fuzz/corpus/X/*."""
    found = []
    for source in sorted((TESTS / "fuzz").glob("fuzz_*.c")):
        corpus = sorted((TESTS / "fuzz" / "corpus" / source.stem[len("fuzz_") :]).glob("*"))
        found.append(Replay(f"fuzz/{source.stem}", [BUILD / "fuzz" / source.stem, *corpus]))
    return found


def use_valgrind(tests):
    """Of the programs among the tests, and of the workers that the others start."""
    os.environ["HARNESS_VALGRIND"] = "1"
    for test in tests:
        if isinstance(test, Program):
            test.before, test.seconds = VALGRIND, VALGRIND_LIMIT
            test.env["HARNESS_VALGRIND"] = "1"


def timed(test, folder):
    """(seconds, results) of one test, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    results = test.run(folder)
    return time.monotonic() - began, results
