# SPDX-License-Identifier: Apache-2.0
"""The Redis side of the engine on a real redis-server: the scripts of the claims row by row, the
registry's mirror, the instance record, the connection itself. Each is a program (*_check.c) with
a server of its own; the harness and what it gives to each test are not used. Run alone:
    make SAN=address DEVELOPER=1 unit && python3 tests/integration/test_claim_scripts.py [name ...]
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("ENVDRIVER_BUILD") or os.path.join("build", "address")
FOLDER = os.path.join(HERE, "..", "..", BUILD, "tests")
PATIENCE = 150  # seconds; a judge waits for 15 s, a busy machine for more


def check(name):
    program = os.path.abspath(os.path.join(FOLDER, name))
    env = dict(os.environ, UBSAN_OPTIONS="print_stacktrace=1")
    done = subprocess.run(
        [program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, env=env
    )
    text = done.stdout.decode("utf-8", "replace")
    print(text)
    assert done.returncode == 0 and "test(s) run." in text, text[-3000:]


def test_redis_connection(_=None):
    check("redis_check")


def test_claims(_=None):
    check("claims_check")


def test_claims_life(_=None):
    check("claims_life_check")


def test_claims_credential(_=None):
    check("claims_credential_check")


def test_registry(_=None):
    check("registry_check")


def test_instance(_=None):
    check("instance_check")


def test_instance_judge(_=None):
    check("instance_judge_check")


def test_supervisor(_=None):
    check("supervisor_check")


TESTS = [f for name, f in sorted(globals().items()) if name.startswith("test_")]
for function in TESTS:
    function.limit = PATIENCE + 10


if __name__ == "__main__":
    for function in TESTS:
        if not sys.argv[1:] or function.__name__ in sys.argv[1:]:
            function()
