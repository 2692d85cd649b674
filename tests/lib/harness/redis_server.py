# SPDX-License-Identifier: Apache-2.0
"""A private redis-server on a unix socket (and on TCP when asked for).

It appends to a file before it answers, so that kill() and start() lose no acknowledged write.
"""

import shutil
import signal
import tempfile
from pathlib import Path

import redis

from .process import free_port, spawn, wait_until


class Redis:
    def __init__(self, log, tcp=False, persist=True):
        # A short path of its own: the path of a unix socket may have no more than 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="envdriver-redis-"))
        self.socket = self.folder / "redis.sock"
        self.port = free_port() if tcp else 0
        self.persist = persist
        self.log = log
        self.process = None
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}"

    def start(self):
        self.process = spawn(
            # fmt: off
            ["redis-server", "--dir", self.folder, "--unixsocket", self.socket,
             "--port", self.port, "--bind", "127.0.0.1", "--logfile", self.log,
             "--save", "", "--appendonly", "yes" if self.persist else "no",
             # With "everysec" a write may be put off, and kill -9 loses what was answered.
             "--appendfsync", "no", "--maxmemory-policy", "noeviction"]
            # fmt: on
        )
        wait_until(self._answers, 10, f"redis-server answers (its log: {self.log})")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"redis-server ended with {self.process.returncode}: see {self.log}")
        try:
            return self.client.ping()
        except redis.exceptions.RedisError:
            return False

    def stop(self):
        """A clean end; start() brings it back with its data."""
        self._end(signal.SIGCONT, signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def restart(self):
        self.kill()
        return self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def cont(self):
        self.process.send_signal(signal.SIGCONT)

    def discard(self):
        self.client.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, *signals):
        if self.process is None or self.process.poll() is not None:
            return
        for number in signals:
            self.process.send_signal(number)
        self.process.wait(10)
