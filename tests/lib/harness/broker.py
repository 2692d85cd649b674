# SPDX-License-Identifier: Apache-2.0
"""A real Kafka, by scripts/kafka. start() is idempotent: what does not run is started."""

import shutil
import subprocess

from .paths import ROOT


class Broker:
    """`listeners`: {NAME: security protocol}, beside the plain one; see address()."""

    def __init__(self, folder, brokers=1, settings=None, listeners=None):
        self.folder = folder
        self.brokers = brokers
        self.settings = settings or {}
        self.listeners = listeners or {}
        self.bootstrap = None

    def start(self):
        options = ["--brokers", str(self.brokers)]
        for key, value in self.settings.items():
            options += ["--set", f"{key}={value}"]
        for name, protocol in self.listeners.items():
            options += ["--listener", f"{name}:{protocol}"]
        self.bootstrap = self._run("start", *options)
        return self

    def address(self, listener):
        return self._run("address", listener)

    def restart(self):
        """Starts what a fault killed; data and addresses are as before."""
        return self.start()

    def stop(self, clean=True):
        self._run("stop", *([] if clean else ["--now"]))

    def discard(self):
        """Ends it and removes its data; the logs of a failed test are kept by the caller."""
        self.stop(clean=False)
        for data in self.folder.glob("*/data"):
            shutil.rmtree(data, ignore_errors=True)

    def kill(self, number=1):
        self._run("kill", str(number))

    def pause(self, number=1):
        self._run("pause", str(number))

    def cont(self, number=1):
        self._run("cont", str(number))

    def _run(self, verb, *arguments):
        done = subprocess.run(
            [ROOT / "scripts" / "kafka", verb, *arguments, "--dir", self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=150,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"scripts/kafka {verb}: {done.stderr.strip()}")
        return done.stdout.strip()
