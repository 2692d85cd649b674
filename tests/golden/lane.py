# SPDX-License-Identifier: Apache-2.0
"""Runs planned cases one after another on one envdriver worker, and gathers what is to be seen.

Each case has a plugin id of its own, and with it a process and a count of request ids of its own.
"""

import itertools
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import TopicPartition
from harness import avro, registry
from harness.paths import BUILD, NODE, SDK, environment
from harness.process import wait_until
from harness.topics import Topics
from harness.worker import SANITIZER_OPTIONS, Worker, program

from recording import is_answer, parsed

INSTANCE = "11111111-1111-4111-8111-111111111111"  # in the recordings
TEE = Path(__file__).with_name("tee.py")
ABSENT = SDK / "916" / "absent"  # where a package would be allowed to lie
START_LIMIT = 30
CALL_LIMIT = 45
SETTLE = 3  # for what comes a moment after an answer

PLUGIN_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "NODE_ENV": "production",
    "TZ": "UTC",
    "PAPERCLIP_DEPLOYMENT_MODE": "local_trusted",
    "PAPERCLIP_DEPLOYMENT_EXPOSURE": "private",
}


@dataclass
class Seen:
    """What came of a case, still with our own ids."""

    names: dict  # our plugin ids to the recording's
    results: list = field(default_factory=list)  # for each call: plain event, or direct outcome
    stdin: list = field(default_factory=list)
    stdout: list = field(default_factory=list)
    stderr: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    record: dict = field(default_factory=dict)
    statuses: list = field(default_factory=list)
    notices: list = field(default_factory=list)
    live: list = field(default_factory=list)
    whole: list = field(default_factory=list)
    log: str = ""
    driver: object = None  # what `envdriver drivers` printed


@dataclass
class Process:
    """One start of a plugin, as the wrapper wrote it down."""

    start: dict
    stdin: list
    stdout: list
    stderr: list


class Lane:
    numbers = itertools.count(1)

    def __init__(self, case, name, settings):
        self.case, self.name = case, name
        self.dir = case.dir / name
        self.dir.mkdir()
        self.tee = self.dir / "tee"
        self.settings = settings
        self.prefix = f"{name}:"
        self.redis = case.redis.client

    def start(self):
        """From the main thread: what it starts ends with the thread that started it."""
        self.topics = Topics(self.case.bootstrap).create(commands=1, results=1, others=1)
        self.case.at_end(self.close)
        self.notices = Follower(self.case, self.topics, "plugin-events")
        self.live = Follower(self.case, self.topics, "execution-logs")
        config = {
            **self.case.config_of(self.topics),
            "redis.prefix": self.prefix,
            "plugin.wrapper": " ".join(map(str, self.wrapper())),
            **self.settings,
        }
        self.worker = Worker(self.dir, INSTANCE, config=config)
        self.case.at_end(self.worker.assert_clean)
        self.worker.start()

    def close(self):
        """All clients go, so that none complains of a broker that is gone."""
        self.topics.close()
        self.topics._producer = self.topics.admin = None

    def wrapper(self):
        return [sys.executable, "-I", "-S", "-B", TEE, self.tee]

    def ready(self):
        self.worker.wait_ready(START_LIMIT)

    # --- one case ---

    def run(self, recording, plan, expected):
        number = next(self.numbers)
        ids = {p.name: f"golden-{number}-{p.name}" for p in plan.plugins}
        seen = Seen(names={ours: theirs for theirs, ours in ids.items()})
        self.ids = ids
        log_start = len(self.worker.stderr())
        watch = None
        try:
            if any(c.command for c in plan.calls) or not plan.calls:
                watch = Watch(self, ids, seen) if expected.statuses else None
                self.install(plan)
                self.wait_for_plugins(recording, plan)
            if plan.stopped:
                self.stop(plan)
            self.make_calls(recording, plan, seen)
            if plan.stops and not self.direct(plan):
                self.stop(plan)
            if plan.provider:
                seen.driver = self.drivers(plan.provider)
            self.observe(recording, plan, expected, seen)
        finally:
            if watch:
                watch.end()
            for plugin_id in ids.values():
                self.forget(plugin_id)
        seen.log = self.worker.stderr()[log_start:]
        return seen

    @staticmethod
    def direct(plan):
        return bool(plan.calls) and not any(c.command for c in plan.calls)

    def install(self, plan):
        for plugin in plan.plugins:
            registry.install_plugin(
                self.redis,
                self.ids[plugin.name],
                registry.fixture().folder if plugin.present else ABSENT,
                plugin.manifest,
                status=plugin.status,
                order=plugin.order,
                config=plugin.config,
                prefix=self.prefix,
            )

    def forget(self, plugin_id):
        if self.redis.exists(f"{self.prefix}plugin:{plugin_id}"):
            registry.remove(self.redis, plugin_id, prefix=self.prefix)

    def wait_for_plugins(self, recording, plan):
        running = [self.ids[p.name] for p in plan.plugins if p.runs]
        if plan.starts and "start_error" in recording:
            crashed = self.notices.wait(running[0], {"type": "WORKER_CRASHED"}, START_LIMIT)
            assert crashed, "the start of the plugin did not fail"
            return
        for plugin_id in running:
            self.wait_status(plugin_id, ("running",))
        if not running:
            time.sleep(0.2)  # the registry must have been read

    def wait_status(self, plugin_id, wanted, limit=START_LIMIT):
        def what():
            return f"{plugin_id} is {' or '.join(map(str, wanted))}, it is {self.status(plugin_id)}"

        wait_until(lambda: self.status(plugin_id) in wanted, limit, what)

    def record(self, plugin_id):
        return self.redis.hgetall(f"{self.prefix}worker:{plugin_id}:{INSTANCE}")

    def record_at(self, plugin_id, status):
        """The record when its status is this; the last one when that does not come."""
        until = time.monotonic() + SETTLE
        while True:
            record = self.record(plugin_id)
            if not status or record.get("status") == status or time.monotonic() > until:
                return record
            time.sleep(0.02)

    def status(self, plugin_id):
        return self.redis.hget(f"{self.prefix}worker:{plugin_id}:{INSTANCE}", "status")

    # --- calls ---

    def make_calls(self, recording, plan, seen):
        published = []
        for call in plan.calls:
            if call.command is None:
                seen.results.append(self.call_directly(plan, call))
                continue
            target = call.command["target"] or {}
            pinned = target.get("pluginId")
            if pinned:
                target["pluginId"] = self.ids.get(pinned, pinned)
            published += self.topics.publish(call.command)
            if recording.at_once:
                self.wait_begun(recording, plan, call)
            else:
                self.topics.wait(published, CALL_LIMIT)
                if call is not plan.calls[-1]:
                    for plugin_id in self.ids.values():
                        self.wait_status(plugin_id, plan.between)
        if published:
            seen.results += [e.plain for e in self.topics.wait(published, CALL_LIMIT)]

    def wait_begun(self, recording, plan, call):
        """Until the plugin has the call and has said of it what it says first."""
        sent = recording.requests.index(call.request) + 1
        own = (call.request.get("paperclipInvocation") or {}).get("id", "-")
        told = Seen(names={})

        def begun():
            self.gather(recording, plan, told)
            ours = (parsed(told.stdin[sent - 1]) or {}) if len(told.stdin) >= sent else {}
            mine = (ours.get("paperclipInvocation") or {}).get("id", "-")
            speaks = any(own in line for line in recording.stdout)
            return bool(ours) and (not speaks or any(mine in line for line in told.stdout))

        wait_until(begun, SETTLE, "a call has begun")

    def call_directly(self, plan, call):
        plugin_id = next(iter(self.ids.values()))
        params = call.params
        line = "".join(
            json.dumps(v, ensure_ascii=False, separators=(",", ":")) + "\n"
            for v in (plan.plugins[0].manifest, params)
        )
        folder = registry.fixture().folder
        stop_ms = 300 if plan.stops else 0
        done = subprocess.run(
            # fmt: off
            [BUILD / "golden" / "call", INSTANCE, call.method, params.get("companyId", ""),
             str(call.timeout_ms or 30000), str(stop_ms), folder,
             *map(str, self.wrapper()), NODE / "node", folder / "worker.mjs"],
            # fmt: on
            input=line.encode(),
            capture_output=True,
            timeout=CALL_LIMIT,
            check=False,
            env={**PLUGIN_ENV, "PAPERCLIP_PLUGIN_ID": plugin_id},
        )
        if done.returncode != 0:
            raise AssertionError(f"call ended with {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def stop(self, plan):
        for plugin_id in self.ids.values():
            registry.set_status(self.redis, plugin_id, "disabled", prefix=self.prefix)
            self.wait_status(plugin_id, ("stopped", None))

    def drivers(self, provider):
        done = subprocess.run(
            [program(), "drivers", "--provider", provider, "--json"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=environment(ENVDRIVER_CONFIG=str(self.worker.config_path), **SANITIZER_OPTIONS),
        )
        self.case.assert_no_report(done.stderr)
        if not done.stdout.strip():
            raise AssertionError(f"envdriver drivers: {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    # --- observing ---

    def processes(self):
        """Of all plugins of the case, in the order of their starts."""
        found = []
        for plugin_id in self.ids.values():
            folders = (self.tee / plugin_id).glob("*") if self.tee.exists() else ()
            for folder in sorted(folders, key=lambda f: int(f.name)):
                parts = {name: lines(folder / name) for name in ("in", "out", "err")}
                start = json.loads((folder / "start.json").read_text("utf-8") or "{}")
                found.append(Process(start, parts["in"], parts["out"], parts["err"]))
        return found

    def gather(self, recording, plan, seen):
        processes = self.processes()
        if recording.keeps_handshake:
            processes = processes[: len(recording.get("forks"))]
        seen.starts = [p.start for p in processes]
        seen.stdin, seen.stdout, seen.stderr = [], [], []
        for process in processes:
            asked, said = select(recording, plan, process)
            seen.stdin += asked
            seen.stdout += said
            seen.stderr += process.stderr

    def observe(self, recording, plan, expected, seen):
        deadline = time.monotonic() + SETTLE
        while True:
            self.gather(recording, plan, seen)
            complete = (
                len(seen.stdin) >= len(recording.stdin)
                and len(seen.stdout) >= len(recording.stdout)
                and len(seen.stderr) >= len(recording.stderr)
            )
            if complete or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        for plugin_id in self.ids.values():
            # First what passes: a back-off is over in a second.
            seen.record = self.record_at(plugin_id, expected.status)
            for notice in expected.notices:
                self.notices.wait(plugin_id, notice, SETTLE)
            if expected.notices:
                seen.notices += self.notices.of(plugin_id)
        if recording.keeps_live:
            seen.live = self.live_output(plan, recording)
        for event in expected.events:
            if isinstance(event, dict) and event.get("finalLogRecords"):
                seen.whole = self.whole_output(event["command"]["commandId"])

    def live_output(self, plan, recording):
        ids = [c.command["commandId"] for c in plan.calls]
        wanted = sum(len(text) for _, text in recording.live)
        until = time.monotonic() + SETTLE
        while True:
            pieces = self.pieces(ids, "LIVE")
            if sum(len(text) for _, text in pieces) >= wanted or time.monotonic() > until:
                return pieces
            time.sleep(0.02)

    def whole_output(self, command_id):
        """It was committed with the result, so that it is there."""
        return self.pieces([command_id], "FINAL")

    def pieces(self, ids, origin):
        return [
            (e["stream"].lower(), e["text"])
            for e in self.live.all()
            if e["command"]["commandId"] in ids and e["origin"] == origin
        ]


def lines(path):
    """With their line ends; the last one may have none."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return []
    pieces = text.split("\n")
    found = [piece + "\n" for piece in pieces[:-1]]
    return found + [pieces[-1]] if pieces[-1] else found


def select(recording, plan, process):
    """The lines of a process that the recorder would have kept: those after the hand-shake, where
    it left that out, and none that our own end of the case or our own configuration brings."""
    skip = set() if plan.stops else {"shutdown"}
    if not recording.keeps_handshake:
        skip.add("initialize")
    told = []
    if not any("configChanged" in line for line in recording.stdin):
        skip.add("configChanged")
    dropped, hello, asked, said = set(), None, [], []
    for line in process.stdin:
        message = parsed(line)
        if message and message.get("method") in skip and "id" in message:
            dropped.add(message["id"])
            if message["method"] == "initialize":
                hello = message["id"]
            elif message["method"] == "configChanged":
                told.append(message["id"])
            continue
        asked.append(renumbered(line, told, message and "method" in message))
    shaking = hello is not None
    for line in process.stdout:
        message = parsed(line)
        answers = is_answer(message) and "method" not in message and message["id"] in dropped
        if answers and message["id"] == hello:
            shaking = False
        if not shaking and not answers:
            said.append(renumbered(line, told, is_answer(message)))
    return asked, said


def renumbered(line, told, ours):
    """Our requests that the recorder's host did not make count, too."""
    if not told or not ours:
        return line
    message = parsed(line)
    shift = sum(1 for number in told if number < message["id"])
    return line.replace(f'"id":{message["id"]}', f'"id":{message["id"] - shift}', 1)


class Follower:
    """Reads one topic as it is written, from when it is first asked on."""

    def __init__(self, case, topics, name):
        self.case, self.topics, self.name = case, topics, name
        self.records = []
        self.consumer = None

    def _open(self):
        self.consumer = self.topics.consumer(**{"fetch.wait.max.ms": 500})
        self.consumer.assign([TopicPartition(self.topics.full(self.name), 0, 0)])
        self.case.at_end(self.consumer.close)

    def all(self):
        if self.consumer is None:
            self._open()
        while True:
            messages = self.consumer.consume(1000, 0.05)
            self.records += [avro.decode(m.value())[1] for m in messages if m.error() is None]
            if not any(m.error() is None for m in messages):
                return self.records

    def of(self, plugin_id):
        return [r for r in self.all() if r["pluginId"] == plugin_id]

    def wait(self, plugin_id, wanted, limit):
        until = time.monotonic() + limit
        while True:
            for record in self.of(plugin_id):
                if all(record.get(k) == v for k, v in wanted.items()):
                    return record
            if time.monotonic() > until:
                return None


class Watch:
    """Notes each status that a plugin's record goes through."""

    def __init__(self, lane, ids, seen):
        self.over = threading.Event()
        self.lane, self.ids, self.seen = lane, ids, seen
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.over.wait(0.015):
            for plugin_id in self.ids.values():
                status = self.lane.status(plugin_id)
                if status and self.seen.statuses[-1:] != [status]:
                    self.seen.statuses.append(status)

    def end(self):
        self.over.set()
        self.thread.join()
