# SPDX-License-Identifier: Apache-2.0
"""What a plugin reaches beyond itself: nothing of the worker, of its servers, of other plugins and
of other folders; and what it needs it has."""

import json
import os
import signal
from pathlib import Path

from harness.case import limit
from harness.hostile import Hostile
from harness.process import wait_until

KEY = "hostile.envdriver"


def reached(t, plugin, *tries, **top):
    """{the words of a try: what came of it}"""
    config = {"reach": [list(one) for one in tries]}
    [event] = t.topics.wait(t.topics.publish(plugin.command(config=config, **top)))
    assert event.status == "SUCCEEDED", event.plain
    found = json.loads(event.value["summary"])
    return {" ".join(map(str, words)): got for words, got in zip(tries, found)}


def pid_of(t, plugin, worker="w1"):
    return t.redis.client.hget(f"envdriver:worker:{plugin.id}:{worker}", "pid")


@limit(120)
def test_a_plugin_reaches_nobody_else(t):
    one, two = Hostile(t), Hostile(t, "hostile.second")
    data = t.dir / "data"
    worker = t.worker(config={"plugin.data.dir": str(data), "plugin.write": str(t.dir / "given")})
    sibling, me = pid_of(t, two), pid_of(t, one)
    other = reached(t, two, ["tmp"], ["data"])
    secret = t.dir / "secret"
    secret.write_text("password")
    refused = {
        f"read /proc/{worker.pid}/environ": "EACCES",
        f"read /proc/{worker.pid}/mem": "EACCES",
        f"link /proc/{worker.pid}/fd/2": "EACCES",
        f"read /proc/{sibling}/environ": "EACCES",
        f"read /proc/{sibling}/mem": "EACCES",
        f"link /proc/{sibling}/fd/1": "EACCES",
        f"trace {worker.pid}": "EPERM",
        f"trace {sibling}": "EPERM",
        f"peek {worker.pid}": "EPERM",
        f"kill {worker.pid}": "EPERM",
        f"kill {sibling}": "EPERM",
        "kill_keeper": "EPERM",
        f"slow_down {worker.pid}": "EPERM",
        f"pin {worker.pid}": "EPERM",
        "lower_mark": "EPERM",
        "namespace": "EPERM",
        f"read {worker.config_path}": "EACCES",
        f"read {secret}": "EACCES",
        f"write {secret}": "EACCES",
        f"write {t.dir / 'new'}": "EACCES",
        f"listing {t.dir}": "EACCES",
        "listing /tmp": "EACCES",
        "read /etc/shadow": "EACCES",
        f"unix {t.redis.url.removeprefix('unix://')}": "EACCES",
        f"listing {Path(other['tmp'].split()[1]).parent}": "EACCES",
        f"read {other['data'].split()[1]}": "EACCES",
        f"write {other['data'].split()[1]}": "EACCES",
        f"listing {data}": "EACCES",
    }
    got = reached(t, one, *[words.split(" ") for words in refused])
    assert got == refused, {k: v for k, v in got.items() if v != refused[k]}
    assert pid_of(t, one) == me and pid_of(t, two) == sibling, "nobody was ended"
    assert worker.process.poll() is None
    events = [e.value for e in t.verify() if e.name == "PluginEvent"]
    started = [e for e in events if e["type"] == "WORKER_STARTED"]
    layers = json.loads(worker.get("/status").body)["plugins"][0]["isolation"]
    assert len(layers) >= 3 and layers[0] == "limits" and layers[2] == "seccomp", layers
    assert all(json.loads(e["details"]) == {"isolation": layers} for e in started), started
    assert f"isolation={','.join(layers)}" in worker.stderr().splitlines()[0], worker.stderr()
    listed = t.cli("plugin", "list", "-o", "wide").stdout
    assert listed.count(",".join(layers)) == 2, listed


@limit(120)
def test_a_plugin_has_what_it_needs(t):
    one = Hostile(t)
    given = t.dir / "given"
    given.mkdir()
    data = t.dir / "data"
    (t.dir / "tmp").mkdir()
    config = {"plugin.data.dir": str(data), f"plugin.write.{KEY}": str(given)}
    config["plugin.tmp.dir"] = str(t.dir / "tmp")
    worker = t.worker(config=config)
    tries = [["tmp"], ["data"], ["write", str(given / "x")], ["descriptors"], ["oom"], ["limits"]]
    tries += [["run", "sh", "-c", "id -un; echo $TMPDIR >/dev/null; ls / | head -1"]]
    tries += [["tcp", worker.port], ["leave", 300]]
    got = list(reached(t, one, *tries).values())
    tmp = Path(got[0].split()[1])
    assert tmp.parent.parent.parent == t.dir / "tmp", got
    assert tmp.parent.stat().st_mode & 0o777 == 0o700
    assert got[1:6] == [f"reached {data / one.id / 'kept'}", "reached", [0, 1, 2], "500", "reached 0 0\n4096"], got
    assert got[6].startswith("reached 0 "), got
    assert got[7] == "reached", got
    os.kill(int(pid_of(t, one)), signal.SIGKILL)
    wait_until(lambda: not tmp.parent.exists(), 10, "the folder goes with the plugin")
    t.wait_plugins(worker)
    assert (data / one.id / "kept").exists()
    reached(t, one, ["leave", 300])
    worker.kill()
    wait_until(lambda: not os.listdir(t.dir / "tmp"), 10, "the keeper removes what is left")
    t.verify()
