# SPDX-License-Identifier: Apache-2.0
"""One recorded case: what README.md says of its fields, and what follows from them."""

import json
import re
from functools import cached_property

HANDSHAKE = "initialize"
CUT = re.compile(r"…<(\d+) chars>…?")
PLACEHOLDERS = 64  # characters that they may have made a line shorter


def parsed(line):
    """The JSON-RPC message of a line; None when it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None


def is_request(message):
    return bool(message) and "method" in message and message.get("id") is not None


def is_answer(message):
    return bool(message) and "id" in message and ("result" in message or "error" in message)


class Recording:
    def __init__(self, text):
        self.text = text
        self.data = json.loads(text)
        self.name = self.data["case"]
        self.group = self.name.partition(".")[0]
        self.function = self.data["function"]
        self.input = self.data.get("input")
        self.stdin = self.data["stdin_lines"]
        self.stdout = self.data["stdout_lines"]
        self.stderr = self.data.get("stderr_lines", [])

    def get(self, field, default=None):
        return self.data.get(field, default)

    def __contains__(self, field):
        return field in self.data

    @property
    def is_older(self):
        """Of a host that knows no invocations (2026.427.0)."""
        if '"hostVersion\\":\\"2026.427.0' in self.text:
            return True
        texts = [line for line in self.stdin if '"companyId"' in line]
        return bool(texts) and not any('"paperclipInvocation"' in line for line in texts)

    @property
    def keeps_handshake(self):
        return "forks" in self.data

    @cached_property
    def requests(self):
        """What the host asked the plugin, parsed, in order. A line that was cut is not in it."""
        return [m for m in map(parsed, self.stdin) if is_request(m)]

    @cached_property
    def calls(self):
        """The requests that somebody asked the host for."""
        return [m for m in self.requests if m["method"] not in (HANDSHAKE, "shutdown")]

    def answer_of(self, request):
        """The plugin's first answer to a request of the host, or None."""
        for message in map(parsed, self.stdout):
            # The plugin numbers requests of its own; only those have a method.
            if is_answer(message) and message["id"] == request["id"]:
                return message
        return None

    def end_of(self, request):
        """How a call ended whose caller's view was not kept: as the plugin says."""
        answer = self.answer_of(request) if request else None
        if answer is None:
            return None
        if "error" in answer:
            return {"error": {"name": "JsonRpcCallError", **answer["error"]}}
        return {"result": answer["result"]}

    @cached_property
    def chunks(self):
        """The live output that the plugin sent before its answer: (stream, text)."""
        found = []
        for message in map(parsed, self.stdout):
            if is_answer(message):
                break
            if message and message.get("method") == "execute.log":
                found.append((message["params"]["stream"], message["params"]["chunk"]))
        return found

    @cached_property
    def live(self):
        """What of it came through: (stream, text)."""
        result = self.data.get("result")
        inner = result.get("onLog", []) if isinstance(result, dict) else []
        return [tuple(piece[-2:]) for piece in self.data.get("onLog", inner)]

    @property
    def keeps_live(self):
        result = self.data.get("result")
        return "onLog" in self.data or (isinstance(result, dict) and "onLog" in result)

    @cached_property
    def manifest(self):
        """That of the first hand-shake; None when the case does not keep it."""
        for request in self.requests:
            if self.keeps_handshake and request["method"] == HANDSHAKE:
                return request["params"]["manifest"]
        return None

    @property
    def outcome(self):
        """{"result": …} or {"error": …} of the function that was called."""
        for way in ("error", "result"):
            if way in self.data:
                return {way: self.data[way]}
        return None

    @cached_property
    def settled(self):
        """Cases that make several calls keep how each ended inside `result`."""
        found = []

        def look(value):
            if isinstance(value, dict) and "ms" in value and {"result", "error"} & value.keys():
                found.append({k: v for k, v in value.items() if k != "ms"})
            elif isinstance(value, dict):
                for key, inner in value.items():
                    if key != "stop":
                        look(inner)
            elif isinstance(value, list):
                for inner in value:
                    look(inner)

        look(self.data.get("result"))
        return found

    @property
    def at_once(self):
        """Its calls ran side by side: that is said, or seen in the order of the answers."""
        if isinstance(self.data.get("result"), list) and self.settled:
            return True
        ids = [c["id"] for c in self.calls]
        answers = [m["id"] for m in map(parsed, self.stdout) if is_answer(m)]
        answers = [i for i in answers if i in ids]
        return answers != sorted(answers)


def load(paths):
    return [
        Recording(line)
        for path in paths
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]


# --- what the recorder put in place of what changes from run to run ---

UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# The folder that each plugin has for temporary files; the original's have the host's.
OWN_TMPDIR = re.compile(r"/tmp/envdriver-tmp-[A-Za-z0-9]+/\d+/")
TMP = re.compile(r"(?<=paperclip-fixture-)[A-Za-z0-9]{6}(?=/|\b)")
PID = re.compile(r'"pid":\d+')
PLUGIN = re.compile(r"file://[^\s:]*?/(?=worker\.mjs)")
# Lines of Node's own sources move from release to release, those of the fixture as it grows.
FRAMES = re.compile(r"\(?(node:[\w/]+|file://<plugin>/worker\.mjs):\d+:\d+\)?")
ZEROED = ("pid", "uptime", "lastCrashAt", "nextRestartAt", "ms")


class Placeholders:
    """Writes what was observed as the recorder would have. `names`: ours to the recorder's, for
    plugin ids. What the recording itself holds literally is left alone, and so is `kept`."""

    def __init__(self, recording, names, kept=()):
        self.kept = {*UUID.findall(recording.text), *TIME.findall(recording.text), *kept}
        self.names = names
        self.numbers = {}

    def _number(self, kind, found):
        same = self.numbers.setdefault(kind, {})
        return f"<{kind}-{same.setdefault(found, len(same) + 1)}>"

    def text(self, text):
        for ours, theirs in self.names.items():
            text = text.replace(ours, theirs)
        text = UUID.sub(lambda m: self._kept(m.group(), "uuid"), text)
        text = TIME.sub(lambda m: m.group() if m.group() in self.kept else "<time>", text)
        text = OWN_TMPDIR.sub("/tmp/", text)
        text = TMP.sub(lambda m: self._number("tmp", m.group()), text)
        text = PID.sub('"pid":0', text)
        text = PLUGIN.sub("file://<plugin>/", text)
        return text

    def _kept(self, found, kind):
        return found if found in self.kept else self._number(kind, found)

    def value(self, value, key=None):
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(k): self.value(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(v) for v in value]
        return 0 if key in ZEROED and isinstance(value, int) else value


# --- comparing ---


def same_text(recorded, ours):
    """Equal; where the recorder cut a long text, both ends are. It noted the length before it
    put in placeholders."""
    cut = CUT.search(recorded)
    if not cut:
        return FRAMES.sub("node:", recorded) == FRAMES.sub("node:", ours)
    before, after = recorded[: cut.start()], recorded[cut.end() :]
    off = abs(len(ours) - int(cut.group(1)))
    return ours.startswith(before) and ours.endswith(after) and off <= PLACEHOLDERS


ANY = object()  # something is there


def differences(recorded, ours, where):
    """Lines of text, one for each place where the two are not the same."""
    if recorded is ANY:
        return [] if ours else [f"{where} is {short(ours)}"]
    if isinstance(recorded, dict) and isinstance(ours, dict):
        found = []
        for key in [*recorded, *(k for k in ours if k not in recorded)]:
            place = f"{where}.{key}"
            if key not in ours:
                found.append(f"{place} is missing; recorded: {short(recorded[key])}")
            elif key not in recorded:
                found.append(f"{place} is {short(ours[key])}; not recorded")
            else:
                found += differences(recorded[key], ours[key], place)
        return found
    if isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        return [
            line
            for i, (a, b) in enumerate(zip(recorded, ours))
            for line in differences(a, b, f"{where}[{i}]")
        ]
    if isinstance(recorded, str) and isinstance(ours, str):
        same = same_text(recorded, ours)
    else:
        same = recorded == ours and type(recorded) is type(ours)
    return [] if same else [f"{where} is {short(ours)}; recorded: {short(recorded)}"]


def short(value, limit=700):
    text = json.dumps(value, ensure_ascii=True, default=lambda _: "anything")
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
