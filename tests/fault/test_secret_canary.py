# SPDX-License-Identifier: Apache-2.0
"""A secret that a plugin was given is nowhere, however the plugin tells it: not in a record of any
topic, not in a log, a page, Redis, or a file. Only the plugin's own state is its own."""

import importlib.util
import json
import os
import re
import socket
import threading
import time

from harness import registry
from harness.case import limit, short
from harness.commands import command, plugin_driver
from harness.paths import BUILD, FIXTURES
from harness.process import wait_until
from harness.topics import TOPICS

SECRET = 'Zq7-canary "w8Kd"/+ é\\vX%25\nsecond-line-9fPq3Lm Rt5xT2\nthird-Yb2Nc8Wk4Hs6Jg1Df'
TARGET = plugin_driver("leaky", "leaky.envdriver")
KEY = {"type": "secret_ref", "secretId": "canary"}
SHORT = {"type": "secret_ref", "secretId": "short"}
WINDOW = 12
WAYS = "stderr log noise garbage events activity streams metrics span state".split()


def load_plugin():
    path = FIXTURES / "leaky-plugin" / "leaky.py"
    spec = importlib.util.spec_from_file_location("leaky", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needles(forms):
    """Parts of every form, so that no part of twice their length is anywhere unseen. What base64
    makes of the bytes beside the secret is not the secret's."""
    found = set()
    for name, text in forms.items():
        core = text[4:-5] if name.startswith("base64") else text
        core = text[12:-8] if name == "of json" else core
        for line in re.split(r"[\r\n]+", core):
            found.update(line[i : i + WINDOW] for i in range(0, len(line) - WINDOW + 1, WINDOW))
    # What JSON makes of them once more; and some are a form's own punctuation.
    found |= {json.dumps(one)[1:-1] for one in found}
    return {one.encode() for one in found}


class Monitor:
    """All that is written to Redis."""

    def __init__(self, path):
        self.data = bytearray()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(b"MONITOR\r\n")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while block := self.socket.recv(1 << 20):
            self.data += block

    def text(self):
        """Without what the plugin stores as its state."""
        lines = bytes(self.data).split(b"\r\n")
        kept = [line for line in lines if b"envdriver:state:" not in line]
        assert len(kept) < len(lines), "the state was never written"
        # As Redis writes a byte that is not ASCII, and a quotation mark.
        return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), b"\n".join(kept))


class Canary:
    def __init__(self, t):
        self.t = t
        self.plugin = load_plugin()
        self.needles = needles(self.plugin.forms(SECRET))
        self.places = 0

    def look(self, where, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.places += 1
        for found in [one for one in self.needles if one in data]:
            at = data.find(found)
            raise AssertionError(f"{where} shows {found!r}: {data[max(0, at - 200) : at + 100]!r}")

    def look_at_topics(self):
        masked = 0
        for m in self.t.topics._read(tuple(TOPICS), "read_uncommitted"):
            headers = b"".join(k.encode() + b"=" + (v or b"") + b"\n" for k, v in m.headers() or ())
            data = (m.key() or b"") + b"\n" + (m.value() or b"") + b"\n" + headers
            masked += data.count(b"***")
            self.look(f"{m.topic()} {m.partition()}/{m.offset()}", data)
        assert masked > 100, masked

    def look_at_files(self, folder, but):
        for path in folder.rglob("*"):
            if path.is_file() and not any(one in str(path) for one in but):
                self.look(path, path.read_bytes())


def start(t, **more):
    folder = t.dir / "given" / "company-1"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    for name, value in ("canary", SECRET), ("short", "lease-77"):
        (folder / name).write_text(value + "\n", "utf-8")
        (folder / name).chmod(0o600)
    t.install(registry.package(FIXTURES / "leaky-plugin"))
    config = {"secrets.dir": str(folder.parent), "plugin.call.timeout": "2s"}
    return t.worker(config=config, **more)


def leak(operation="Probe", fields=None, key=True, **config):
    config = {"key": KEY, **config} if key else config
    return command(operation, fields, target=TARGET, config=config, orderingKey="one")


@limit(150)
@short
def test_no_form_of_a_secret_gets_out(t):
    canary, monitor = Canary(t), Monitor(t.redis.socket)
    worker = start(t)
    destroyed = t.dir / "given" / "destroyed"

    def run(*commands, timeout=60):
        return t.topics.wait(t.topics.publish(*commands), timeout)

    def end(event):
        return event.status, (event.error or {}).get("code")

    ok = ("SUCCEEDED", None)
    [told, same, failed] = run(leak(tell=WAYS), leak(tell=["same"]), leak(error=True))
    assert end(told) == ok and "***" in told.plain["summary"], told.plain
    assert same.plain["summary"] == "True", "state does not come back as it was given"
    assert failed.status == "FAILED" and "***" in failed.error["message"], failed.plain

    got = run(
        leak("Execute", pieces=1),
        leak("Execute", pieces=9, bytes=True),
        leak("Execute", pieces=90),
        leak("Execute", {"timeoutMs": 60000}, huge=8500000),
        leak("ValidateConfig"),
    )
    assert [one.status for one in got[:4]] == ["SUCCEEDED"] * 4, got

    # A lease whose id shows the secret is of no use, and does not stay.
    id_and_place = {"lease": "lease {key}", "destroyed": str(destroyed)}
    by_chance = leak("AcquireLease", lease="lease-77-1", short=SHORT)
    [bad, fine] = run(leak("AcquireLease", **id_and_place), by_chance)
    assert end(bad) == ("FAILED", "BAD_RESPONSE"), bad.plain
    assert fine.plain["lease"]["providerLeaseId"] == "lease-77-1", fine.plain
    wait_until(destroyed.exists, 30, "the lease is destroyed")
    assert json.loads(destroyed.read_text("utf-8")) == f"lease {SECRET}"
    assert t.redis.client.hlen("envdriver:orphans") == 0

    # Time-outs: what was begun is cut, what comes late is late.
    late = leak("Execute", pieces=7, cut=9, lateMs=3000, tell=["stderr"])
    [one] = run(late)
    assert end(one) == ("FAILED", "TIMEOUT"), one.plain
    [one] = run(leak("AcquireLease", lateMs=3000, **id_and_place))
    assert end(one) == ("FAILED", "TIMEOUT"), one.plain
    both = lambda: destroyed.read_text("utf-8").count("\n") == 2
    wait_until(both, 30, "the late lease is destroyed")

    # The worker knows it for its life, also in a call that has no secret.
    [one] = run(leak(key=False, tell=WAYS))
    assert end(one) == ok and "***" in one.plain["summary"], one.plain
    for page in ("/metrics", "/status", "/readyz", "/healthz"):
        canary.look(page, worker.get(page).body)
    children = f"/proc/{worker.pid}/task/{worker.pid}/children"
    for pid in [str(worker.pid), *open(children, encoding="utf-8").read().split()]:
        for name in ("cmdline", "environ"):
            canary.look(f"{pid} {name}", open(f"/proc/{pid}/{name}", "rb").read())

    [one] = run(leak(exit=5, tell=["stderr"]))
    assert one.status == "FAILED" and "***" in one.error["message"], one.plain
    time.sleep(0.5)
    worker.terminate()
    log = worker.stderr()
    assert log.count("***") > 50, log
    canary.look("the log", log)
    canary.look("Redis", monitor.text())
    canary.look_at_topics()
    canary.look_at_files(t.dir, but=["/given/", "redis"])
    assert not [p for p in os.listdir(".") if p.startswith("core")]
    print(f"{canary.places} places, {len(canary.needles)} needles")
    t.verify(without_audit="the worker has ended")


def started(worker):
    return len(re.findall(r"worker \d+ runs", worker.stderr()))


@limit(90)
@short
def test_many_secrets_make_a_new_process(t):
    """What one process can be given is limited; another one takes over before that."""
    worker = start(t)
    folder = t.dir / "given" / "company-1"
    for number in range(10):
        names = [f"s{number}-{i}" for i in range(180)]
        for name in names:
            (folder / name).write_text(f"value of {name}", "utf-8")
        keys = [{"type": "secret_ref", "secretId": name} for name in names]
        [one] = t.topics.wait(t.topics.publish(leak(key=False, keys=keys)))
        assert one.status == "SUCCEEDED", (number, one.plain)
        if number % 5 == 4:
            runs = 2 + number // 5
            wait_until(lambda: started(worker) >= runs, 30, "a successor runs")
    t.verify()


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@limit(60)
@short
def test_memory_is_closed_to_others(t):
    """Processes of the same user, which plugins are, cannot read the worker's environment and
    memory. A superuser can, so the worker is not one here."""
    before = NOBODY if os.geteuid() == 0 else ()
    if not (BUILD.parent / "release" / "envdriver").exists():
        t.skip("the release build is not there; the sanitizers look into memory themselves")
    t.install(registry.package(FIXTURES / "leaky-plugin"))
    if before:
        t.redis.folder.chmod(0o755)
        t.redis.socket.chmod(0o777)
    worker = t.worker(build="release", before=before)
    wanted = leak(key=False, memory=worker.pid), leak(key=False, memory="self")
    [closed, own] = t.topics.wait(t.topics.publish(*wanted))
    assert own.plain["summary"] == '["environ", "mem", "maps"]', own.plain
    assert closed.plain["summary"] == "[]", closed.plain
    if not before:
        for name in ("environ", "maps"):
            try:
                open(f"/proc/{worker.pid}/{name}", "rb").read(1)
                raise AssertionError(f"/proc/PID/{name} can be read")
            except PermissionError:
                pass
