# SPDX-License-Identifier: Apache-2.0
"""Plugins in Redis, as the orchestrator writes them."""

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from . import avro
from .paths import BUILD, FIXTURES, ROOT, SDK

PREFIX = "envdriver:"


@dataclass(frozen=True)
class Package:
    """A plugin's folder on this host and its manifest."""

    folder: Path
    manifest: dict


def fixture(sdk="916", **startup):
    """The fixture plugin on an SDK release, 916 or 427. `startup`: its knobs (KNOBS.md)."""
    folder = SDK / sdk / "plugin"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    if startup:
        manifest["fixture"] = startup
    return Package(folder, manifest)


def local():
    """The local sandbox provider that the build puts beside the program."""
    return package(BUILD / "plugins" / "local")


def package(folder):
    """Any plugin folder: plugin.json {manifest: object or path}, or manifest.json."""
    folder = Path(folder).resolve()
    plugin = folder / "plugin.json"
    manifest = "manifest.json"
    if plugin.exists():
        manifest = json.loads(plugin.read_text("utf-8"))["manifest"]
    if isinstance(manifest, str):
        manifest = json.loads((folder / manifest).read_text("utf-8"))
    return Package(folder, manifest)


def install_plugin(
    redis, plugin_id, package_dir, manifest, status="ready", order=1, config=None, prefix=PREFIX
):
    """The registry's records of one plugin. `redis` is a client; `config`: {companyId: {…}}."""
    key = manifest["id"]
    fields = {
        "pluginKey": key,
        "status": status,
        "manifest": json.dumps(manifest, ensure_ascii=False, separators=(",", ":")),
        "package": str(package_dir),
        "updatedAt": avro.time_text(int(time.time() * 1000)),
    }
    if config is not None:
        fields["config"] = json.dumps(config, ensure_ascii=False, separators=(",", ":"))
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(f"{prefix}plugin:{plugin_id}", mapping=fields)
        pipe.set(f"{prefix}plugin-key:{key}", plugin_id)
        pipe.zadd(f"{prefix}plugins", {plugin_id: order})
        pipe.execute()
    return plugin_id


def install(redis, what, plugin_id=None, **more):
    """The same for a Package; makes an id when none is given, and returns it."""
    return install_plugin(redis, plugin_id or str(uuid.uuid4()), what.folder, what.manifest, **more)


def set_status(redis, plugin_id, status, prefix=PREFIX):
    redis.hset(f"{prefix}plugin:{plugin_id}", "status", status)


def remove(redis, plugin_id, prefix=PREFIX):
    name = f"{prefix}plugin:{plugin_id}"
    key = redis.hget(name, "pluginKey")
    redis.zrem(f"{prefix}plugins", plugin_id)
    redis.delete(name, f"{prefix}plugin-key:{key}")


def plugin_dirs():
    """Folders that packages of the tests lie under, as plugin.dirs wants them."""
    return f"{SDK}:{BUILD / 'plugins'}:{ROOT / 'plugins'}:{FIXTURES}"
