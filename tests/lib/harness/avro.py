# SPDX-License-Identifier: Apache-2.0
"""Avro as the project's records have it, with fastavro: single-object framing and plain JSON.

Times stay integers (milliseconds), so that they can be compared. In records a union of several
records holds {"type": NAME, …}, in Avro as in plain JSON.
"""

import base64
import functools
import io
import json
from datetime import datetime, timezone

import fastavro
from fastavro.schema import fingerprint as avro_fingerprint
from fastavro.schema import to_parsing_canonical_form

from .paths import SCHEMAS

MARKER = b"\xc3\x01"
ID_MARKER = b"\x00"
ID_FRAME = 5
FRAME = 10  # marker and fingerprint


def names():
    """Every record that has a schema file."""
    return sorted(path.stem for path in SCHEMAS.glob("*.avsc"))


@functools.cache
def schema_json(name):
    return json.loads((SCHEMAS / f"{name}.avsc").read_text("utf-8"))


@functools.cache
def fingerprint(name):
    """CRC-64-AVRO in wire order."""
    canonical = to_parsing_canonical_form(schema_json(name))
    return bytes.fromhex(avro_fingerprint(canonical, "CRC-64-AVRO"))


@functools.cache
def _by_fingerprint():
    return {fingerprint(name): name for name in names()}


def _without_logical_types(node):
    if isinstance(node, dict):
        return {k: _without_logical_types(v) for k, v in node.items() if k != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    return node


@functools.cache
def _parsed(name):
    return fastavro.parse_schema(_without_logical_types(schema_json(name)))


# --- bytes ---


def encode(name, record):
    """Frame and datum. `record` is as decode returns it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _parsed(name), _walk(name, record, _TO_FASTAVRO), strict=True)
    return MARKER + fingerprint(name) + out.getvalue()


def datum(schema, record):
    """Bytes of a record (in fastavro's form) of any schema, without a frame."""
    out = io.BytesIO()
    parsed = fastavro.parse_schema(_without_logical_types(schema))
    fastavro.schemaless_writer(out, parsed, record)
    return out.getvalue()


def id_frame(schema_id):
    return ID_MARKER + schema_id.to_bytes(4, "big")


_schema_text = _registry_url = None


def use_registry(registry):
    """Values that are framed with an id are decoded with what this schema registry knows, from
    now on and in this process."""
    global _schema_text, _registry_url
    _schema_text, _registry_url = registry.schema_text, registry.url
    _registered.cache_clear()


def registry_url():
    """Of the registry in use, or None."""
    return _registry_url


@functools.cache
def _registered(schema_id):
    if _schema_text is None:
        raise ValueError(f"framed with id {schema_id}, and there is no registry")
    schema = _without_logical_types(json.loads(_schema_text(schema_id)))
    return schema["name"], fastavro.parse_schema(schema)


def _decode_by_id(data):
    """By the writer's schema, as ours: fastavro resolves one to the other."""
    name, writer = _registered(int.from_bytes(data[1:ID_FRAME], "big"))
    stream = io.BytesIO(data[ID_FRAME:])
    record = fastavro.schemaless_reader(
        stream,
        writer,
        _parsed(name),
        return_record_name=True,
        return_record_name_override=True,
    )
    if stream.read(1):
        raise ValueError(f"{name}: bytes after the datum")
    return name, _walk(name, record, _FROM_FASTAVRO)


def decode(data):
    """(record name, record). ValueError when the frame is not one of ours or bytes are left."""
    if data[:1] == ID_MARKER:
        return _decode_by_id(data)
    if data[:2] != MARKER:
        raise ValueError(f"does not start with c3 01: {data[:FRAME].hex(' ')}")
    name = _by_fingerprint().get(data[2:FRAME])
    if name is None:
        raise ValueError(f"unknown fingerprint {data[2:FRAME].hex()}")
    stream = io.BytesIO(data[FRAME:])
    record = fastavro.schemaless_reader(
        stream, _parsed(name), return_record_name=True, return_record_name_override=True
    )
    if stream.read(1):
        raise ValueError(f"{name}: {len(data) - FRAME - stream.tell() + 1} bytes after the datum")
    return name, _walk(name, record, _FROM_FASTAVRO)


def encode_command(plain):
    """A command in plain JSON form (commands.command makes them) to framed bytes."""
    return encode("EnvironmentCommand", from_plain("EnvironmentCommand", plain))


def decode_event(data):
    return decode(data)


# --- the plain JSON form ---


def from_plain(name, plain):
    """Plain JSON to a record: times, JSON text and bytes as Avro has them, defaults filled in.
    JSON text that is given as a str is taken as it is, so that a test can send a bad one."""
    return _walk(name, plain, _FROM_PLAIN)


def to_plain(name, record):
    """A record to plain JSON."""
    return _walk(name, record, _TO_PLAIN)


def without_nulls(plain):
    """A field that may be null may be left out: the form to compare in."""
    if isinstance(plain, dict):
        return {k: without_nulls(v) for k, v in plain.items() if v is not None}
    if isinstance(plain, list):
        return [without_nulls(item) for item in plain]
    return plain


def time_text(milliseconds):
    at = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + f".{milliseconds % 1000:03d}Z"


def time_value(given):
    if isinstance(given, int):
        return given
    at = datetime.fromisoformat(given.replace("Z", "+00:00"))
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


# --- one walk over a schema, four ways to change what is found ---


class _Change:
    """What a walk does at the places where the forms differ; the default is nothing."""

    fill_defaults = False

    def time(self, value):
        return value

    def bytes(self, value):
        return value

    def json(self, value):
        return value

    def branch_in(self, value):
        """(name of the record, record) of a union of several records."""
        return value["type"], {k: v for k, v in value.items() if k != "type"}

    def branch_out(self, name, record):
        return {"type": name, **record}


class _FromPlain(_Change):
    fill_defaults = True

    def time(self, value):
        return time_value(value)

    def bytes(self, value):
        return base64.b64decode(value)

    def json(self, value):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _ToPlain(_Change):
    def time(self, value):
        return time_text(value)

    def bytes(self, value):
        return base64.b64encode(value).decode()

    def json(self, value):
        return json.loads(value)


class _ToFastavro(_Change):
    fill_defaults = True  # what a writer of an older schema leaves out

    def branch_out(self, name, record):
        return (f"envdriver.{name}", record)


class _FromFastavro(_Change):
    def branch_in(self, value):
        return value[0].rpartition(".")[2], value[1]


_FROM_PLAIN, _TO_PLAIN = _FromPlain(), _ToPlain()
_TO_FASTAVRO, _FROM_FASTAVRO = _ToFastavro(), _FromFastavro()


def _walk(name, value, change):
    return _Walk(change).node(schema_json(name), value, name)


class _Walk:
    def __init__(self, change):
        self.change = change
        self.named = {}

    def node(self, schema, value, where):
        if isinstance(schema, str):
            schema = self.named.get(schema.rpartition(".")[2], {"type": schema})
        if isinstance(schema, list):
            return self.union(schema, value, where)
        kind = schema["type"]
        if kind == "record":
            return self.record(schema, value, where)
        if kind == "array":
            return [self.node(schema["items"], v, f"{where}[{i}]") for i, v in enumerate(value)]
        if kind == "enum":
            self.named[schema["name"]] = schema
        if schema.get("logicalType") == "timestamp-millis":
            return self.change.time(value)
        if kind == "bytes":
            return self.change.bytes(value)
        return value

    def record(self, schema, value, where):
        self.named[schema["name"]] = schema
        known = {field["name"] for field in schema["fields"]}
        for extra in value.keys() - known:
            raise ValueError(f"{where}: no field {extra!r} in {schema['name']}")
        out = {}
        for field in schema["fields"]:
            self.learn(field["type"])
            place = f"{where}.{field['name']}"
            if field["name"] in value:
                out[field["name"]] = self.field(field, value[field["name"]], place)
            elif not (self.change.fill_defaults and "default" in field):
                raise ValueError(f"{place} is missing")
            else:
                out[field["name"]] = field["default"]
        return out

    def field(self, field, value, where):
        if is_json_text(field) and value is not None:
            return self.change.json(value)
        return self.node(field["type"], value, where)

    def union(self, branches, value, where):
        if value is None:
            return None
        kinds = [self.resolve(b) for b in branches if b != "null"]
        records = [k for k in kinds if isinstance(k, dict) and k.get("type") == "record"]
        if len(records) < 2:
            return self.node(kinds[0], value, where)
        name, record = self.change.branch_in(value)
        for branch in records:
            if branch["name"] == name:
                return self.change.branch_out(name, self.record(branch, record, f"{where}.{name}"))
        raise ValueError(f"{where}: no record {name!r}")

    def resolve(self, schema):
        if isinstance(schema, str):
            return self.named.get(schema.rpartition(".")[2], schema)
        return schema

    def learn(self, schema):
        """A named type is defined at its first use, which a null there would hide from us."""
        if isinstance(schema, list):
            for branch in schema:
                self.learn(branch)
        elif isinstance(schema, dict):
            if schema["type"] in ("record", "enum"):
                self.named[schema["name"]] = schema
                for field in schema.get("fields", ()):
                    self.learn(field["type"])
            elif schema["type"] == "array":
                self.learn(schema["items"])


def is_json_text(field):
    """The schemas say so in the field's doc: "JSON object …", "Realize: JSON value"."""
    doc = field.get("doc", "")
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    first = doc.removeprefix("Realize: ")
    return "string" in types and first.startswith(
        ("JSON object", "JSON value", "JSON array", "JSON Schema")
    )
