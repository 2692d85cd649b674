# SPDX-License-Identifier: Apache-2.0
"""A plugin is upgraded, restarted, disabled and enabled while commands run: none fails, none is
run twice."""

import shutil
import threading
import time
from collections import Counter

from harness.case import limit, short
from harness.ledger import Ledger
from harness.paths import FIXTURES
from harness.process import wait_until


class Load:
    """Executions that come without a pause."""

    def __init__(self, t, ledger, every=0.05, seconds=0.4):
        self.t, self.ledger, self.every, self.seconds = t, ledger, every, seconds
        self.records, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.wait(self.every):
            made = self.ledger.execute(f"run-{len(self.records)}", self.seconds)
            self.records += self.t.topics.publish(made)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@limit(180)
@short
def test_nothing_fails_while_a_plugin_changes(t):
    folder = t.dir / "plugins" / "ledger"
    shutil.copytree(FIXTURES / "ledger-plugin", folder)
    program = folder / "ledger.py"
    ledger = Ledger.__new__(Ledger)
    ledger.path, ledger.plugin_id, ledger.names = t.dir / "ledger.jsonl", "ledger", {}
    config = {"plugin.dirs": str(folder.parent), "plugin.start.wait": "5s"}

    def cli(*arguments, says=""):
        done = t.cli("plugin", *arguments, config=config)
        assert done.returncode == 0 and says in done.stdout + done.stderr, done
        return done

    cli("add", folder, "--id", "ledger", "--pin")
    cli("ready", "ledger")
    t.installed.append("ledger")
    worker = t.worker(config=config)
    record = "envdriver:worker:ledger:w1"

    def pid():
        return t.redis.client.hget(record, "pid")

    def changes(what, *arguments, **more):
        before = pid()
        cli(*arguments, **more)
        wait_until(lambda: pid() not in (None, before), 30, f"{what}: another worker")
        time.sleep(1)

    with Load(t, ledger) as load:
        wait_until(lambda: len(load.records) > 10, 20, "the load runs")
        changes("restart", "restart", "ledger")
        program.write_text(program.read_text("utf-8") + "# another version\n", "utf-8")
        changes("upgrade", "reload", "ledger", says="updated")
        cli("reload", "ledger", says="unchanged")
        # One that does not start leaves the old one where it is, and says why.
        good, before = program.read_text("utf-8"), pid()
        program.write_text("#!/usr/bin/python3 -SE\nraise SystemExit(7)\n", "utf-8")
        cli("reload", "ledger", says="updated")
        wait_until(
            lambda: "code=7" in (t.redis.client.hget(record, "reason") or ""), 30, worker.stderr
        )
        assert pid() == before and t.redis.client.hget(record, "status") == "running"
        # Nor does one whose files are not those that it is pinned to.
        program.write_text(good, "utf-8")
        wait_until(
            lambda: "is pinned to" in (t.redis.client.hget(record, "reason") or ""), 30, worker.stderr
        )
        assert pid() == before
        changes("put back", "reload", "ledger", says="updated")
        wait_until(lambda: not t.redis.client.hget(record, "reason"), 30, "no reason any more")
        # Disabled and enabled again: what comes meanwhile waits.
        cli("disable", "ledger")
        time.sleep(1)
        cli("ready", "ledger")
        wait_until(lambda: t.redis.client.hget(record, "status") == "running", 20, worker.stderr)
        time.sleep(1)
    events = t.topics.wait(load.records, 60)
    bad = Counter((e.status, (e.error or {}).get("message")) for e in events if e.status != "SUCCEEDED")
    assert not bad, bad
    assert len(events) > 60
    done = Counter(line["command"] for line in ledger.lines() if line["did"] == "executed")
    assert set(done.values()) == {1} and len(done) == len(events), done.most_common(3)
    assert len({line["pid"] for line in ledger.lines()}) >= 4
    # The old ones have ended.
    wait_until(lambda: worker.stderr().count("takes over from") >= 3, 10, worker.stderr)
    wait_until(lambda: worker.stderr().count(" stopped") >= 3, 20, worker.stderr)
    # What is disabled for good is refused, and says so.
    cli("disable", "ledger", says="later commands are refused")
    [event] = t.topics.wait(t.topics.publish(ledger.execute("late")), 30)
    assert event.error["code"] == "DRIVER_NOT_READY", event.plain
    t.verify()
