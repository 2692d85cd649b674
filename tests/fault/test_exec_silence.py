# SPDX-License-Identifier: Apache-2.0
"""What `envdriver exec` says of a command that shows nothing for more than ten seconds."""

import json
import subprocess
import time

from harness.case import limit
from harness.paths import environment
from harness.process import wait_until
from harness.worker import SANITIZER_OPTIONS, program


def start(t, *arguments):
    t.cli("topics", "list")
    return subprocess.Popen(
        [program(), "exec", "--provider", "local", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(ENVDRIVER_CONFIG=str(t.dir / "cli.conf"), **SANITIZER_OPTIONS),
    )


@limit(120)
def test_only_what_nobody_took_is_an_alarm(t):
    t.install(t.local(), "local")
    t.redis.client.ping()
    # No worker runs: said once, and it is taken when one comes.
    missed = start(t, "--lease", "L", "--", "true")
    time.sleep(14)  # we look every three seconds, and complain from the tenth on
    t.worker()
    out, err = missed.communicate(timeout=40)
    assert missed.returncode == 125 and 'Lease "L" does not exist' in err, err
    alarm = "no worker has taken the command yet, and none of the group runs: see `envdriver worker`"
    assert alarm in err and err.count("\n") == 2, err
    # One that runs in silence is none; nor is one that waits behind it.
    acquire = ["publish", "acquire", "--provider", "local", "--run-id", "r", "--wait", "--json"]
    done = t.cli(*acquire)
    lease = json.loads(done.stdout)["lease"]["providerLeaseId"]
    silent = start(t, "--lease", lease, "--id", "silent", "--", "sleep", "14")
    wait_until(lambda: t.redis.client.get("envdriver:claim:silent"), 20, "the claim")
    waits = start(t, "--lease", lease, "--", "sleep", "1")
    out, err = silent.communicate(timeout=40)
    assert (silent.returncode, out, err) == (0, "", ""), err
    out, err = waits.communicate(timeout=40)
    assert waits.returncode == 0 and err.count("\n") == 1, err
    assert "the command waits behind 'silent' of the lease, which runs" in err, err
    # Redis is away for the command line only.
    done = t.cli(
        # fmt: off
        "exec", "--provider", "local", "--lease", lease, "--", "sleep", "12",
        config={"redis.url": "redis://127.0.0.1:1"},
        # fmt: on
    )
    assert done.returncode == 0 and done.stderr.count("\n") == 1, done
    assert "whether a worker has taken it cannot be seen: cannot reach Redis" in done.stderr, done
