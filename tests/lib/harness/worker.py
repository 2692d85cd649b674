# SPDX-License-Identifier: Apache-2.0
"""An envdriver worker under test."""

import http.client
import os
import re
import signal
from dataclasses import dataclass
from functools import cache

from .paths import BUILD, ROOT, TSAN_OPTIONS, VALGRIND, environment
from .process import free_port, sanitizer_report, spawn, wait_until

SANITIZER_EXIT = 99

# Any report ends the program with an exit code that it has for nothing else.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:detect_leaks=1:abort_on_error=0",
    "LSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}",
    "UBSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"exitcode={SANITIZER_EXIT}:{TSAN_OPTIONS}",
}


def program(build=None):
    """The binary of the variant under test, or of the one named ("release")."""
    path = (BUILD.parent / build if build else BUILD) / "envdriver"
    if not path.exists():
        raise AssertionError(f"{path} is not built; run: make SAN=address DEVELOPER=1 all")
    return path


@cache
def _messages():
    """The sources, with literals that go on in the next line joined."""
    sources = (ROOT / "src").rglob("*.c")
    return [re.sub(r'"\s*\n\s*"', "", source.read_text("utf-8")) for source in sources]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict
    body: str


class Worker:
    """`config` are settings of the configuration file, `options` more arguments, `env` more
    variables (ENVDRIVER_CRASH_AT, say), `before` a command that runs it (prlimit, say)."""

    def __init__(
        self, folder, instance="w1", config=None, options=(), env=None, build=None, before=()
    ):
        self.name = instance
        self.port = free_port()
        self.stderr_path = folder / f"{instance}.stderr"
        self.config_path = folder / f"{instance}.conf"
        self.options = list(options)
        self.env = env or {}
        self.build = build
        self.before = list(before)
        self.process = None
        self.checked = False
        self.config = {
            "instance.id": instance,
            "http.listen": f"127.0.0.1:{self.port}",
            "log.format": "text",
            "log.level": "debug",
            **(config or {}),
        }

    # --- its life ---

    def start(self):
        """Starts it; may be called again after its end, for a restart under the same id."""
        text = "".join(f"{key} = {value}\n" for key, value in self.config.items())
        self.config_path.write_text(text, "utf-8")
        with open(self.stderr_path, "ab") as stderr:
            self.process = spawn(
                [
                    *self.before,
                    *(VALGRIND if "HARNESS_VALGRIND" in os.environ else ()),
                    program(self.build),
                    "worker",
                    "-c",
                    self.config_path,
                    *self.options,
                ],
                stdout=stderr,
                stderr=stderr,
                env=environment(**{**SANITIZER_OPTIONS, **self.env}),
            )
        self.checked = False
        return self

    def wait_ready(self, timeout=20):

        def what():
            return f"{self.name} is ready; it says: {self.ready_text()}"

        wait_until(self.is_ready, timeout, what)
        return self

    def is_ready(self):
        self.assert_running()
        return self.ready_status() == 200

    def ready_status(self):
        """Of /readyz; None when nobody answers."""
        try:
            return self.get("/readyz", timeout=2).status
        except OSError:
            return None

    def ready_text(self):
        try:
            return self.get("/readyz", timeout=2).body.strip()
        except OSError as error:
            return str(error)

    def assert_running(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"{self.name} ended with {self.process.returncode}: {self.stderr()[-2000:]}"
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def terminate(self, timeout=30):
        """SIGTERM; returns the exit code, and expects nothing of it."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """As a power cut: SIGKILL."""
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def cont(self):
        self.process.send_signal(signal.SIGCONT)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=30):
        """Its exit code (negative: the signal that ended it)."""
        return self.process.wait(timeout)

    # --- what it says ---

    def get(self, path, timeout=5, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
            return Reply(answer.status, dict(answer.getheaders()), body)
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from error
        finally:
            connection.close()

    def metric(self, name):
        """Sum over the samples of a metric in /metrics; None when it has none."""
        values = [
            float(line.rpartition(" ")[2])
            for line in self.get("/metrics").body.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return sum(values) if values else None

    def stderr(self):
        try:
            return self.stderr_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def assert_not_said(self, text):
        """That one of our messages is not in its log. The text must be one of the sources, or a
        message in other words would pass."""
        assert any(text in source for source in _messages()), f"no message of ours: {text!r}"
        assert text not in self.stderr(), f"{self.name}: {text!r}: {self.stderr()[-2000:]}"

    # --- the end of a test ---

    def assert_clean(self, timeout=30):
        """Ends it if it still runs (then it must exit 0) and looks for a sanitizer's report."""
        if self.checked or self.process is None:
            return
        self.checked = True
        was_running = self.running
        if was_running:
            self.cont()
            try:
                code = self.terminate(timeout)
            except Exception:
                self.kill()
                raise AssertionError(f"{self.name} did not end within {timeout} s of SIGTERM")
        report = sanitizer_report(self.stderr())
        if report:
            raise AssertionError(f"{self.name}: {report}")
        if self.process.returncode == SANITIZER_EXIT:
            raise AssertionError(f"{self.name} ended with a sanitizer's exit code")
        if was_running and code != 0:
            raise AssertionError(f"{self.name} exit code {code} after SIGTERM")
