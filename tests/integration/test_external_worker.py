# SPDX-License-Identifier: Apache-2.0
"""A worker that somebody else runs: envdriver connects to its socket, and the same rules hold as
for a child."""

import json
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from harness.case import limit
from harness.commands import command, plugin_driver
from harness.paths import FIXTURES
from harness.process import wait_until

MANIFEST = {
    "id": "acme.external",
    "apiVersion": 1,
    "version": "1.0.0",
    "capabilities": ["environment.drivers.register"],
    "environmentDrivers": [
        {
            "driverKey": "ext",
            "kind": "environment_driver",
            "displayName": "External",
            "configSchema": {"type": "object"},
        }
    ],
}
TARGET = plugin_driver("ext", "acme.external")


class External:
    """The process, and its record in Redis with a heartbeat."""

    def __init__(self, t, path, name="somewhere"):
        self.client, self.path = t.redis.client, path
        self.key = f"envdriver:worker:ext:{name}"
        self.process, self.over = None, threading.Event()
        self.start()
        t.at_end(self.end)
        threading.Thread(target=self._beat, daemon=True).start()

    def start(self):
        program = FIXTURES / "external-worker" / "external.py"
        self.process = subprocess.Popen([program, self.path])
        wait_until(self.listens, 10, "it listens")
        self.write()

    def listens(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.path)) == 0

    def write(self, **more):
        fields = {"status": "running", "endpoint": f"unix:{self.path}", "pid": self.process.pid}
        self.client.hset(self.key, mapping={**fields, **more})
        self.client.pexpire(self.key, 15000)

    def _beat(self):
        while not self.over.wait(2):
            self.client.pexpire(self.key, 15000)

    def end(self):
        self.over.set()
        self.process.kill()
        self.process.wait()


def short_folder(t):
    """The path of a socket has little room."""
    folder = Path(tempfile.mkdtemp(prefix="ext-"))
    t.at_end(lambda: shutil.rmtree(folder))
    return folder


def register(t, **more):
    client = t.redis.client
    fields = {"pluginKey": "acme.external", "status": "ready", "manifest": json.dumps(MANIFEST)}
    client.hset("envdriver:plugin:ext", mapping={**fields, **more})
    client.set("envdriver:plugin-key:acme.external", "ext")
    client.zadd("envdriver:plugins", {"ext": 1})


def execute(what="id", **fields):
    fields = {"command": what, "lease": {"providerLeaseId": "l"}, **fields}
    return command("Execute", fields, target=TARGET, orderingKey="")


def one(t, *arguments, **more):
    [event] = t.topics.wait(t.topics.publish(execute(*arguments, **more)))
    return event


@limit(150)
def test_external_worker(t):
    base = short_folder(t)
    external = External(t, base / "s")
    register(t)
    config = {
        "plugin.dirs": str(base),
        "plugin.start.wait": "10s",
        "plugin.call.timeout.Probe": "1500ms",
    }
    first = t.worker("w1", config=config)
    t.worker("w2", config=config)  # two on one socket
    records = t.topics.publish(*(execute() for _ in range(20)))
    for event in t.topics.wait(records):
        assert (event.status, event.value["stdout"]) == ("SUCCEEDED", str(external.process.pid)), event.plain
    assert {e.value["trace"]["instanceId"] for e in t.topics.wait(records)} == {"w1", "w2"}
    # Its record is its own, and no other one is written.
    keys = [k for k in t.redis.client.keys("envdriver:worker:ext:*")]
    assert keys == [external.key] and t.redis.client.hget(external.key, "incarnation") is None
    # One that hangs ends by its time limit, and holds up no other.
    hung = t.topics.publish(command("Probe", target=TARGET, orderingKey="", config={"hang": True}))
    assert one(t).status == "SUCCEEDED"
    [event] = t.topics.wait(hung, 60)
    assert event.error["code"] == "TIMEOUT", event.plain
    assert one(t, "garbage").value["stdout"] == str(external.process.pid)
    # It cuts the connection, or dies, in a call: as a child that died.
    for what in ("cut", "die"):
        event = one(t, what)
        assert event.error["code"] == "WORKER_UNAVAILABLE" and event.error["mayHaveRun"], event.plain
        assert "connection to the external worker ended" in event.error["message"], event.plain
        if what == "die":
            external.process.wait()
            external.start()
        event = one(t)
        assert (event.status, event.value["stdout"]) == ("SUCCEEDED", str(external.process.pid)), event.plain
    # It outlives the workers that use it.
    assert first.terminate() == 0
    assert external.process.poll() is None and one(t).status == "SUCCEEDED"
    assert t.redis.client.hget(external.key, "status") == "running"
    t.verify()


@limit(120)
def test_endpoints_that_are_not_connected_to(t):
    base, outside = short_folder(t), short_folder(t)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(outside / "s"))
    listener.listen(1)
    (base / "link").symlink_to(outside / "s")
    (base / "folder").symlink_to(outside)
    (base / "file").write_text("", "ascii")
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(base / "deaf"))
    register(t)
    rows = {
        f"unix:{outside / 's'}": "is not inside any directory of plugin.dirs",
        f"unix:{base / 'folder' / 's'}": "is not inside any directory of plugin.dirs",
        f"unix:{base / 'link'}": "is not a socket",
        f"unix:{base / 'file'}": "is not a socket",
        f"unix:{base / 'gone'}": "No such file or directory",
        "tcp:127.0.0.1:1": "is not unix:/path",
        "unix:relative": "is not unix:/path",
        f"unix:{base / 'deaf'}": "Connection refused",
    }
    config = {"plugin.dirs": str(base), "plugin.start.wait": "100ms", "plugin.start.timeout": "1s"}
    key = "envdriver:worker:ext:w1"  # as if it were for this instance alone
    t.redis.client.hset(key, mapping={"status": "running", "endpoint": "unix:/"})
    worker = t.worker(config=config)
    for endpoint, text in rows.items():
        t.redis.client.hset(key, "endpoint", endpoint)
        wait_until(lambda: text in worker.get("/status").body, 20, lambda: worker.get("/status").body)
        event = one(t)
        assert event.error["code"] == "NO_RUNNING_WORKER", (endpoint, event.plain)
    # Nobody came to the one outside.
    listener.settimeout(0.2)
    try:
        listener.accept()
        raise AssertionError("it was connected to")
    except TimeoutError:
        pass
    t.verify()
