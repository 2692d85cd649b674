# SPDX-License-Identifier: Apache-2.0
"""tests/run NAME: the targets of the Makefile that test something. What each sets up, builds and
runs stands in one table; the first step that fails ends it.

Only the standard library: it runs before the venv is there.
"""

import os
import re
import subprocess

from .paths import ROOT

SETUP = "scripts/setup --check"
PROGRAM = "make DEVELOPER=1 all"
CHECKED = "make DEVELOPER=1 SAN=address all unit"

# The Kafka tests, which --librdkafka-newest repeats with another librdkafka.
KAFKA = (
    "fault/test_(transaction_rules|security:test_sasl)|integration/test_(kafka_|main_job)|"
    "integration/test_engine:test_(rolling|kill|lease)|unit/test_client_(conf|error)"
)
PURE = "^(unit|fuzz)/"
# The long tests that reach lines which `check` does not.
LONG = "fault/test_(transaction_rules|redis_faults|schema_registry)"

FUZZERS = """
    for target in build/fuzzer/fuzz/fuzz_*[a-z]; do
        name=${target##*/fuzz_}; mkdir -p build/fuzzer/corpus/$name; echo "  FUZZ    $name"
        $target -max_total_time=${FUZZ_SECONDS:-60} -max_len=4096 -timeout=10 \\
            -artifact_prefix=build/fuzzer/$name- build/fuzzer/corpus/$name tests/fuzz/corpus/$name \\
            || exit
    done"""

SOAK = "PYTHONPATH=tests/lib build/venv/bin/python -B tests/fault/soak.py"

BENCH = " ".join(f"build/release/bench/{name}" for name in ("driver", "echo", "peer", "start"))

# "?" before a step: its failure is printed and hides nothing that follows.
TARGETS = {
    # No network and no server: the tables, the scanners, the codecs.
    "check-unit": ["make DEVELOPER=1 SAN=address unit", "tests/run --unit"],
    # Everything, on a real Kafka, a real Redis and the real plugin SDK.
    "check": [
        SETUP, PROGRAM, "make lint", "tests/model/run --short", CHECKED, "tests/run --all -j 2",
    ],
    # Every fault of docs/reliability.md; the short ones are in `check`, too. Three files side by
    # side: they wait more than they work.
    "check-fault": [SETUP, PROGRAM, CHECKED, "tests/run --fault -j 3"],
    "check-model": ["tests/model/run"],
    "check-rdkafka-newest": [SETUP, CHECKED, f"tests/run --all --librdkafka-newest -k '{KAFKA}'"],
    # Data races, as gcc's thread sanitizer sees them; tests/thread.supp has what is not ours.
    "check-thread": [
        SETUP, "make DEVELOPER=1 SAN=thread all unit",
        "ENVDRIVER_BUILD=build/thread tests/run --all "
        f"-k '{PURE}|integration/test_(main_job|kafka_publisher)'",
    ],
    # Without a sanitizer.
    "check-valgrind": [
        SETUP, "scripts/setup --valgrind", "make DEVELOPER=1 SAN=valgrind all unit",
        "ENVDRIVER_BUILD=build/valgrind tests/run --all -j 2 --valgrind "
        f"-k '{PURE}|integration/test_main_job'",
    ],
    # Which lines the unit tests and the fuzz corpora run. A test that fails does not hide them.
    "coverage": [
        "make SAN=coverage all unit", "find build/coverage -name '*.gcda' -delete",
        f"?ENVDRIVER_BUILD=build/coverage tests/run --all -j 2 -k '{PURE}'",
        "scripts/coverage build/coverage",
    ],
    # COVERAGE=all: which lines `check` and some long tests run.
    "coverage-all": [
        SETUP, "make SAN=coverage all unit", "make all",
        "find build/coverage -name '*.gcda' -delete",
        "?ENVDRIVER_BUILD=build/coverage tests/run --all -j 2",
        f"?ENVDRIVER_BUILD=build/coverage tests/run --fault -j 2 -k '{LONG}'",
        "scripts/coverage build/coverage",
    ],
    # Load under a seeded random schedule of faults (SOAK_SECONDS, SOAK_SEED), and 2 million
    # commands (SOAK_COMMANDS) with a plugin crash every 10 s and a rebalance every 30 s.
    "soak": [SETUP, PROGRAM, "make DEVELOPER=1 SAN=address all", SOAK],
    "soak-long": [SETUP, PROGRAM, "make DEVELOPER=1 SAN=address all", f"{SOAK} --long"],
    # Clang's libFuzzer looks for new inputs, FUZZ_SECONDS for each target.
    "fuzz": [
        "scripts/setup --fuzz",
        'make SAN=fuzzer CC="${CLANG:-$(command -v clang || command -v clang-14)}" fuzzers',
        FUZZERS,
    ],
    "bench": [SETUP, f"make all {BENCH}", "tests/bench/run"],
}  # fmt: skip


def run(name):
    """The exit code of the first step that failed, or 0."""
    if name == "coverage" and os.environ.get("COVERAGE") == "all":
        name = "coverage-all"
    # A make above us keeps its job slots to itself.
    flags = re.sub(r"(^| )(-j\d*|--jobserver\S*)", "", os.environ.get("MAKEFLAGS", ""))
    jobs = os.environ.get("JOBS") or os.cpu_count() or 1
    environment = {**os.environ, "MAKEFLAGS": flags}
    for step in TARGETS[name]:
        command = re.sub(r"^make ", f"make --no-print-directory -j{jobs} ", step.lstrip("?"))
        code = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, check=False).returncode
        if code and not step.startswith("?"):
            return code
    return 0
