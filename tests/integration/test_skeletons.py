# SPDX-License-Identifier: Apache-2.0
"""The skeletons that authors of plugins begin with, as packages: each is added, and does what
docs/plugins.md says of it."""

import shutil
import subprocess

from harness.case import limit
from harness.commands import command, sandbox_provider
from harness.paths import ROOT, SDK
from harness.process import wait_until

SKELETONS = ROOT / "plugins" / "skeletons"
LANGUAGES = ("python", "node", "c")


def packages(t):
    """A copy of each, as its author has it: built, and with the SDK installed."""
    folder = t.dir / "packages"
    shutil.copytree(SKELETONS, folder)
    shutil.copytree(SDK / "916" / "node_modules", folder / "node" / "node_modules", symlinks=True)
    build = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", "plugin"]
    subprocess.run([*build, "plugin.c", "command.c", "-ljansson"], cwd=folder / "c", check=True)
    return folder


def execute(language, lease, script, **more):
    operation = {"lease": {"providerLeaseId": lease}, "command": "sh", "args": ["-c", script], **more}
    return of(language, "Execute", operation)


def of(language, name, operation=None, company="acme"):
    target = sandbox_provider(f"skeleton-{language}")
    return command(name, operation, config={}, target=target, companyId=company, orderingKey="")


def live(t):
    """The commands whose output was shown while they ran."""
    events = t.topics.read_all(["execution-logs"], "read_uncommitted")
    return {e.command_id for e in events if e.value["origin"] == "LIVE"}


def run(t, *commands):
    return t.topics.wait(t.topics.publish(*commands))


@limit(90)
def test_each_does_its_work(t):
    folder = packages(t)
    config = {"plugin.dirs": str(folder)}
    for language in LANGUAGES:
        done = t.cli("plugin", "add", "--id", language, folder / language, config=config)
        assert done.returncode == 0, (language, done.stderr)
        done = t.cli("plugin", "ready", language, config=config)
        assert done.returncode == 0, (language, done.stderr)
        t.installed.append(language)
    worker = t.worker(config=config)

    for language, event in zip(LANGUAGES, run(t, *(of(name, "Probe") for name in LANGUAGES))):
        assert event.status == "SUCCEEDED" and event.value["ok"], (language, event.plain)

    acquired = run(t, *(of(name, "AcquireLease", {"runId": "r"}) for name in LANGUAGES))
    leases = {}
    for language, event in zip(LANGUAGES, acquired):
        assert event.status == "SUCCEEDED", (language, event.plain)
        leases[language] = event.value["lease"]["providerLeaseId"]

    # What a command does: (script, more of the operation) -> fields of its result.
    rows = [
        ("printf 'hello é '; cat; echo $A >&2; pwd >in-the-lease; exit 3",
         {"stdin": "from stdin", "env": {"A": "of env"}},
         {"stdout": "hello é from stdin", "stderr": "of env\n", "exitCode": 3, "timedOut": False}),
        ("cat in-the-lease >/dev/null && printf '\\377.'", {}, {"exitCode": 0}),
        ("kill -9 $$", {}, {"exitCode": None, "signal": "SIGKILL", "timedOut": False}),
        ("echo before; exec sleep 60", {"timeoutMs": 700},
         {"stdout": "before\n", "exitCode": None, "timedOut": True}),
    ]
    for script, more, want in rows:
        events = run(t, *(execute(name, leases[name], script, **more) for name in LANGUAGES))
        for language, event in zip(LANGUAGES, events):
            assert event.status == "SUCCEEDED", (language, script, event.plain)
            got = {key: event.value[key] for key in want}
            assert got == want, (language, script, got)

    # A program that is not there, and a company whose lease it is not.
    missing = {"command": "no-such-program"}
    for language in LANGUAGES:
        lease = {"lease": {"providerLeaseId": leases[language]}}
        events = run(t, of(language, "Execute", {**lease, **missing}),
                     of(language, "Execute", {**lease, "command": "true"}, company="other"))
        assert [e.error and e.error["code"] for e in events] == ["PLUGIN_ERROR"] * 2, (language, events)
        assert events[0].error["message"] == "spawn no-such-program ENOENT", (language, events[0].plain)
        assert "does not exist" in events[1].error["message"], (language, events[1].plain)

    # Output is shown while the command runs, and to release the lease ends it.
    running = [execute(name, leases[name], "echo begun; sleep 60") for name in LANGUAGES]
    records = t.topics.publish(*running)
    ids = {one["commandId"] for one in running}
    wait_until(lambda: ids <= live(t), 20, "all are heard of while they run")
    release = {name: {"providerLeaseId": leases[name], "cancelActiveWork": True} for name in LANGUAGES}
    released = run(t, *(of(name, "ReleaseLease", release[name]) for name in LANGUAGES))
    for language, event in zip(LANGUAGES, released):
        assert event.status == "SUCCEEDED", (language, event.plain)
    for language, event in zip(LANGUAGES, t.topics.wait(records)):
        assert (event.status, event.value["signal"]) == ("SUCCEEDED", "SIGKILL"), (language, event.plain)
    t.verify()
    assert not worker.metric("envdriver_plugin_bad_lines_total"), worker.stderr()
