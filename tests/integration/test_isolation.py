# SPDX-License-Identifier: Apache-2.0
"""What a plugin reaches beyond itself: nothing of the worker, of its servers, of other plugins and
of other folders; and what it needs it has."""

import json
import os
import signal
from pathlib import Path

from harness import commands, without_call
from harness.case import limit
from harness.hostile import Hostile
from harness.process import wait_until

KEY = "hostile.envdriver"


def reached(t, plugin, *tries, **top):
    """{the words of a try: what came of it}"""
    config = {"reach": [[str(word) for word in one] for one in tries]}
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


# What Node plugins do, one after another; each says its name when it worked.
NODE = """
const { Worker } = require('worker_threads'), net = require('net'), fs = require('fs');
const dns = require('dns').promises, { execFile, fork } = require('child_process');
const os = require('os'), http = require('http'), done = [];
const says = (name) => done.push(name);
const promise = (start) => new Promise((yes, no) => start(yes, no));
// The fixture gives its commands no variables: those of the plugin itself.
const own = fs.readFileSync(`/proc/${process.ppid}/environ`, 'utf8').split('\\0');
process.env.TMPDIR = own.find((v) => v.startsWith('TMPDIR=')).slice(7);
(async () => {
  await dns.lookup('localhost'); says('dns');
  const server = http.createServer((q, a) => a.end('hello'));
  await promise((yes) => server.listen(0, '127.0.0.1', yes)); says('listen');
  const url = `http://127.0.0.1:${server.address().port}/`;
  if (await (await fetch(url)).text() === 'hello') says('fetch');
  server.closeAllConnections(); server.close();
  await promise((yes, no) => execFile('git', ['--version'], (e) => e ? no(e) : yes()));
  says('child');
  const file = `${os.tmpdir()}/child.js`;
  fs.writeFileSync(file, "process.on('message', (m) => { process.send(m); process.exit(); })");
  const child = fork(file);
  child.send({ a: 1 });
  await promise((yes) => child.on('message', yes)); says('fork');
  await promise((yes, no) => new Worker('require("worker_threads")', { eval: true })
    .on('exit', yes).on('error', no)); says('thread');
  fs.mkdtempSync(`${os.tmpdir()}/x`); says('tmp');
  os.networkInterfaces(); os.cpus(); os.userInfo(); says('os');
  await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); says('wasm');
  require('tls').createSecureContext(); says('tls');
  console.log(done.join(' '));
})().catch((e) => { console.log(done.join(' '), e); process.exit(1); });
"""


@limit(120)
def test_a_node_plugin_runs_unchanged(t):
    """The plugin on the SDK, and in it what such plugins do."""
    t.install(t.fixture())
    worker = t.worker()
    fields = {"command": "node", "args": ["-e", NODE], "timeoutMs": 60000}
    fields["lease"] = {"providerLeaseId": "lease-1"}
    [probe, event] = t.topics.wait(
        t.topics.publish(commands.command("Probe"), commands.command("Execute", fields))
    )
    assert probe.status == "SUCCEEDED", probe.plain
    said = event.value["stdout"] + event.value["stderr"]
    assert said.split() == "dns listen fetch child fork thread tmp os wasm tls".split(), said
    assert "seccomp" in worker.get("/status").body
    t.verify()


@limit(120)
def test_keys_for_one_plugin(t):
    """They are for the package whose own manifest has that id, and for no other."""
    one, two = Hostile(t), Hostile(t, "hostile.second")
    given = t.dir / "given"
    given.mkdir()
    (given / "file").write_text("text")
    redis = t.redis.url.removeprefix("unix://")
    config = {"plugin.write": "", f"plugin.read.{KEY}": str(given), f"plugin.unix.{KEY}": "true"}
    worker = t.worker(config={**config, "plugin.connect": "1", f"plugin.read.{two.id}": str(given)})
    tries = [["read", str(given / "file")], ["write", str(given / "file")], ["unix", redis]]
    tries += [["tcp", worker.port]]
    got = list(reached(t, one, *tries).values())
    assert got[:2] == ["reached 4", "EACCES"] and got[2] in ("reached", "ENOENT"), got
    assert got[3] == "EACCES", got
    assert list(reached(t, two, *tries).values()) == ["EACCES"] * 4
    worker.terminate()
    worker.config |= {f"plugin.connect.{KEY}": str(worker.port), "plugin.connect": ""}
    worker.config |= {f"plugin.isolation.{KEY}": "none"}
    worker.start().wait_ready()
    t.wait_plugins(worker)
    assert reached(t, one, ["read", worker.config_path]) != {f"read {worker.config_path}": "EACCES"}
    worker.terminate()
    del worker.config[f"plugin.isolation.{KEY}"]
    worker.config[f"plugin.network.{KEY}"] = "none"
    worker.start().wait_ready()
    t.wait_plugins(worker)
    assert list(reached(t, one, *tries[2:]).values())[1] == "EACCES"
    assert list(reached(t, two, *tries[3:]).values()) == ["reached"]
    t.verify()


@limit(120)
def test_a_kernel_that_has_less(t):
    """auto does with what there is and says so, strict does not start a plugin."""
    plugin = Hostile(t)
    config = {"plugin.isolation": "strict"}
    old = without_call.before(without_call.LANDLOCK)
    worker = t.worker(config=config, before=old, ready=False)
    reason = "plugin.isolation is strict, and this system has no Landlock: Function not implemented"
    wait_until(lambda: reason in worker.stderr(), 30, worker.stderr)
    missing = "plugin.isolation: a layer is missing on this host (Landlock: Function not implemented)"
    assert missing in worker.stderr()
    key = f"envdriver:worker:{plugin.id}:w1"
    wait_until(lambda: reason in (t.redis.client.hget(key, "reason") or ""), 10, "the reason")
    worker.terminate()
    worker.config["plugin.isolation"] = "auto"
    worker.start().wait_ready()
    t.wait_plugins(worker)
    assert json.loads(worker.get("/status").body)["plugins"][0]["isolation"] == ["limits", "seccomp"]
    assert reached(t, plugin, ["namespace"], ["read", worker.config_path])["namespace"] == "EPERM"
    worker.terminate()
    worker.before = without_call.before(without_call.SECCOMP)
    worker.start().wait_ready()
    t.wait_plugins(worker)
    got = json.loads(worker.get("/status").body)["plugins"][0]["isolation"]
    assert got[0] == "limits" and len(got) == 2 and got[1].startswith("landlock:"), got
    t.verify()


@limit(120)
def test_strays_and_swarms(t):
    """Whatever a plugin does to its keeper and however many it becomes."""
    plugin = Hostile(t)
    worker = t.worker(config={f"plugin.isolation.{KEY}": "none"})
    got = reached(t, plugin, ["kill_keeper"])
    assert got["kill_keeper"].startswith("reached ["), got
    wait_until(lambda: "there is a new one" in worker.stderr(), 10, worker.stderr)
    hidden = t.dir / "hidden"
    t.topics.wait(t.topics.publish(plugin.command(config={"hide": str(hidden)})))
    pid = int(wait_until(lambda: hidden.exists() and hidden.read_text(), 5, "it hides"))
    worker.kill()
    wait_until(lambda: not alive(pid), 10, "the new keeper ends what the worker left")
    del worker.config[f"plugin.isolation.{KEY}"]
    worker.start().wait_ready(40)
    t.wait_plugins(worker)
    before = pid_of(t, plugin)
    [event] = t.topics.wait(t.topics.publish(plugin.command(config={"reach": [["fork_bomb"]]})))
    assert event.error["code"] == "WORKER_UNAVAILABLE", event.plain
    wait_until(lambda: pid_of(t, plugin) != before, 20, "it is started again")
    wait_until(lambda: "processes, more than the 512" in worker.stderr(), 5, worker.stderr)
    wait_until(lambda: sum(1 for _ in plugin_processes()) < 20, 10, "no process of it is left")
    t.verify()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def plugin_processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"hostile.py" in line and alive(pid):
            yield int(pid)


@limit(120)
def test_namespaces_by_bwrap(t):
    """No other process is seen, and no file but what is granted; /tmp is its own."""
    plugin = Hostile(t)
    t.install(t.fixture())
    data, given = t.dir / "data", t.dir / "given"
    given.mkdir()
    config = {"plugin.isolation.namespaces": "auto", "plugin.data.dir": str(data)}
    worker = t.worker(config={**config, "plugin.write": str(given)})
    layers = [p["isolation"] for p in json.loads(worker.get("/status").body)["plugins"]]
    assert layers == [["limits", "seccomp", "namespaces"]] * 2, (layers, worker.stderr())
    absent = [["read", f"/proc/{worker.pid}/environ"], ["kill", worker.pid]]
    absent += [["read", worker.config_path], ["listing", "/root"], ["read", "/etc/shadow"]]
    got = reached(t, plugin, *absent)
    assert set(got.values()) <= {"ENOENT", "ESRCH", "EACCES"}, got
    tries = [["tmp"], ["data"], ["write", given / "x"], ["namespace"], ["unix", "/x"]]
    tries += [["tcp", worker.port], ["descriptors"], ["run", "git", "--version"]]
    got = list(reached(t, plugin, *tries).values())
    assert got[0].startswith("reached /tmp/") and got[1] == f"reached {data / plugin.id / 'kept'}"
    assert got[2:7] == ["reached", "EPERM", "EACCES", "reached", [0, 1, 2]], got
    assert got[7].startswith("reached 0 git version"), got
    fields = {"command": "node", "args": ["-e", NODE], "timeoutMs": 60000}
    fields["lease"] = {"providerLeaseId": "lease-1"}
    [event] = t.topics.wait(t.topics.publish(commands.command("Execute", fields)))
    said = event.value["stdout"] + event.value["stderr"]
    assert said.split() == "dns listen fetch child fork thread tmp os wasm tls".split(), said
    hidden = given / "hidden"
    t.topics.wait(t.topics.publish(plugin.command(config={"hide": str(hidden)})))
    os.kill(int(pid_of(t, plugin)), signal.SIGKILL)
    wait_until(lambda: not any(plugin_processes()), 10, "all of it ended")
    t.wait_plugins(worker)
    t.verify()


@limit(120)
def test_control_groups(t):
    """Below a delegated one: what a plugin starts is in it, and ends with it."""
    root = cgroup_root()
    if not root:
        return
    group = root / f"envdriver-test-{os.getpid()}"
    group.mkdir()
    t.at_end(lambda: remove_groups(group))
    plugin = Hostile(t)
    worker = t.worker(config={"plugin.cgroup": str(group), f"plugin.isolation.{KEY}": "none"})
    layers = json.loads(worker.get("/status").body)["plugins"][0]["isolation"]
    assert layers == ["limits", "cgroup"], (layers, worker.stderr())
    members = {f.parent.name: f.read_text().split() for f in group.glob("*/cgroup.procs")}
    assert str(worker.pid) in members.pop("worker"), members
    [(name, found)] = members.items()
    assert name.startswith(f"plugin-{worker.pid}-") and found == [pid_of(t, plugin)], members
    hidden = t.dir / "hidden"
    t.topics.wait(t.topics.publish(plugin.command(config={"hide": str(hidden)})))
    pid = wait_until(lambda: hidden.exists() and hidden.read_text(), 5, "it hides")
    assert pid in (group / name / "cgroup.procs").read_text().split()
    os.kill(int(pid_of(t, plugin)), signal.SIGKILL)
    wait_until(lambda: not (group / name).exists(), 10, "the group goes with the plugin")
    assert not alive(int(pid))
    worker.terminate()
    wait_until(lambda: not list(group.glob("plugin-*")), 10, "none is left")
    t.verify()


def cgroup_root():
    """Of version 2, when tests may make groups there."""
    for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (path / "cgroup.procs").exists() and (path / "cgroup.controllers").exists():
            return path if os.access(path, os.W_OK) else None
    return None


def remove_groups(group):
    for folder in [*group.glob("*/"), group]:
        try:
            folder.rmdir()
        except OSError:
            pass
