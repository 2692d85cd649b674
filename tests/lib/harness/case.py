# SPDX-License-Identifier: Apache-2.0
"""What a test function is given, and the process that runs one.

A test is a function test_*(t) in tests/integration/test_*.py or tests/fault/test_*.py. Each runs
in a process of its own. What it takes from `t` is made when it is first asked for and ended, in
reverse order, when the test is over: workers must exit 0 on SIGTERM, without a sanitizer report,
and no process may be left.

    from harness.case import limit

    @limit(120)                       # seconds; 60 when not said
    def test_probe(t):
        t.install(t.fixture())
        t.worker()
        records = t.topics.publish(command("Probe"))
        [event] = t.topics.wait(records)
        assert event.status == "SUCCEEDED"
        t.verify()
"""

import faulthandler
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from . import avro, oracle, registry
from .broker import Broker
from .paths import environment
from .process import become_subreaper, leftovers, sanitizer_report
from .redis_server import Redis
from .topics import Topics
from .worker import SANITIZER_OPTIONS, Worker, program

LIMIT = 60
CLEAN_UP = 60


class Skip(Exception):
    """Raised by t.skip; its text is the reason."""


class TimeUp(Exception):
    pass


class Interrupted(BaseException):
    """SIGTERM of the runner: the test is over, but ends what it started."""


def limit(seconds):
    def mark(function):
        function.limit = seconds
        return function

    return mark


def short(function):
    """A fault test that `make check` runs, too; the others only run in `make check-fault`."""
    function.short = True
    return function


class Case:
    def __init__(self, folder):
        self.dir = folder
        self._at_end = []
        self._lazy = {}
        self.workers = []
        self.installed = []

    # --- servers and topics, made when first asked for ---

    def _once(self, name, make):
        if name not in self._lazy:
            self._lazy[name] = make()
        return self._lazy[name]

    @property
    def broker(self):
        """The one broker of the whole run. To break one, take own_broker."""
        folder = Path(os.environ["HARNESS_KAFKA"])
        return self._once("broker", lambda: Broker(folder).start())

    def own_broker(self, brokers=1, listeners=None, **settings):
        """A Kafka of this test, which from now on is t.broker; `listeners` as Broker has them."""
        if "broker" in self._lazy:
            raise RuntimeError("ask for own_broker before anything uses the shared one")
        settings = {key.replace("_", "."): value for key, value in settings.items()}
        broker = Broker(self.dir / "kafka", brokers, settings, listeners)
        self.at_end(broker.discard)
        self._lazy["broker"] = broker.start()
        return broker

    @property
    def bootstrap(self):
        return self.broker.bootstrap

    @property
    def redis(self):
        return self._once("redis", self._start_redis)

    def _start_redis(self, **options):
        server = Redis(self.dir / "redis.log", **options)
        self.at_end(server.discard)
        return server.start()

    @property
    def topics(self):
        """All topics of docs/schemas.md with the default partition counts; see make_topics."""
        return self._once("topics", self._create_topics)

    def make_topics(self, **counts):
        """For other partition counts: Topics.create's arguments. Before t.topics is used."""
        if "topics" in self._lazy:
            raise RuntimeError("the topics are made already")
        return self._once("topics", lambda: self._create_topics(**counts))

    def _create_topics(self, **counts):
        topics = Topics(self.bootstrap).create(**counts)
        self.at_end(topics.close)
        return topics

    # --- plugins ---

    fixture = staticmethod(registry.fixture)
    local = staticmethod(registry.local)
    package = staticmethod(registry.package)

    def install(self, package, plugin_id=None, **more):
        """Writes a package to the registry; returns its plugin id."""
        plugin_id = registry.install(self.redis.client, package, plugin_id, **more)
        self.installed.append(plugin_id)
        return plugin_id

    # --- envdriver ---

    @property
    def config(self):
        """What every envdriver of this test is told."""
        return {
            "kafka.bootstrap.servers": self.bootstrap,
            "kafka.group.id": f"{self.topics.prefix}group",
            "kafka.session.timeout.ms": "6000",
            "kafka.heartbeat.interval.ms": "500",
            "topic.prefix": self.topics.prefix,
            "redis.url": self.redis.url,
            "plugin.dirs": registry.plugin_dirs(),
            "plugin.write": str(self.dir),  # where plugins of tests say what they did
        }

    def worker(self, instance="w1", config=None, ready=True, **more):
        """A started worker; `config` is added to t.config, `more` are Worker's own."""
        worker = Worker(
            self.dir,
            instance,
            config={**self.config, **(config or {})},
            **more,
        )
        self.workers.append(worker)
        self.at_end(worker.assert_clean)
        worker.start()
        if ready:
            worker.wait_ready()
            self.wait_plugins(worker)
        return worker

    def wait_plugins(self, worker, patience=10):
        """Until its plugins run, or do not: on a busy machine one can need more than the two
        seconds that a command waits for it."""
        settled = ("running", "crashed", "backoff", "stopped")
        end = time.monotonic() + patience
        for plugin_id in self.installed:
            key = f"envdriver:worker:{plugin_id}:{worker.name}"
            while time.monotonic() < end and self.redis.client.hget(key, "status") not in settled:
                time.sleep(0.05)

    def cli(self, *arguments, input=None, timeout=30, config=None, env=None):
        """Runs `envdriver ARGUMENTS…` with this test's configuration; a CompletedProcess with
        text. A sanitizer's report in its stderr fails the test."""
        path = self.dir / "cli.conf"
        settings = {**self.config, **(config or {})}
        path.write_text("".join(f"{k} = {v}\n" for k, v in settings.items()), "utf-8")
        done = subprocess.run(
            [program(), *map(str, arguments)],
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment(ENVDRIVER_CONFIG=str(path), **SANITIZER_OPTIONS, **(env or {})),
        )
        self.assert_no_report(done.stderr)
        return done

    # --- verdicts ---

    def verify(self, quiet=0.3, without_audit=None):
        """Reads everything that this test's topics hold and asks both oracles, the one in Python
        and `envdriver audit verify`, which must agree; `quiet` is the time that a second event
        gets to appear. `without_audit` is the reason not to ask the latter. Returns the events."""
        time.sleep(quiet)
        records, events = self.topics.read_commands(), self.topics.read_all()
        assert records, "there are no commands to verify"
        if without_audit:
            print(f"audit verify is not asked: {without_audit}")
        else:
            self.expect_none(self._disagreement(records, events))
        self.expect_none(oracle.check(records, events))
        return events

    def _disagreement(self, records, events):
        """What one of the oracles sees and the other one does not."""
        seen = oracle.check_exactly_once(records, events) + oracle.check_output(events)
        url = avro.registry_url()
        config = {"schema.registry.url": url} if url else None
        done = self.cli("audit", "verify", "--json", timeout=120, config=config)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode not in (0, 1) or not rows:
            return [f"audit verify: exit {done.returncode}: {done.stderr}"]
        summary = rows.pop()["summary"]
        wrong = []
        if summary["commands"] != len(records):
            wrong.append(f"audit verify read {summary['commands']} commands of {len(records)}")
        if (done.returncode == 1) != bool(seen):
            wrong.append(f"audit verify: exit {done.returncode}, and the Python oracle sees:")
            wrong += seen + [json.dumps(row) for row in rows]
        return wrong

    @staticmethod
    def expect_none(violations):
        if violations:
            shown = "\n  ".join(violations[:20])
            raise AssertionError(f"{len(violations)} violations:\n  {shown}")

    @staticmethod
    def assert_no_report(text):
        report = sanitizer_report(text)
        if report:
            raise AssertionError(report)

    @staticmethod
    def skip(reason):
        raise Skip(reason)

    # --- the end ---

    def at_end(self, action):
        self._at_end.append(action)

    def end(self):
        """Runs the actions of at_end, last first; returns what went wrong."""
        wrong = []
        while self._at_end:
            try:
                self._at_end.pop()()
            except Exception as error:
                wrong.append(f"at the end: {error or repr(error)}")
        return wrong + leftovers()


# --- the process of one test ---


def load(path):
    """The module of a test file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions(module):
    """{name: (seconds it may take, whether it is short)} of a module's tests, in file order."""
    return {
        name: (getattr(value, "limit", LIMIT), getattr(value, "short", False))
        for name, value in vars(module).items()
        if name.startswith("test_") and callable(value)
    }


def _time_up(*_):
    raise TimeUp


def _interrupted(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted


def _run(function, case, seconds):
    """(status, text)"""
    signal.signal(signal.SIGALRM, _time_up)
    signal.alarm(seconds)
    try:
        function(case)
        return "passed", ""
    except Skip as reason:
        return "skipped", str(reason)
    except TimeUp:
        return "failed", f"took longer than {seconds} s\n{traceback.format_exc()}"
    except Interrupted:
        return "failed", "interrupted"
    except Exception as error:
        summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return "failed", f"{summary}\n{traceback.format_exc()}"
    finally:
        signal.alarm(0)


def main():
    path, name, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    become_subreaper()
    case = Case(folder)
    function = getattr(load(path), name)
    seconds = getattr(function, "limit", LIMIT)
    faulthandler.dump_traceback_later(seconds + CLEAN_UP, exit=True)
    signal.signal(signal.SIGTERM, _interrupted)
    status, text = _run(function, case, seconds)
    wrong = case.end()
    if wrong and status != "failed":
        status, text = "failed", "\n".join(wrong)
    elif wrong:
        text += "\n".join(wrong)
    print(text)
    if status == "passed":
        shutil.rmtree(folder / "kafka", ignore_errors=True)
    (folder / "result.json").write_text(json.dumps({"status": status, "text": text}), "utf-8")
    # Threads of a client library must not decide how this ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
