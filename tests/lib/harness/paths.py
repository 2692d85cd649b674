# SPDX-License-Identifier: Apache-2.0
"""Where things lie. The variant under test is the folder ENVDRIVER_BUILD (build/address)."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get("ENVDRIVER_BUILD", "build/address")
TESTS = ROOT / "tests"
SCHEMAS = ROOT / "schemas"
FIXTURES = TESTS / "fixtures"
SDK = ROOT / "build" / "sdk"
NODE = ROOT / "build" / "node" / "bin"
RUNS = ROOT / "build" / "test-runs"
VALGRIND = (
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect",
    "--errors-for-leak-kinds=definite,indirect",
    f"--suppressions={TESTS / 'valgrind.supp'}",
)
# What a build with the thread sanitizer says of libraries, not of us (make check-thread).
TSAN_OPTIONS = f"halt_on_error=1:second_deadlock_stack=1:suppressions={TESTS / 'thread.supp'}"


def environment(**more):
    """Our environment for a program under test: node in front of PATH, and none of the
    ENVDRIVER_ variables, each of which is a setting to envdriver (or an error). HARNESS_LIBRDKAFKA
    is the folder of another librdkafka (newest.py)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ENVDRIVER_")}
    env["PATH"] = f"{NODE}:{env.get('PATH', '/usr/bin:/bin')}"
    if "HARNESS_LIBRDKAFKA" in env:
        env["LD_LIBRARY_PATH"] = env["HARNESS_LIBRDKAFKA"]
    env.update(more)
    return env
