# SPDX-License-Identifier: Apache-2.0
"""What to set up and what to ask for, so that envdriver does what a recording shows.

A recording keeps what was asked and what came of it, but not how the host had been set up; that
follows from what happened: a plugin that says it does not implement a method was started without
it, a driver that is "not ready" belongs to a plugin that is not, and so on.
"""

import copy
import json
import re
import uuid
from dataclasses import dataclass, field

from harness import avro, registry
from harness.commands import RESULT_OF, command, plugin_driver, sandbox_provider

from recording import CUT

PLUGIN_KEY = "fixture.envdriver"
PLUGIN_ID = "plugin-1"  # in the recordings
NOT_READY = "error"
STOP_LIMIT_MS = 60_000
CHUNK_MAX = 1_000_000  # characters of a piece of live output
LINE_MAX = 64 * 1024  # the least that may be set
STATUSES = ("installed", "disabled", "error", "upgrade_pending", "uninstalled")

TIMED_OUT = re.compile(r'^RPC call "(\w+)" timed out after (\d+)ms$')
NO_CAPABILITY = re.compile(r'is missing required capability "([\w.-]+)" for method')


class NotExpressible(Exception):
    """No command says what was recorded; its text is why."""


@dataclass
class Plugin:
    """An entry of the registry. `name`: its id in the recording."""

    manifest: dict
    name: str = PLUGIN_ID
    status: str = "ready"
    present: bool = True  # its package is on this host
    order: int = 1
    config: dict | None = None

    @property
    def runs(self):
        return self.status == "ready" and self.present


@dataclass
class Call:
    """One call and how it ended in the recording."""

    command: dict | None  # for Kafka; None: through the plugin layer alone
    outcome: dict | None  # {"result": …} or {"error": …}
    request: dict | None = None  # as the host sent it; None when nothing was sent
    method: str | None = None
    params: dict | None = None
    timeout_ms: int | None = None

    @property
    def operation(self):
        return self.command["operation"]["type"]


@dataclass
class Plan:
    plugins: list
    calls: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)  # of the worker
    provider: str | None = None  # asked for with `envdriver drivers --provider`
    between: tuple = ("running", "crashed")  # the worker's status before the next call
    stopped: bool = False  # the plugin is taken away before anything is asked of it
    stops: bool = False  # it is taken away at the end
    starts: bool = False  # the start is the case
    looks: bool = False  # the call is ours, to see who was found


def message_of(recording):
    """Of the error; empty when there was none."""
    return (recording.get("error") or {}).get("message", "")


def make(recording):
    plan = Plan(plugins=plugins(recording), settings=settings(recording))
    function = recording.function
    plan.stops = function == "stopWorker"
    plan.stopped = message_of(recording).endswith(" is stopped")
    if message_of(recording).endswith(" is backoff"):
        plan.between = ("backoff",)
    plan.starts = function == "startWorker"
    if function == "resolvePluginEnvironmentDriverByKey":
        plan.provider, plan.looks = recording.input["driverKey"], True
    elif recording.group == "validate_sandbox" and "result" in recording:
        plan.provider = recording.input["provider"]
    plan.calls = calls(recording)
    return plan


def rename(plan):
    """New command ids, for another try."""
    for call in plan.calls:
        if call.command:
            call.command["commandId"] = str(uuid.uuid4())


# --- the commands ---


def text_of(value):
    """As JSON.stringify writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def whole(value):
    """A long text was cut by the recorder; all of these are one letter again and again."""
    if isinstance(value, str):
        cut = CUT.search(value)
        return value[: cut.start()].ljust(int(cut.group(1)), value[0]) if cut else value
    if isinstance(value, dict):
        return {k: whole(v) for k, v in value.items()}
    if isinstance(value, list):
        return [whole(v) for v in value]
    return value


def restored(given, sent):
    """The recorder writes 0 for some numbers of `input`; the line that was sent has them."""
    if isinstance(given, dict) and isinstance(sent, dict):
        return {k: restored(v, sent.get(k)) for k, v in given.items()}
    if isinstance(given, list) and isinstance(sent, list) and len(given) == len(sent):
        return [restored(a, b) for a, b in zip(given, sent)]
    is_number = isinstance(sent, (int, float)) and not isinstance(sent, bool)
    return sent if given == 0 and is_number and not isinstance(given, bool) else given


def json_fields(operation):
    """Names of an operation's fields that hold JSON text."""
    schema = avro.schema_json("EnvironmentCommand")
    [union] = [f["type"] for f in schema["fields"] if f["name"] == "operation"]
    [record] = [b for b in union if b["name"] == operation]
    return {f["name"]: avro.is_json_text(f) for f in record["fields"]}


def to_command(operation, target, params, config):
    """`params` as they are sent, without driverKey and config."""
    known = json_fields(operation)
    base = ("companyId", "environmentId", "issueId")
    fields = {k: v for k, v in params.items() if k not in (*base, "driverKey", "config")}
    for name in fields.keys() - known.keys():
        raise NotExpressible(f"{operation} has no field {name}")
    for name, value in fields.items():
        if known[name] and value is not None:
            fields[name] = text_of(value)
    top = {k: params[k] for k in base if k in params}
    # The order of the recorded calls is kept by whoever makes them.
    return command(
        operation, fields, target=target, config=text_of(config), orderingKey="", **top
    )


def operation_of(method):
    """environmentProbe is Probe's; None for a method that is no operation's."""
    name = method.removeprefix("environment")
    return name if name != method and name in RESULT_OF else None


def of_plugin(operation):
    def make(given):
        config = given["config"]
        target = plugin_driver(config["driverKey"], config["pluginKey"], given.get("pluginId"))
        params = given.get("params") or {k: v for k, v in given.items() if k != "config"}
        return to_command(operation, target, params, config["driverConfig"])

    return make


def of_provider(operation):
    def make(given):
        params = {k: v for k, v in given.items() if k not in ("provider", "config")}
        target = sandbox_provider(given["provider"])
        return to_command(operation, target, params, given["config"])

    return make


def by_key(given):
    return to_command("Probe", sandbox_provider(given["driverKey"]), {}, {})


def list_drivers(_):
    return command("ListDrivers", config="{}")


FUNCTIONS = {
    "validatePluginEnvironmentDriverConfig": of_plugin("ValidateConfig"),
    "validatePluginSandboxProviderConfig": of_provider("ValidateConfig"),
    "probePluginEnvironmentDriver": of_plugin("Probe"),
    "probePluginSandboxProviderDriver": of_provider("Probe"),
    "resumePluginEnvironmentLease": of_plugin("ResumeLease"),
    "destroyPluginEnvironmentLease": of_plugin("DestroyLease"),
    "realizePluginEnvironmentWorkspace": of_plugin("RealizeWorkspace"),
    "executePluginEnvironmentCommand": of_plugin("Execute"),
    "listReadyPluginEnvironmentDrivers": list_drivers,
    "resolvePluginEnvironmentDriverByKey": by_key,
}


def manager_call(plugin_id, method, params, timeout_ms=None):
    """A call of the worker manager: by plugin id, without look-up. One that is no operation, or
    has a time limit of its own, goes through the plugin layer alone."""
    operation = operation_of(method)
    if operation is None or timeout_ms is not None:
        return Call(None, None, method=method, params=params, timeout_ms=timeout_ms)
    target = plugin_driver(params["driverKey"], PLUGIN_KEY, plugin_id)
    return Call(to_command(operation, target, params, params["config"]), None)


def calls(recording):
    """In the order in which they were made."""
    if recording.function in FUNCTIONS:
        given = dict(recording.input or {})
        request = recording.calls[0] if recording.calls else None
        if request and "config" in given:
            given["config"] = restored_config(recording, request)
        made = FUNCTIONS[recording.function](whole(given))
        return [Call(made, recording.outcome, request)]
    made = []
    for request in recording.calls:
        # A stop of ours waits for calls; only the plugin layer alone cuts one off.
        cut_off = recording.function == "stopWorker" and recording.answer_of(request) is None
        limit = STOP_LIMIT_MS if cut_off else None
        made.append(manager_call(PLUGIN_ID, request["method"], request["params"], limit))
        made[-1].request = request
    given = recording.input
    if given and "method" in given:
        add_given(recording, made, given)
    outcomes = recording.settled or ([recording.outcome] if given else [])
    # Of several calls the last ones are those whose end was kept.
    for call, outcome in zip(reversed(made), reversed(outcomes)):
        call.outcome = outcome
    for call in made:
        call.outcome = call.outcome or recording.end_of(call.request)
    return made


def restored_config(recording, request):
    config, sent = recording.input["config"], request["params"].get("config")
    if "driverConfig" in config and "driverKey" in config:
        return {**config, "driverConfig": restored(config["driverConfig"], sent)}
    return restored(config, sent)


def add_given(recording, made, given):
    """The call of `input`: it is the last one, and may not have got so far as to be sent."""
    params = whole(given["params"])
    call = manager_call(given["pluginId"], given["method"], params, given.get("timeoutMs"))
    sent = [r for r in recording.requests if r["method"] == given["method"]]
    if sent and text_of(restored(params, sent[-1]["params"])) == text_of(sent[-1]["params"]):
        call.request = sent[-1]
    elif recording.stdin and CUT.search(recording.stdin[-1]):
        call.request = {"id": None, "line": recording.stdin[-1]}
    if call.request and made and made[-1].request is call.request:
        made.pop()
    if given["method"] == "initialize":
        made.clear()
    made.append(call)


# --- the set-up ---


def plugins(recording):
    """What the registry holds."""
    if recording.manifest:
        return [Plugin(recording.manifest)]
    plugin = Plugin(registry.fixture().manifest)
    adjust_manifest(recording, plugin)
    message = message_of(recording)
    if "No worker registered for plugin" in message:
        return []
    if "is not ready." in message:
        plugin.status = named_status(recording)
        return [] if recording.name.endswith("not_installed") else [plugin]
    if "has no running worker." in message:
        plugin.present = False
    elif wants_no_provider(recording):
        take_away(recording, plugin)
    return with_others(recording, plugin)


def named_status(recording):
    """Which status it was is said by the name only: all of them fail alike."""
    named = re.search(r"status_(\w+)$", recording.name)
    return named.group(1) if named and named.group(1) in STATUSES else NOT_READY


def provider_of(recording):
    given = recording.input or {}
    return given.get("provider") or given.get("driverKey")


def wants_no_provider(recording):
    """No plugin was found for a provider, or none was listed."""
    if recording.function.startswith("listReady"):
        return recording.get("result") == []
    if recording.function == "resolvePluginEnvironmentDriverByKey":
        return recording.get("result") is None
    if recording.function == "probePluginSandboxProviderDriver" and "result" in recording:
        return "pluginKey" not in recording.get("result")["details"]
    return "is not installed or its plugin worker" in message_of(recording)


def take_away(recording, plugin):
    """Nobody offers the provider: because the plugin is not ready, as the name says; because its
    worker does not run; or because nobody declares it as one."""
    provider = provider_of(recording)
    drivers = {d["driverKey"]: d for d in plugin.manifest["environmentDrivers"]}
    if "not_ready" in recording.name or "status_" in recording.name:
        plugin.status = named_status(recording)
    elif provider in drivers and drivers[provider].get("kind") != "sandbox_provider":
        pass
    elif provider in drivers or provider is None:
        plugin.present = False
    elif "kind" in recording.name:
        # A driver of that key without a kind is none of a provider.
        plugin.manifest["environmentDrivers"].append(
            {"driverKey": provider, "displayName": provider, "configSchema": {"type": "object"}}
        )


def with_others(recording, plugin):
    """The first of several plugins that offer the same is the one: where the name says so, one
    whose worker does not run stands before ours, and one that is as good stands behind."""
    if "first_by_install_order" not in recording.name:
        return [plugin]
    before = copy.deepcopy(plugin)
    before.manifest["id"] = "fixture.before"
    before.name, before.present = "plugin-before", False
    behind = copy.deepcopy(plugin)
    behind.manifest["id"] = "fixture.behind"
    behind.name = "plugin-behind"
    for order, one in enumerate((before, plugin, behind), 1):
        one.order = order
    return [before, plugin, behind]


def adjust_manifest(recording, plugin):
    manifest = plugin.manifest
    missing = [
        r["method"]
        for r in recording.calls
        if ((recording.answer_of(r) or {}).get("error") or {}).get("code") == -32004
    ]
    if missing:
        manifest["fixture"] = {"omitMethods": missing}
    for line in recording.stdin:
        denied = NO_CAPABILITY.search(line.replace('\\"', '"'))
        if denied:
            manifest["capabilities"].remove(denied.group(1))
    for answered in recording.get("host_calls", []):
        if answered["method"] == "config.get" and "result" in answered:
            # Of the call's company, where the SDK names none yet.
            company = (answered.get("params") or recording.calls[0]["params"])["companyId"]
            plugin.config = {company: answered["result"]}
    pinned = recording.function in FUNCTIONS and (recording.input or {}).get("pluginId")
    if pinned and recording.calls:
        # Of a plugin that was named by its id nothing else is looked at.
        driver = recording.calls[0]["params"]["driverKey"]
        drivers = manifest["environmentDrivers"]
        manifest["environmentDrivers"] = [d for d in drivers if d["driverKey"] != driver]


def settings(recording):
    """What differs from the defaults of `envdriver worker`."""
    found = {}
    timed_out = TIMED_OUT.match(message_of(recording))
    if timed_out and "timeoutMs" not in (recording.input or {}):
        found["plugin.call.timeout"] = f"{timed_out.group(2)}ms"
        cuts = [int(n) for line in recording.stdout for n in CUT.findall(line)]
        if any(n > LINE_MAX for n in cuts):
            found["plugin.line.max.bytes"] = str(LINE_MAX)
    if any(e.get("willRestart") is False for e in recording.get("worker_events", [])):
        found["plugin.restart"] = "false"
    if message_of(recording).startswith("Cannot call "):
        # Else a worker in back-off is started for the call.
        found["plugin.start.wait"] = "0ms"
    dropped = [c for c in recording.chunks if c not in recording.live]
    if "onLog" in recording:
        found |= log_limit(recording, dropped)
    return found


def log_limit(recording, dropped):
    """A good piece that was not delivered was one too many."""
    good = (whole(text) for stream, text in dropped if stream in ("stdout", "stderr"))
    if not any(0 < len(text) <= CHUNK_MAX for text in good):
        return {}
    delivered = sum(len(text.encode()) for _, text in recording.live)
    return {"plugin.log.max.bytes": str(delivered)}
