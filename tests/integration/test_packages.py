# SPDX-License-Identifier: Apache-2.0
"""Node packages as people publish them: `plugin add` takes those that the original takes, and what
it takes runs."""

import json

from harness.case import limit
from harness.commands import command, sandbox_provider
from harness.process import wait_until

ESM = """import readline from 'node:readline';
const rl = readline.createInterface({input: process.stdin});
"""
CJS = """const readline = require('node:readline');
const rl = readline.createInterface({input: process.stdin});
"""
WORKER = """
const say = o => process.stdout.write(JSON.stringify({jsonrpc: '2.0', ...o}) + '\\n');
rl.on('line', line => {
  const m = JSON.parse(line);
  if (m.method === 'initialize') say({id: m.id, result: {ok: true, supportedMethods: ['environmentProbe']}});
  else say({id: m.id, result: m.method === 'environmentProbe' ? {ok: true} : null});
  if (m.method === 'shutdown') process.exit(0);
});
"""
BOTH = {"manifest": "./dist/manifest.js", "worker": "./dist/worker.js"}


def manifest(name, **more):
    return {
        "id": f"acme.{name}",
        "apiVersion": 1,
        "version": "1.0.0",
        "displayName": name,
        "description": "For tests",
        "author": "envdriver",
        "categories": ["automation"],
        "capabilities": ["environment.drivers.register"],
        "entrypoints": {"worker": "./dist/worker.js"},
        "environmentDrivers": [
            {
                "driverKey": name,
                "kind": "sandbox_provider",
                "displayName": name,
                "configSchema": {"type": "object"},
            }
        ],
        **more,
    }


# What package.json and the manifest have beyond the usual, and how the module is written.
TAKEN = {
    "normal": ({"paperclipPlugin": BOTH}, {}, "export default"),
    "convention": ({}, {}, "export default"),
    "manifestonly": ({"paperclipPlugin": {"manifest": "./dist/manifest.js"}}, {}, "export default"),
    "otherworker": ({"paperclipPlugin": {**BOTH, "worker": "./dist/gone.js"}}, {}, "export default"),
    "noisy": ({"paperclipPlugin": BOTH}, {}, "console.log('loading'); export default"),
    "exported": (
        {"exports": {".": "./dist/worker.js"}, "main": "./dist/worker.js", "paperclipPlugin": BOTH},
        {"minimumHostVersion": "2026.427.0"},
        "export default",
    ),
    "commonjs": ({"type": "commonjs", "paperclipPlugin": BOTH}, {}, "module.exports ="),
    "esmodule": (
        {"type": "commonjs", "paperclipPlugin": BOTH},
        {},
        "Object.defineProperty(exports, '__esModule', {value: true}); exports.default =",
    ),
}
REFUSED = {
    "newer": ({"paperclipPlugin": BOTH}, {"minimumHostVersion": "9999.0.0"}, "9999.0.0 or newer"),
    "gone": (
        {"paperclipPlugin": BOTH},
        {"entrypoints": {"worker": "./dist/gone.js"}},
        "cannot open its worker",
    ),
    "leaves": (
        {"paperclipPlugin": BOTH},
        {"entrypoints": {"worker": "../normal/dist/worker.js"}},
        "must be inside the package",
    ),
    "unbuilt": (
        {"paperclipPlugin": {"manifest": "./build/manifest.js"}},
        {},
        "has the package been built?",
    ),
}


def write(base, name, package, more, start):
    folder = base / name
    (folder / "dist").mkdir(parents=True)
    package = {"name": f"@acme/plugin-{name}", "version": "1.0.0", "type": "module", **package}
    (folder / "package.json").write_text(json.dumps(package), "utf-8")
    text = f"{start} {json.dumps(manifest(name, **more))};\n"
    (folder / "dist" / "manifest.js").write_text(text, "utf-8")
    head = CJS if package["type"] == "commonjs" else ESM
    (folder / "dist" / "worker.js").write_text(head + WORKER, "utf-8")
    return folder


@limit(120)
def test_packages_of_node(t):
    base = t.dir / "packages"
    config = {"plugin.dirs": str(base), "plugin.start.wait": "20s"}
    for name, (package, more, text) in REFUSED.items():
        done = t.cli("plugin", "add", write(base, name, package, more, "export default"), config=config)
        assert done.returncode == 2 and text in done.stderr, (name, done)
    for name, row in TAKEN.items():
        folder = write(base, name, *row)
        if name == "convention":  # as a workspace has it
            link = base / "node_modules" / "@acme" / "plugin-convention"
            link.parent.mkdir(parents=True)
            link.symlink_to("../../convention")
            folder = link
        assert t.cli("plugin", "add", folder, "--id", name, config=config).returncode == 0, name
        assert t.cli("plugin", "ready", name, config=config).returncode == 0, name
    # A worker refuses what `plugin add` refuses, in the same words.
    forced = t.cli("plugin", "add", base / "newer", "--id", "newer", "--force", config=config)
    assert forced.returncode == 0 and "9999.0.0 or newer" in forced.stderr, forced
    assert t.cli("plugin", "ready", "newer", config=config).returncode == 0
    worker = t.worker(config=config)
    records = t.topics.publish(*(command("Probe", target=sandbox_provider(name)) for name in TAKEN))
    for name, event in zip(TAKEN, t.topics.wait(records, 60)):
        assert event.status == "SUCCEEDED", (name, event.plain)
    text = "it requires host version 9999.0.0 or newer, and this envdriver stands for"
    wait_until(lambda: text in worker.stderr(), 10, worker.stderr)
    one = command("AcquireLease", target=sandbox_provider("newer"))
    [event] = t.topics.wait(t.topics.publish(one))
    assert event.error["code"] == "PROVIDER_NOT_AVAILABLE", event.plain
    # What is removed is no record that somebody wrote wrongly.
    assert t.cli("plugin", "remove", "normal", config=config).returncode == 0
    wait_until(lambda: not t.redis.client.exists("envdriver:worker:normal:w1"), 20, worker.stderr)
    worker.assert_not_said(" in Redis is malformed")
    t.verify()
