# SPDX-License-Identifier: Apache-2.0
"""The hostile plugin (tests/fixtures/hostile-plugin), under any name, and commands for it."""

import json

from . import commands, registry
from .paths import FIXTURES


class Hostile:
    """Several may be installed beside one another: each name is a plugin of its own."""

    def __init__(self, t, name="hostile.envdriver"):
        found = registry.package(FIXTURES / "hostile-plugin")
        manifest = {**found.manifest, "id": name}
        self.id = t.install(registry.Package(found.folder, manifest))
        self.target = commands.plugin_driver("hostile", name)

    def command(self, operation="Probe", fields=None, config=None, **top):
        """`config` is what it does: see hostile.py."""
        top.setdefault("orderingKey", "")
        return commands.command(operation, fields, target=self.target, config=config or {}, **top)


def answer(result):
    """The text of an answer with this result, itself JSON text or a value."""
    text = result if isinstance(result, str) else json.dumps(result)
    return '{"jsonrpc":"2.0","id":{id},"result":' + text + "}\n"
