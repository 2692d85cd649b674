# SPDX-License-Identifier: Apache-2.0
"""What a process has used so far, from /proc."""

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


def cpu_seconds(*pids):
    return sum(sum(_ticks(pid)) for pid in pids) * TICK


def _ticks(pid):
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after[11]), int(after[12])  # user, system


def memory(pid):
    """{VmRSS, VmHWM, RssAnon, …} in MiB."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest.split()[0]) * 1024 / MIB
    return found


def switches(pid):
    """{thread name: voluntary context switches}: how often each has slept and woken."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                found[f"{name} {task.name}"] = int(line.split()[1])
    return found


def pid_of(name, argument):
    """The one process of that name with `argument` on its command line."""
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(words[0].decode("utf-8", "replace")).name == name and any(
            argument.encode() in word for word in words
        ):
            return int(path.name)
    raise RuntimeError(f"no process {name} {argument}")
