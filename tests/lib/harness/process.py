# SPDX-License-Identifier: Apache-2.0
"""Processes of a test: started so that they cannot outlive it, and looked for afterwards."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import random
import time

PR_SET_CHILD_SUBREAPER = 36

SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:"
    r"|WARNING: ThreadSanitizer|Assertion .* failed|AddressSanitizer:DEADLYSIGNAL"
)


def spawn(argv, **options):
    """subprocess.Popen in a session of its own, killed when the thread that started it ends
    (so start things from the main thread)."""
    options.setdefault("stdin", subprocess.DEVNULL)
    wrapped = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]
    return subprocess.Popen(wrapped, start_new_session=True, **options)


def wait_until(predicate, timeout, what):
    """What the predicate returns as soon as it is true; an AssertionError after `timeout` s.
    `what` is text, or a function that makes it then."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def free_port():
    """Below the range of outgoing connections, so that it stays free while a server is down."""
    while True:
        port = random.randrange(12000, 20000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def sanitizer_report(text):
    """The first lines of a sanitizer's report (or a failed assert) in a program's stderr."""
    found = SANITIZER.search(text)
    if not found:
        return None
    start = text.rfind("\n", 0, found.start()) + 1
    return "\n".join(text[start:].splitlines()[:25])


def become_subreaper():
    """Orphans of our children become our children, so that leftovers() sees them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _stat(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        after = f.read().rpartition(")")[2].split()
    return after[0], int(after[1])  # state, parent


def _command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().replace(b"\0", b" ").decode(errors="replace").strip()


def children(of=None):
    """Living children: {pid: command line}."""
    of = of or os.getpid()
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            state, parent = _stat(name)
            if parent == of and state not in "ZX":
                found[int(name)] = _command_line(name)
        except (OSError, ValueError):
            continue
    return found


def leftovers(patience=2.0):
    """Kills the children we still have and says which. The shared broker may stay."""
    deadline = time.monotonic() + patience
    while True:
        left = {p: c for p, c in children().items() if "kafka.Kafka" not in c}
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return [f"process {pid} was left behind: {line}" for pid, line in left.items()]
