# SPDX-License-Identifier: Apache-2.0
"""What is measured, envdriver and its peer, and what both need around them."""

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

import proc
from harness import avro, registry
from harness.broker import Broker
from harness.commands import command, plugin_driver
from harness.paths import BUILD, NODE, ROOT, SDK, TESTS, environment
from harness.process import children, spawn, wait_until
from harness.redis_server import Redis
from harness.topics import Topics
from harness.worker import Worker

HERE = TESTS / "bench"
WORK = ROOT / "build" / "bench"
PROGRAMS = BUILD / "bench"
PARTITIONS = 12  # as `envdriver topics create` makes them
ENVIRONMENTS = 50  # their results spread over the partitions
CONFIG = {
    "region": "local-1",
    "image": "paperclip/sandbox:2026.8",
    "cpus": 2,
    "memoryMb": 2048,
    "timeoutMs": 30000,
    "labels": {"team": "platform", "purpose": "benchmark", "owner": "nobody@example.com"},
}


class Setting:
    """A broker, a Redis, two plugins; ended by close()."""

    def __init__(self):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        self.packages = {"echo": _echo(), "sdk": _sdk()}
        self.broker = Broker(WORK / "kafka").start()
        self.redis = Redis(WORK / "redis.log").start()
        self.redis.client.config_set("appendfsync", "everysec")  # as it comes
        # A rewrite of its file in the middle of a run would hit one run and not the others.
        self.redis.client.config_set("auto-aof-rewrite-percentage", 0)
        self.broker_pid = proc.pid_of("java", str(WORK))
        self.all_topics = []

    def close(self):
        # An admin client that outlives the broker complains on standard error.
        for topics in self.all_topics:
            topics.close()
            topics.admin = None
        self.redis.discard()
        self.broker.discard()

    def topics(self):
        """A new set of topics. Records of results carry the time the broker got them."""
        topics = Topics(self.broker.bootstrap).create(commands=PARTITIONS, results=PARTITIONS)
        self.all_topics.append(topics)
        entry = ConfigEntry(
            "message.timestamp.type",
            "LogAppendTime",
            incremental_operation=AlterConfigOpType.SET,
        )
        where = ConfigResource("topic", topics.full("probe-results"), incremental_configs=[entry])
        for changed in topics.admin.incremental_alter_configs([where]).values():
            changed.result(20)
        wait_until(lambda: _answers(topics), 30, "the new topics answer")
        return topics

    def start(self, subject, plugin, topics):
        """`subject` Peer or Envdriver, on a Redis that knows nothing of earlier runs."""
        self.redis.client.flushall()
        package = self.packages[plugin]
        registry.install(self.redis.client, package)
        return subject(self, package, topics)

    def driver(self, verb, topics, count, *more):
        """What tests/bench/driver.c prints, as integers."""
        template = WORK / "commands"
        with open(template, "wb") as out:
            for _ in range(ENVIRONMENTS):
                command = one_command()
                out.write(len(command).to_bytes(4, "little") + command)
        done = subprocess.run(
            [
                PROGRAMS / "driver",
                verb,
                self.broker.bootstrap,
                topics.full("commands"),
                template,
                str(count),
                *more,
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        return [int(line) for line in done.stdout.split()]


def _answers(topics):
    """A leader is known before it knows itself."""
    try:
        return topics.ends(["commands", "probe-results"])
    except KafkaException:
        return None


def one_command():
    """Framed; each time with another id, of which the driver changes the last 12 letters."""
    plain = command(
        "Probe",
        target=plugin_driver("probe", "bench.probe"),
        companyId=str(uuid.uuid4()),
        environmentId=str(uuid.uuid4()),
        issuedBy="agent:benchmark",
        config=CONFIG,
    )
    return avro.encode_command(plain)


def _echo():
    for name in ("plugin.json", "manifest.json"):
        shutil.copy(HERE / name, PROGRAMS / name)
    return registry.package(PROGRAMS)


def _sdk():
    """Beside the SDK's node_modules: node resolves imports from a file's real place."""
    folder = SDK / "916" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "sdk-plugin", folder)
    shutil.copy(HERE / "manifest.json", folder / "manifest.json")
    return registry.package(folder)


class Envdriver:
    name = "envdriver"

    def __init__(self, setting, package, topics):
        self.group = f"envdriver-{uuid.uuid4()}"
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=WORK))
        self.worker = Worker(
            self.folder,
            config={
                "log.level": "info",
                "kafka.bootstrap.servers": setting.broker.bootstrap,
                "kafka.group.id": self.group,
                "topic.prefix": topics.prefix,
                "redis.url": setting.redis.url,
                "plugin.dirs": f"{PROGRAMS}:{SDK}",
            },
        )
        # Off, as it is when nobody asks for it.
        del self.worker.config["http.listen"]
        self.worker.start()
        self.pid = self.worker.pid

    def plugin_pids(self):
        return list(children(self.pid))

    def running(self):
        return self.worker.running

    def said(self):
        return self.worker.stderr()

    def stop(self):
        if self.worker.terminate() != 0:
            raise RuntimeError(f"envdriver did not end well: {self.said()[-2000:]}")


class Peer:
    name = "peer"

    def __init__(self, setting, package, topics):
        self.group = f"peer-{uuid.uuid4()}"
        self.stderr = Path(tempfile.mkdtemp(prefix="run-", dir=WORK)) / "stderr"
        program = [PROGRAMS / "echo"]
        if package.folder != PROGRAMS.resolve():
            program = [NODE / "node", package.folder / "worker.mjs"]
        with open(self.stderr, "wb") as stderr:
            self.process = spawn(
                [
                    PROGRAMS / "peer",
                    setting.broker.bootstrap,
                    setting.redis.socket,
                    topics.prefix,
                    self.group,
                    "bench.probe",
                    *program,
                ],
                stderr=stderr,
                env=environment(NODE_ENV="production", TZ="UTC"),
            )
        self.pid = self.process.pid

    def plugin_pids(self):
        return list(children(self.pid))

    def running(self):
        return self.process.poll() is None

    def said(self):
        return self.stderr.read_text("utf-8", "replace")

    def stop(self):
        """At once; a group member that has said goodbye is not what is measured."""
        plugins = self.plugin_pids()
        self.process.kill()
        self.process.wait(10)
        wait_until(lambda: not any(os.path.exists(f"/proc/{p}") for p in plugins), 10, "it ends")


SUBJECTS = (Peer, Envdriver)
