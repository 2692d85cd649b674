# SPDX-License-Identifier: Apache-2.0
"""Schema registries. `Real` is Apicurio Registry (scripts/setup --check fetches it) with its
Confluent-compatible interface; `Fake` does what a test tells it to, also what no real one does."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .paths import ROOT
from .process import free_port, spawn, wait_until

MEDIA = "application/vnd.schemaregistry.v1+json"


def call(url, body=None, method=None):
    """(status, parsed JSON)"""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": MEDIA}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Registry:
    """What both offer to a test."""

    def register(self, subject, schema):
        """The id of a schema (a dict)."""
        text = json.dumps(schema)
        status, answer = call(f"{self.url}/subjects/{subject}/versions", {"schema": text})
        if status != 200:
            raise AssertionError(f"{subject}: HTTP {status} {answer}")
        return answer["id"]

    def subjects(self):
        return sorted(call(f"{self.url}/subjects")[1])


class Real(Registry):
    def __init__(self, folder):
        self.log = folder / "schema-registry.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self.process = None

    def start(self):
        jars = sorted((ROOT / "build" / "registry").glob("*-runner.jar"))
        if not jars:
            raise AssertionError("there is no schema registry; run: scripts/setup --check")
        with open(self.log, "ab") as log:
            self.process = spawn(
                [
                    "java",
                    "-Xmx256m",
                    "-XX:TieredStopAtLevel=1",
                    "-Dquarkus.http.host=127.0.0.1",
                    f"-Dquarkus.http.port={self.port}",
                    "-jar",
                    jars[0],
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, 120, "the schema registry answers")
        return self

    def _answers(self):
        time.sleep(0.2)
        if self.process.poll() is not None:
            raise AssertionError(f"the schema registry ended: {self.log.read_text()[-2000:]}")
        try:
            return call(f"{self.url}/subjects")[0] == 200
        except (OSError, ValueError):
            return False

    def schema_text(self, schema_id):
        return call(f"{self.url}/schemas/ids/{schema_id}")[1]["schema"]

    def compatibility(self, subject, level):
        answer = call(f"{self.url}/config/{subject}", {"compatibility": level}, "PUT")
        assert answer[0] == 200, answer

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


class Fake(Registry):
    """`faults` maps "GET /schemas/ids/7", "POST /subjects/S/versions", "GET" or "POST" to
    (status, body) or to a function of the handler; the most exact one counts. `delay` is seconds
    before each answer."""

    def __init__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ids = {}  # id: text of the schema
        self.by_subject = {}  # subject: ids
        self.faults = {}
        self.delay = 0
        self.requests = []  # (time, "GET /…", headers)
        self.lock = threading.Lock()
        self.server = None

    def start(self):
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry._serve(self)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_):
                pass  # a client that goes away in the middle is what we test

        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        """Connections that stand are ended at their next request."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def schema_text(self, schema_id):
        """Without a request, and whatever the faults."""
        return self.ids[schema_id]

    def put(self, schema_id, text):
        self.ids[schema_id] = text if isinstance(text, str) else json.dumps(text)

    def asked(self, what):
        return [when for when, request, _ in self.requests if request == what]

    def _serve(self, handler):
        what = f"{handler.command} {handler.path}"
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.lock:
            self.requests.append((time.monotonic(), what, dict(handler.headers)))
        time.sleep(self.delay)
        if self.server is None:  # stopped: connections that stand are worth nothing either
            handler.close_connection = True
            return
        fault = self.faults.get(what, self.faults.get(handler.command))
        if callable(fault):
            fault(handler)
        else:
            answer(handler, *(fault or self._answer(handler, body)))

    def _answer(self, handler, body):
        parts = handler.path.strip("/").split("/")
        with self.lock:
            if handler.command == "POST" and parts[0] == "subjects":
                return 200, {"id": self._add(parts[1], json.loads(body)["schema"])}
            if parts[:2] == ["schemas", "ids"] and int(parts[2]) in self.ids:
                return 200, {"schema": self.ids[int(parts[2])]}
            if parts == ["subjects"]:
                return 200, list(self.by_subject)
        return 404, {"error_code": 40403, "message": "Schema not found"}

    def _add(self, subject, text):
        known = [i for i, t in self.ids.items() if t == text]
        number = known[0] if known else max(self.ids, default=0) + 1
        self.ids[number] = text
        self.by_subject.setdefault(subject, []).append(number)
        return number


def answer(handler, status, body, media=MEDIA):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", media)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def huge(megabytes, status=200):
    """A body without a length, so that only what comes can be counted."""

    def serve(handler):
        handler.send_response(status)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(b'{"schema":"')
        for _ in range(megabytes):
            handler.wfile.write(b"x" * (1 << 20))
        handler.wfile.write(b'"}')

    return serve


def drip(handler):
    """One byte a second, for a minute."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    for _ in range(60):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(1)


