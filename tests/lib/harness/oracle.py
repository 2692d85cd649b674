# SPDX-License-Identifier: Apache-2.0
"""What a read_committed reader may rely on, checked from outside.

Each check takes the records of the command topic and the events of the other topics, and returns
what is wrong as lines of text; an empty list is the good answer.
"""

import hashlib
from collections import defaultdict

from . import commands


def check(records, events):
    """Everything below."""
    return (
        check_exactly_once(records, events)
        + check_order(records, events)
        + check_shape(records, events)
        + check_output(events)
    )


def describe(record):
    what = f"command {record.command_id}" if record.command else "no command"
    return f"{record.topic}[{record.partition}]@{record.offset} ({what})"


def _place(event):
    return f"{event.topic}[{event.partition}]@{event.offset} ({event.name} {event.status})"


# --- exactly one final event ---


def check_exactly_once(records, events):
    """Every command record has exactly one final event, found by its source position; every final
    event names a record and its command; of several records with one id, one was served and each
    other one is a dead letter that names it."""
    found = []
    known = {r.position: r for r in records}
    finals = defaultdict(list)
    for event in events:
        if not event.final:
            continue
        if event.source not in known:
            found.append(f"orphan: {_place(event)} names no known record: {event.source}")
        finals[event.source].append(event)
    for record in records:
        mine = finals[record.position]
        if not mine:
            found.append(f"gap: {describe(record)} has no final event")
        elif len(mine) > 1:
            places = ", ".join(map(_place, mine))
            found.append(f"duplicate: {describe(record)} has {len(mine)} final events: {places}")
        for event in mine:
            found += _check_identity(record, event)
    return found + _check_same_ids(records, finals)


def _check_identity(record, event):
    if record.command is None:
        if event.name != "DeadLetter":
            return [f"{_place(event)} is a result of what is no command: {describe(record)}"]
        return []
    if event.command_id == record.command_id:
        return []
    if event.name == "DeadLetter" and event.command_id is None:
        return []  # it was too large or unreadable to envdriver; the source position counts
    return [f"{_place(event)} names command {event.command_id}; its source is {describe(record)}"]


def _check_same_ids(records, finals):
    """A record that was refused before it was claimed (another dead letter) counts for nothing."""
    found = []
    same = defaultdict(lambda: ([], []))
    for record in records:
        for event in finals[record.position]:
            results, refused = same[record.command_id]
            if event.status == "DUPLICATE_COMMAND":
                refused.append(event)
            elif event.name != "DeadLetter" and record not in results:
                results.append(record)
    for command_id, (results, refused) in same.items():
        if len(results) > 1 or (refused and not results):
            found.append(
                f"id {command_id}: {len(results)} records have a result and {len(refused)} are "
                "DUPLICATE_COMMAND"
            )
        elif refused:
            for event in refused:
                found += _check_names_first(event, results[0])
    return found


def _check_names_first(event, first):
    named = tuple(event.value.get(k) for k in ("firstTopic", "firstPartition", "firstOffset"))
    if named == first.position:
        return []
    return [f"{_place(event)} names {named} as the first one, which is {describe(first)}"]


# --- order ---


def check_order(records, events):
    """Commands of one key in one partition: a command is called only when the final event of the
    one before it was there. Seen from outside: calls do not overlap, and no call starts before the
    event before it was made."""
    finals = {e.source: e for e in events if e.final}
    queues = defaultdict(list)
    for record in sorted(records, key=lambda r: r.position):
        key = record.command and commands.ordering_key(record.command)
        event = finals.get(record.position)
        if key and event is not None and event.name != "DeadLetter":
            queues[record.partition, key].append((record, event))
    found = []
    for (_, key), queue in queues.items():
        for (_, before), (record, event) in zip(queue, queue[1:]):
            started = event.value["trace"]["startedAt"]
            finished = before.value["trace"]["finishedAt"]
            if started is None:
                continue
            if started < finished:
                found.append(
                    f"key {key!r}: {describe(record)} started {finished - started} ms before "
                    f"{_place(before)} was finished"
                )
            elif started < before.timestamp:
                found.append(
                    f"key {key!r}: {describe(record)} started {before.timestamp - started} ms "
                    f"before {_place(before)} was published"
                )
    return found


# --- the events themselves ---


def check_shape(records, events):
    """Record, key and headers belong to the command; outcome and trace make sense."""
    known = {r.position: r for r in records}
    found = []
    for event in events:
        record = known.get(event.source)
        if record is None:
            continue
        wrong = _dead_letter(record, event) if event.name == "DeadLetter" else _result(record, event)
        found += [f"{_place(event)} of {describe(record)}: {text}" for text in wrong]
    return found


def _differs(what, expected, found):
    return [] if expected == found else [f"{what} is {found!r} and not {expected!r}"]


def _result(record, event):
    if record.command is None:
        return []  # check_exactly_once says so
    plain, operation = record.command, record.command["operation"]["type"]
    ref, outcome = event.value["command"], event.value["outcome"]
    wrong = _differs("record", commands.RESULT_OF[operation], event.name)
    wrong += _differs("operation", operation, ref["operation"])
    for field in ("companyId", "environmentId", "issueId"):
        wrong += _differs(field, plain.get(field), ref[field])
    wrong += _differs("key", _result_key(event).encode(), event.key)
    if (outcome["status"] == "SUCCEEDED") != (outcome["error"] is None):
        wrong.append(f"status {outcome['status']} with error {outcome['error']}")
    return wrong + _trace(event.value["trace"]) + _result_headers(event)


def _result_key(event):
    ref = event.value["command"]
    if event.name in ("ProbeResult", "ConfigResult", "SetupResult"):
        return ref["environmentId"]
    if event.name in ("LeaseResult", "ExecutionResult", "WorkspaceResult"):
        return ref["providerLeaseId"] or ref["commandId"]
    return ref["commandId"]


def _trace(trace):
    wrong = []
    called = [trace[k] is not None for k in ("invocationId", "callToken", "startedAt")]
    if trace["attempt"] == 0 and any(called):
        wrong.append(f"attempt 0, but a call is named: {trace}")
    if trace["startedAt"] is not None and trace["finishedAt"] < trace["startedAt"]:
        wrong.append(f"finished {trace['startedAt'] - trace['finishedAt']} ms before it started")
    if trace["startedAt"] is not None and trace["startedAt"] < trace["receivedAt"]:
        wrong.append(f"started {trace['receivedAt'] - trace['startedAt']} ms before it was read")
    return wrong


def _result_headers(event):
    value = event.value
    ref, outcome = value["command"], value["outcome"]
    expected = {
        "command-id": ref["commandId"],
        "operation": ref["operation"],
        "company-id": ref["companyId"] or None,
        "environment-id": ref["environmentId"] or None,
        "status": outcome["status"],
        "error-code": outcome["error"] and outcome["error"]["code"],
        "traceparent": value["trace"]["traceparent"],
        "schema": event.name,
    }
    wrong = []
    for name, text in expected.items():
        wrong += _differs(f"header {name}", text, event.header(name) or None)
    names = [name for name, _ in event.headers]
    return wrong + [f"header {n} is there twice" for n in set(names) if names.count(n) > 1]


def _dead_letter(record, event):
    value = event.value
    wrong = _differs("key", record.key, event.key)
    wrong += _differs("key inside", record.key, value["key"])
    if not value["valueTruncated"]:
        wrong += _differs("value", record.value, value["value"])
    size = -1 if record.value is None else len(record.value)
    wrong += _differs("valueBytes", size, value["valueBytes"])
    digest = None if record.value is None else hashlib.sha256(record.value).hexdigest()
    wrong += _differs("valueSha256", digest, value["valueSha256"])
    kept = [(h["name"], h["value"]) for h in value["headers"]]
    wrong += _differs("headers inside", list(record.headers), kept)
    copied = list(event.headers[: len(record.headers)])
    wrong += _differs("first headers", list(record.headers), copied)
    expected = {
        "envdriver.status": "DEAD_LETTER",
        "envdriver.schema": "DeadLetter",
        "envdriver.command-id": value["commandId"],
        "envdriver.operation": value["operation"],
        "envdriver.company-id": value["companyId"] or None,
        "envdriver.environment-id": value["environmentId"] or None,
        "__connect.errors.topic": record.topic,
        "__connect.errors.partition": str(record.partition),
        "__connect.errors.offset": str(record.offset),
        "__connect.errors.exception.class.name": value["reason"],
        "__connect.errors.exception.message": value["message"],
    }
    for name, text in expected.items():
        wrong += _differs(f"header {name}", text, event.header(name) or None)
    stage = event.header("__connect.errors.stage")
    if stage not in ("VALUE_CONVERTER", "TRANSFORMATION"):
        wrong.append(f"header __connect.errors.stage is {stage!r}")
    return wrong


# --- output that did not fit into the result ---


def check_output(events):
    """The FINAL pieces that a result names are there and give back the whole text. A piece that is
    there twice says the same twice. Pieces that no result names, or only one that names none
    (finalLogRecords 0), are left over from what was lost in the middle."""
    pieces, found = defaultdict(dict), []
    for event in events:
        if event.name == "ExecutionLog" and event.value["origin"] == "FINAL":
            piece = event.value
            mine = pieces[piece["callToken"], piece["stream"]]
            first = mine.setdefault(piece["sequence"], piece)
            if any(first.get(k) != piece.get(k) for k in ("command", "byteOffset", "text", "last")):
                found.append(
                    f"{event.topic}[{event.partition}]@{event.offset}: piece {piece['sequence']} "
                    f"of {piece['stream']}, token {piece['callToken']}, differs from its first"
                )
    for event in events:
        if event.name == "ExecutionResult":
            found += [f"{_place(event)}: {text}" for text in _output(event.value, pieces)]
    return found


def _output(result, pieces):
    token = result["trace"]["callToken"]
    wrong, count = [], 0
    for stream in ("stdout", "stderr"):
        mine = []
        if result["finalLogRecords"]:
            mine = [p for _, p in sorted(pieces.get((token, stream.upper()), {}).items())]
        count += len(mine)
        inline = result[stream].encode()
        texts = [(result.get(f"{stream}Raw"), result[stream])]
        for raw, text in texts + [(p.get("raw"), p["text"]) for p in mine]:
            if raw is not None:
                wrong += _differs(f"text of {stream}'s bytes", raw.decode("utf-8", "replace"), text)
        if not result[f"{stream}Truncated"]:
            wrong += _differs(f"{stream}Bytes", len(inline), result[f"{stream}Bytes"])
            continue
        wrong += _differs(f"{stream} sequence", list(range(len(mine))), [p["sequence"] for p in mine])
        whole = "".join(p["text"] for p in mine).encode()
        wrong += _differs(f"{stream}Bytes", len(whole), result[f"{stream}Bytes"])
        digest = hashlib.sha256(whole).hexdigest()
        wrong += _differs(f"{stream}Sha256", digest, result[f"{stream}Sha256"])
        if not whole.startswith(inline):
            wrong.append(f"{stream} in the result is not the beginning of the whole")
        last = [p["last"] for p in mine]
        wrong += _differs(f"{stream} last marks", [False] * (len(mine) - 1) + [True], last)
    return wrong + _differs("finalLogRecords", count, result["finalLogRecords"])
