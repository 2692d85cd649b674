# SPDX-License-Identifier: Apache-2.0
"""The ledger plugin (tests/fixtures/ledger-plugin) and what its file says: how often each command
was called, and which leases are alive."""

import json
from collections import Counter

from . import commands, registry
from .paths import FIXTURES

TARGET = commands.plugin_driver("ledger", "ledger.envdriver")


def package():
    return registry.package(FIXTURES / "ledger-plugin")


class Ledger:
    def __init__(self, t):
        self.path = t.dir / "ledger.jsonl"
        self.plugin_id = t.install(package())
        self.names = {}  # command id: the name that its calls are counted under

    def config(self, seconds=0, **more):
        return {"ledger": str(self.path), "sleepMs": int(seconds * 1000), **more}

    def execute(self, name, seconds=0, key="", lease="lease-1", **top):
        """An execution whose calls are counted under `name`."""
        fields = {"command": name, "lease": {"providerLeaseId": lease}, "timeoutMs": 120_000}
        config = self.config(seconds, **top.pop("config", {}))
        made = commands.command(
            "Execute", fields, target=TARGET, orderingKey=key, config=config, **top
        )
        self.names[made["commandId"]] = name
        return made

    def acquire(self, seconds=0, **top):
        config = self.config(seconds, **top.pop("config", {}))
        return commands.command("AcquireLease", target=TARGET, config=config, **top)

    def probe(self, seconds=0, key="", **top):
        config = self.config(seconds, **top.pop("config", {}))
        return commands.command("Probe", target=TARGET, orderingKey=key, config=config, **top)

    def destroy(self, lease, **top):
        return commands.command(
            "DestroyLease", {"providerLeaseId": lease}, target=TARGET, config=self.config(), **top
        )

    # --- what it says ---

    def lines(self):
        try:
            return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        except FileNotFoundError:
            return []

    def asked(self):
        """{name of an execution: how often the plugin was asked for it}"""
        return Counter(line["command"] for line in self.lines() if line["did"] == "asked")

    def leases(self):
        """Those that are alive."""
        alive = set()
        for line in self.lines():
            if line["did"] == "acquired":
                alive.add(line["lease"])
            elif line["did"] == "destroyed":
                alive.discard(line["lease"])
        return alive

    def acquired(self):
        return [line["lease"] for line in self.lines() if line["did"] == "acquired"]


def published(events):
    """The leases that AcquireLease results gave to somebody."""
    return {
        event.value["lease"]["providerLeaseId"]
        for event in events
        if event.name == "LeaseResult"
        and event.value["command"]["operation"] == "AcquireLease"
        and event.status == "SUCCEEDED"
    }
