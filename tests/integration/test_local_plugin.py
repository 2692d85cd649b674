# SPDX-License-Identifier: Apache-2.0
"""The local plugin, spoken to as a host would: one JSON object a line.

Needs nothing but the built program; the harness and what it gives to each test are not used.
Run alone:
    make SAN=address DEVELOPER=1 build/address/plugins/local/envdriver-local
    python3 tests/integration/test_local_plugin.py [name ...]
"""
import base64
import contextlib
import json
import os
import queue
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("ENVDRIVER_BUILD") or os.path.join(HERE, "..", "..", "build", "address")
PROGRAM = os.path.abspath(os.path.join(BUILD, "plugins", "local", "envdriver-local"))
PATIENCE = 30  # seconds; sanitizers and busy machines are slow
COMPANY = "company-1"
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Plugin:
    """One running plugin and a root folder of its own."""

    def __init__(self, root=None):
        self.root = root or os.path.join(tempfile.mkdtemp(prefix="test-local-"), "root")
        # As bare as envdriver makes it; sanitizers' options are for the tests.
        env = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        env.update(PATH="/usr/bin:/bin", SECRET_OF_THE_HOST="hush")
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env)
        self.replies = {}
        self.notes = []
        self.unasked = queue.Queue()  # replies whose id is null
        self.changed = threading.Condition()
        self.ended = False
        self.next_id = 0
        self.reading = threading.Event()
        self.reading.set()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.reading.wait()
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0", message
            with self.changed:
                if "id" not in message:
                    self.notes.append(message)
                elif message["id"] is None:
                    self.unasked.put(message)
                else:
                    assert message["id"] not in self.replies, "answered twice: %r" % message
                    self.replies[message["id"]] = message
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def write(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method, params=None, invocation=None, request_id=None):
        if request_id is None:
            self.next_id += 1
            request_id = self.next_id
        message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}}
        if invocation:
            message["paperclipInvocation"] = {"id": invocation, "scope": {"companyId": COMPANY}}
        self.write(json.dumps(message) + "\n")
        return request_id

    def wait(self, request_id):
        with self.changed:
            self.changed.wait_for(lambda: request_id in self.replies or self.ended, PATIENCE)
            if request_id not in self.replies:
                raise AssertionError("no reply to request %r; stderr: %s" %
                                     (request_id, self.ended and self.process.stderr.read()))
            return self.replies[request_id]

    def call(self, method, params=None, invocation=None):
        reply = self.wait(self.send(method, params, invocation))
        assert "result" in reply, reply
        return reply["result"]

    def error(self, method, params=None):
        reply = self.wait(self.send(method, params))
        assert "error" in reply and "result" not in reply, reply
        return reply["error"]

    def base(self, config=None, **more):
        return dict({"driverKey": "local", "companyId": COMPANY, "environmentId": "env-1",
                     "config": dict({"root": self.root}, **(config or {}))}, **more)

    def acquire(self, invocation=None, config=None, **more):
        return self.call("environmentAcquireLease",
                         self.base(config, issueId=None, runId="run-1", **more), invocation)

    def execute_params(self, lease, script, config=None, **more):
        return dict(self.base(config), lease=lease, command="/bin/sh", args=["-c", script], **more)

    def execute(self, lease, script, invocation=None, config=None, **more):
        return self.call("environmentExecute",
                         self.execute_params(lease, script, config, **more), invocation)

    def start(self, lease, script, invocation=None, config=None, **more):
        return self.send("environmentExecute",
                         self.execute_params(lease, script, config, **more), invocation)

    def give_back(self, method, lease, config=None, **more):
        return self.call(method, self.base(config, providerLeaseId=lease["providerLeaseId"],
                                           leaseMetadata=lease["metadata"], **more))

    def chunks(self, invocation):
        with self.changed:
            return [(n["params"]["stream"], n["params"]["chunk"]) for n in self.notes
                    if n["method"] == "execute.log" and n["paperclipInvocationId"] == invocation]

    def raw_chunks(self, invocation):
        """The bytes of each piece."""
        with self.changed:
            notes = [n["params"] for n in self.notes
                     if n["method"] == "execute.log" and n["paperclipInvocationId"] == invocation]
        return [base64.b64decode(p["chunkBase64"], validate=True) if "chunkBase64" in p
                else p["chunk"].encode() for p in notes]

    def wait_for_output(self, invocation, text):
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(text in n["params"].get("chunk", "") for n in self.notes
                            if n.get("paperclipInvocationId") == invocation), PATIENCE), \
                "never wrote %r" % text

    def end(self):
        """Closes stdin; the exit code and what was written to stderr."""
        self.reading.set()
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return code, self.process.stderr.read().decode(errors="replace")


@contextlib.contextmanager
def plugin(root=None):
    p = Plugin(root)
    try:
        yield p
        code, stderr = p.end()
        # A sanitizer that found something, a leak included, says so there.
        assert (code, stderr) == (0, ""), (code, stderr)
        assert processes_in(p.root) == [], "the plugin left processes behind"
    finally:
        if p.process.poll() is None:
            p.process.kill()
            p.process.wait()
        if not root:
            shutil.rmtree(os.path.dirname(p.root), ignore_errors=True)


def new_id():
    return str(uuid.uuid4())


def is_alive(pid):
    """Zombies are dead: whoever inherited them may not have looked yet."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def processes_in(folder):
    """What runs in a folder or below it, by its current directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink("/proc/%s/cwd" % pid).startswith(folder + "/") and is_alive(int(pid)):
                with open("/proc/%s/cmdline" % pid) as f:
                    found.append((int(pid), f.read().replace("\0", " ")))
    return found


def wait_until(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def read_pid(lease, name):
    path = os.path.join(lease["metadata"]["remoteCwd"], name)
    wait_until(lambda: os.path.exists(path) and open(path).read().endswith("\n"), "no " + path)
    return int(open(path).read())


# ---- the protocol ------------------------------------------------------------

def test_handshake(_=None):
    with plugin() as p:
        result = p.call("initialize", {"manifest": {}, "config": {}, "apiVersion": 1,
                                       "instanceInfo": {"instanceId": "i", "hostVersion": "1"},
                                       "databaseNamespace": None})
        assert result["ok"] is True
        for name in ("health", "shutdown", "configChanged", "environmentValidateConfig",
                     "environmentProbe", "environmentAcquireLease", "environmentResumeLease",
                     "environmentReleaseLease", "environmentDestroyLease",
                     "environmentRealizeWorkspace", "environmentExecute"):
            assert name in result["supportedMethods"], name
        assert "environmentSyncIn" not in result["supportedMethods"]
        assert p.notes[0]["method"] == "log" and "isolation" in p.notes[0]["params"]["message"]
        assert p.error("initialize") == {"code": -32002, "message": "Worker already initialized"}
        assert p.call("health")["status"] == "ok"
        assert p.call("configChanged", {"config": {}, "companyId": COMPANY}) is None


def test_shutdown_answers_and_exits(_=None):
    with plugin() as p:
        assert p.call("shutdown") is None
        assert p.process.wait(PATIENCE) == 0


def test_unknown_and_unimplemented_methods(_=None):
    with plugin() as p:
        assert p.error("environmentNoSuchThing") == {
            "code": -32601, "message": "Unknown method: environmentNoSuchThing"}
        assert p.error("environmentCaptureTemplate") == {
            "code": -32004, "message": "environmentCaptureTemplate is not implemented by this plugin"}


def test_ids_are_echoed(_=None):
    with plugin() as p:
        for request_id in ("a string", "7", 7, 0, -3, 2 ** 53, 1.5, "\u2603", "a\u0000b"):
            assert p.wait(p.send("health", request_id=request_id))["id"] == request_id


def test_lines_that_are_no_requests(_=None):
    rows = [
        ("garbage", "junk\n", -32700),
        ("half an object", '{"half":\n', -32700),
        ("a number", "42\n", -32700),
        ("not UTF-8", b'{"a":"\xff"}\n', -32700),
        ("an array", "[]\n", -32600),
        ("no version", '{"id":99,"method":"health"}\n', -32600),
        ("an empty line", "\n", None),
        ("spaces", "  \t \r\n", None),
        ("a notification", '{"jsonrpc":"2.0","method":"health"}\n', None),
        ("a null id", '{"jsonrpc":"2.0","method":"health","id":null}\n', None),
        ("a response", '{"jsonrpc":"2.0","id":1,"result":{}}\n', None),
    ]
    for name, line, code in rows:
        with plugin() as p:
            p.write(line)
            p.call("health")  # still there, and what came before is dealt with
            if name == "no version":
                assert p.wait(99)["error"]["code"] == code, name
            elif code is None:
                assert p.unasked.empty(), (name, p.unasked.get())
            else:
                assert p.unasked.get(timeout=PATIENCE)["error"]["code"] == code, name


def test_requests_in_pieces_and_in_bulk(_=None):
    with plugin() as p:
        request = json.dumps({"jsonrpc": "2.0", "id": "slow", "method": "health"}) + "\r\n"
        for c in request:
            p.write(c)
        assert p.wait("slow")["result"]["status"] == "ok"
        p.write("".join(json.dumps({"jsonrpc": "2.0", "id": "n%d" % i, "method": "health"}) + "\n"
                        for i in range(500)))
        for i in range(500):
            p.wait("n%d" % i)


def test_what_javascript_writes(_=None):
    """Lone surrogates and integers beyond 64 bits are legal in its JSON."""
    with plugin() as p:
        p.write('{"jsonrpc":"2.0","id":1001,"method":"health","params":{"a":"\\ud800x\\\\ud800"}}\n')
        p.write('{"jsonrpc":"2.0","id":1002,"method":"health","params":{"a":36893488147419103232}}\n')
        assert p.wait(1001)["result"]["status"] == "ok"
        assert json.dumps(p.wait(1002)["id"]) == "1002"
        lease = p.acquire()
        result = p.execute(lease, 'printf %s "$A"', env={"A": "\U0001f98a \udc00!"})
        assert result["stdout"] == "\U0001f98a \ufffd!"


def test_stdin_that_is_a_file_is_refused(_=None):
    with open(os.devnull) as null:
        done = subprocess.run([PROGRAM], stdin=null, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 2 and b"standard input" in done.stderr


def test_package(_=None):
    """The build folder is a package, and its manifest says what the program does."""
    folder = os.path.dirname(PROGRAM)
    assert os.path.exists(os.path.join(folder, "README.md"))
    with open(os.path.join(folder, "plugin.json")) as f:
        package = json.load(f)
    assert os.path.samefile(os.path.join(folder, package["command"][0]), PROGRAM)
    manifest = package["manifest"]
    assert (manifest["id"], manifest["apiVersion"]) == ("envdriver.local", 1)
    driver, = manifest["environmentDrivers"]
    assert (driver["driverKey"], driver["kind"]) == ("local", "sandbox_provider")
    with plugin() as p:
        p.call("initialize")
        assert " %s:" % manifest["version"] in p.notes[0]["params"]["message"]
        schema = driver["configSchema"]["properties"]
        result = p.call("environmentValidateConfig", {"driverKey": "local", "config": {}})
        for name, value in result["normalizedConfig"].items():
            assert name == "root" or schema[name]["default"] == value, name
        everything = {name: None for name in schema}
        result = p.call("environmentValidateConfig", {"driverKey": "local", "config": everything})
        assert result["warnings"] == [], result


# ---- config and probe -----------------------------------------------------------

def test_config_is_checked(_=None):
    rows = [
        ("empty", {}, None),
        ("all", {"root": "/tmp/x", "timeoutMs": 5, "outputLimitBytes": 9, "keep": False,
                 "env": {"A": "b"}, "reuseLease": True}, None),
        ("nulls are defaults", {"root": None, "timeoutMs": None}, None),
        ("relative root", {"root": "x"}, "root"),
        ("root is /", {"root": "//"}, "root"),
        ("root with NUL", {"root": "/a\u0000b"}, "root"),
        ("time-out of 0", {"timeoutMs": 0}, "timeoutMs"),
        ("time-out is text", {"timeoutMs": "5"}, "timeoutMs"),
        ("limit too high", {"outputLimitBytes": 2 ** 31}, "outputLimitBytes"),
        ("keep is a number", {"keep": 1}, "keep"),
        ("env is a list", {"env": []}, "env"),
        ("env of numbers", {"env": {"A": 1}}, "env"),
        ("name with =", {"env": {"A=B": "c"}}, "env"),
        ("not an object", [], "config"),
    ]
    with plugin() as p:
        for name, config, field in rows:
            result = p.call("environmentValidateConfig", {"driverKey": "local", "config": config})
            assert result["ok"] is (field is None), (name, result)
            if field:
                assert result["errors"][0].startswith(field + " "), (name, result)
                assert "normalizedConfig" not in result, name
        full = p.call("environmentValidateConfig",
                      {"driverKey": "local", "config": {"root": "/tmp/y/", "other": [1.5]}})
        assert full["normalizedConfig"] == {
            "root": "/tmp/y", "other": [1.5], "timeoutMs": 300000, "outputLimitBytes": 67108864,
            "keep": True, "env": {}}, full
        assert len(full["warnings"]) == 1 and full["warnings"][0].startswith("other ")
        assert p.error("environmentAcquireLease", p.base({"timeoutMs": -1}))["code"] == -32602


def test_probe(_=None):
    with plugin() as p:
        result = p.call("environmentProbe", p.base())
        assert result["ok"] is True and p.root in result["summary"], result
        codes = {d["code"]: d["severity"] for d in result["diagnostics"]}
        assert codes["ROOT"] == "info" and "FREE_SPACE" in codes
        assert codes["NO_ISOLATION"] == "warning"
        assert stat.S_IMODE(os.stat(p.root).st_mode) == 0o700
        assert os.listdir(p.root) == []
        for name, root in (("a file", "/etc/passwd"), ("below a file", "/etc/passwd/x"),
                           ("open to all", "/tmp")):
            result = p.call("environmentProbe", p.base({"root": root}))
            assert result["ok"] is False, name
            assert any(d["severity"] == "error" for d in result["diagnostics"]), name
        result = p.call("environmentProbe", p.base({"timeoutMs": "x"}))
        assert result["ok"] is False and result["diagnostics"][0]["code"] == "CONFIG"


# ---- leases -------------------------------------------------------------------

def test_acquire_execute_destroy(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        folder = os.path.join(p.root, lease["providerLeaseId"])
        assert lease["providerLeaseId"].startswith("local-")
        assert lease["metadata"]["remoteCwd"] == os.path.join(folder, "workspace")
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        where = p.call("environmentRealizeWorkspace",
                       p.base(lease=lease, workspace={"localPath": "/somewhere"}))
        assert where["cwd"] == lease["metadata"]["remoteCwd"]
        assert p.execute(lease, "pwd; echo hello >file")["stdout"] == where["cwd"] + "\n"
        assert open(os.path.join(where["cwd"], "file")).read() == "hello\n"
        receipt = {"providerLeaseId": lease["providerLeaseId"], "state": "destroyed"}
        assert p.give_back("environmentDestroyLease", lease) == receipt
        assert os.listdir(p.root) == []
        assert p.give_back("environmentDestroyLease", lease) == receipt, "not idempotent"
        assert p.give_back("environmentReleaseLease", lease) == receipt
        error = p.error("environmentExecute", p.execute_params(lease, "true"))
        assert error["code"] == -32002 and "does not exist" in error["message"]


def test_acquire_is_idempotent_by_invocation_id(_=None):
    invocation = new_id()
    with plugin() as p:
        first = p.acquire(invocation)
        assert first["providerLeaseId"] == "local-" + invocation
        p.execute(first, "echo kept >file")
        assert p.acquire(invocation) == first
        assert p.acquire(new_id())["providerLeaseId"] != first["providerLeaseId"]
        assert p.acquire()["providerLeaseId"] != p.acquire()["providerLeaseId"]
        with plugin(p.root) as restarted:
            assert restarted.acquire(invocation) == first, "forgotten over a restart"
            assert restarted.execute(first, "cat file")["stdout"] == "kept\n"


def test_odd_invocation_ids_make_leases_of_their_own(_=None):
    with plugin() as p:
        ids = [p.acquire(i)["providerLeaseId"] for i in
               ("../../x", "a/b", "a_b", "a_2fb", "ä", ".", "A")]
        assert len(set(ids)) == len(ids), ids
        assert sorted(os.listdir(p.root)) == sorted(ids), "a lease outside of the root"
        reply = p.wait(p.send("environmentAcquireLease", p.base(runId="r"), "x" * 500))
        assert reply["error"]["code"] == -32602


def test_half_made_lease_is_completed(_=None):
    invocation = new_id()
    with plugin() as p:
        os.makedirs(os.path.join(p.root, "local-" + invocation), mode=0o700)
        os.chmod(p.root, 0o700)
        half = {"providerLeaseId": "local-" + invocation, "metadata": {}}
        assert p.give_back("environmentResumeLease", half)["providerLeaseId"] is None
        assert p.execute(p.acquire(invocation), "echo ok")["stdout"] == "ok\n"


def test_resume(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        resumed = p.give_back("environmentResumeLease", lease)
        assert resumed["metadata"].pop("resumedLease") is True
        assert lease["metadata"].pop("resumedLease") is False
        assert resumed == lease
        shutil.rmtree(os.path.join(p.root, lease["providerLeaseId"]))
        for name, lost in (("removed", lease["providerLeaseId"]), ("not ours", "fixture://x/1"),
                           ("a path", "local-../../etc"), ("none", "local-" + new_id())):
            result = p.call("environmentResumeLease", p.base(providerLeaseId=lost))
            assert result["providerLeaseId"] is None, name


def test_lease_is_found_though_the_config_has_changed(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        p.config_root, p.root = p.root, p.root + "-of-today"
        assert p.execute(lease, "echo found")["stdout"] == "found\n"
        assert p.give_back("environmentDestroyLease", lease)["state"] == "destroyed"
        p.root = p.config_root
        assert os.listdir(p.root) == []


def test_lease_of_another_company_is_refused(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        theirs = dict(p.execute_params(lease, "true"), companyId="company-2")
        assert "another company" in p.error("environmentExecute", theirs)["message"]
        error = p.error("environmentDestroyLease",
                        p.base(providerLeaseId=lease["providerLeaseId"], companyId="company-2"))
        assert "another company" in error["message"]
        for nobody in ("", "  ", None):
            theirs = dict(p.execute_params(lease, "true"), companyId=nobody)
            assert "another company" in p.error("environmentExecute", theirs)["message"], nobody
        assert p.execute(lease, "echo still here")["stdout"] == "still here\n"


def test_destroy_follows_no_link_and_needs_no_permission(_=None):
    with plugin() as p:
        outside = os.path.join(os.path.dirname(p.root), "outside")
        os.makedirs(outside)
        open(os.path.join(outside, "precious"), "w").close()
        lease = p.acquire(new_id())
        script = ("ln -s '%s' link; mkdir -p ro/sub none; touch ro/sub/f; mkfifo fifo; "
                  "ln -s '%s' ro/link; printf x >'a\nb'; chmod 0 none; chmod 500 ro ro/sub; "
                  "i=0; while [ $i -lt 400 ]; do mkdir d && cd d; i=$((i+1)); done; touch deep"
                  % (outside, outside))
        assert p.execute(lease, script)["exitCode"] == 0
        assert p.give_back("environmentDestroyLease", lease)["state"] == "destroyed"
        assert os.listdir(p.root) == []
        assert os.listdir(outside) == ["precious"]


def test_destroy_without_an_id(_=None):
    with plugin() as p:
        for method in ("environmentDestroyLease", "environmentReleaseLease"):
            assert p.call(method, p.base(providerLeaseId=None)) is None
            assert p.call(method, p.base(providerLeaseId="fixture://x")) == {
                "providerLeaseId": "fixture://x", "state": "destroyed"}


def test_release_keeps_the_folder_unless_told_otherwise(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        p.execute(lease, "echo kept >file")
        assert p.give_back("environmentReleaseLease", lease)["state"] == "stopped"
        assert p.give_back("environmentResumeLease", lease)["providerLeaseId"]
        assert p.execute(lease, "cat file")["stdout"] == "kept\n"
        assert p.give_back("environmentReleaseLease", lease, {"keep": False})["state"] == "destroyed"
        assert os.listdir(p.root) == []


def test_release_with_cancel_ends_the_running_execute(_=None):
    with plugin() as p:
        lease, invocation = p.acquire(new_id()), new_id()
        running = p.start(lease, "echo begun; exec sleep 1000", invocation)
        p.wait_for_output(invocation, "begun")
        assert p.give_back("environmentReleaseLease", lease) is None, "a receipt while it runs"
        receipt = p.give_back("environmentReleaseLease", lease, cancelActiveWork=True)
        assert receipt == {"providerLeaseId": lease["providerLeaseId"], "state": "stopped"}
        assert running in p.replies, "the receipt came before the end"
        result = p.replies[running]["result"]
        assert (result["exitCode"], result["signal"], result["timedOut"]) == (None, "SIGTERM", False)
        assert result["stdout"] == "begun\n"
        assert result["metadata"]["endedBy"] == "release"
        assert p.execute(lease, "echo usable")["stdout"] == "usable\n"


def test_receipt_means_that_nothing_is_left(_=None):
    """Also what left its process group, its session and its parent."""
    with plugin() as p:
        lease = p.acquire(new_id())
        result = p.execute(lease, "(setsid sh -c 'trap \"\" TERM HUP; echo $$ >pid; sleep 1000' "
                           "</dev/null >/dev/null 2>&1 &) ; (sleep 1000 >/dev/null 2>&1 & "
                           "echo $! >pid2)")
        assert result["exitCode"] == 0 and result["metadata"]["leftRunning"] is True, result
        pids = [read_pid(lease, "pid"), read_pid(lease, "pid2")]
        assert all(is_alive(pid) for pid in pids), "a server in the background must stay"
        assert p.give_back("environmentReleaseLease", lease) is None
        assert p.give_back("environmentReleaseLease", lease, cancelActiveWork=True)["state"] == "stopped"
        assert not any(is_alive(pid) for pid in pids)


def test_destroy_ends_the_running_execute(_=None):
    with plugin() as p:
        lease, other = p.acquire(new_id()), p.acquire(new_id())
        invocation = new_id()
        running = p.start(lease, "trap '' TERM; echo begun; while :; do sleep 0.1; done", invocation)
        elsewhere = p.start(other, "sleep 1; echo untouched")
        p.wait_for_output(invocation, "begun")
        destroying = p.send("environmentDestroyLease",
                            p.base(providerLeaseId=lease["providerLeaseId"]))
        late = p.wait(p.start(lease, "true"))
        assert "being given back" in late["error"]["message"], late
        assert p.wait(destroying)["result"]["state"] == "destroyed"
        assert p.replies[running]["result"]["signal"] == "SIGKILL"
        assert p.replies[running]["result"]["metadata"]["endedBy"] == "destroy"
        assert p.wait(elsewhere)["result"]["stdout"] == "untouched\n"


# ---- execute --------------------------------------------------------------------

def test_exit_codes_and_signals(_=None):
    rows = [
        ("success", "true", 0, None),
        ("failure", "exit 3", 3, None),
        ("highest code", "exit 255", 255, None),
        ("not found by the shell", "no-such-command", 127, None),
        ("SIGKILL", "kill -9 $$", None, "SIGKILL"),
        ("SIGSEGV", "kill -SEGV $$", None, "SIGSEGV"),
        ("SIGHUP", "kill -HUP $$", None, "SIGHUP"),
        ("SIGPIPE is not ignored", "kill -PIPE $$", None, "SIGPIPE"),
        ("its whole group", "kill -9 0", None, "SIGKILL"),
    ]
    with plugin() as p:
        lease = p.acquire(new_id())
        for name, script, code, sig in rows:
            result = p.execute(lease, script)
            assert (result["exitCode"], result["signal"]) == (code, sig), (name, result)
            assert result["timedOut"] is False, name
        meta = result["metadata"]
        assert meta["pid"] > 0 and meta["durationMs"] >= 0 and meta["endedBy"] == "exit"
        assert meta["startedAt"].endswith("Z") and "leftRunning" not in meta


def test_what_cannot_be_started_is_an_error(_=None):
    rows = [
        ("missing", {"command": "/no/such/binary"}, -32002, "spawn /no/such/binary ENOENT"),
        ("not in PATH", {"command": "no-such-binary"}, -32002, "spawn no-such-binary ENOENT"),
        ("not executable", {"command": "/etc/passwd"}, -32002, "spawn /etc/passwd EACCES"),
        ("empty", {"command": ""}, -32602, "command"),
        ("with NUL", {"command": "a\u0000b"}, -32602, "command"),
        ("args is text", {"args": "x"}, -32602, "args"),
        ("args of numbers", {"args": ["-c", 1]}, -32602, "args[1]"),
        ("env is text", {"env": "x"}, -32602, "env"),
        ("env of numbers", {"env": {"A": 1}}, -32602, "env.A"),
        ("stdin is a number", {"stdin": 1}, -32602, "stdin"),
        ("cwd is missing", {"cwd": "no/such"}, -32602, "no/such"),
        ("cwd is a file", {"cwd": "/etc/passwd"}, -32602, "/etc/passwd"),
        ("cwd leads out", {"cwd": "../.."}, -32602, "leads out"),
        ("cwd leads out by a link", {"cwd": "link"}, -32602, "leads out"),
        ("too many bytes", {"args": ["x" * (3 << 20)]}, -32002, "spawn /bin/sh E2BIG"),
        ("no lease", {"lease": {}}, -32602, "providerLeaseId"),
    ]
    with plugin() as p:
        lease = p.acquire(new_id())
        os.symlink("/", os.path.join(lease["metadata"]["remoteCwd"], "link"))
        for name, change, code, text in rows:
            error = p.error("environmentExecute", dict(p.execute_params(lease, "true"), **change))
            assert error["code"] == code and text in error["message"], (name, error)
        assert p.execute(lease, "true")["exitCode"] == 0


def test_cwd(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        home = lease["metadata"]["remoteCwd"]
        os.makedirs(home + "/a/b")
        for name, cwd, expected in (("none", None, home), ("empty", "", home),
                                    ("relative", "a/b", home + "/a/b"), ("back", "a/..", home),
                                    ("absolute", "/", "/"), ("its own", home + "/a", home + "/a")):
            assert p.execute(lease, "pwd", cwd=cwd)["stdout"] == expected + "\n", name


def test_environment_is_scrubbed(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())

        def environment(config=None, **more):
            params = dict(p.execute_params(lease, "", config), command="env", args=[], **more)
            return sorted(p.call("environmentExecute", params)["stdout"].splitlines())
        assert environment() == ["PATH=" + DEFAULT_PATH]
        assert environment(env=None) == ["PATH=" + DEFAULT_PATH]
        assert environment({"env": {"A": "config", "B": "config"}},
                           env={"B": "request", "C": "", "PATH": "/bin:/usr/bin"}) == [
            "A=config", "B=request", "C=", "PATH=/bin:/usr/bin"]
        # Meant for the command, not for what starts it.
        assert "LD_PRELOAD=/no/such.so" in environment(env={"LD_PRELOAD": "/no/such.so"})


def test_arguments_arrive_as_they_are(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        args = ["%s\n", "", " a  b ", "--keep", "*", "'", "\n", "\u2603"]
        params = dict(p.execute_params(lease, ""), command="printf", args=args)
        assert p.call("environmentExecute", params)["stdout"] == \
            "".join(a + "\n" for a in args[1:])


def test_stdin(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        for name, text in (("none", None), ("empty", ""), ("short", "a\nb"), ("NUL", "a\u0000b"),
                           ("large", "0123456\u00e9" * 250000)):
            result = p.execute(lease, "cat", stdin=text)
            assert result["stdout"] == (text or ""), name
        assert p.execute(lease, "exit 4", stdin="x" * 1000000)["exitCode"] == 4, "unread input"
        assert p.execute(lease, "echo out >/dev/stdout; echo err >/dev/stderr")["stderr"] == "err\n"


def test_timeout(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        begin = time.monotonic()
        result = p.execute(lease, "echo start; sleep 1000", timeoutMs=300)
        assert time.monotonic() - begin < 10
        assert (result["exitCode"], result["signal"], result["timedOut"], result["stdout"]) == \
            (None, "SIGTERM", True, "start\n")
        assert result["metadata"]["endedBy"] == "timeout"
        result = p.execute(lease, "trap '' TERM; while :; do sleep 0.05; done", timeoutMs=300)
        assert (result["exitCode"], result["signal"], result["timedOut"]) == (None, "SIGKILL", True)
        result = p.execute(lease, "sleep 1000", config={"timeoutMs": 200})
        assert result["timedOut"] is True, "the config's time limit"
        result = p.execute(lease, "sleep 0.5", config={"timeoutMs": 60000}, timeoutMs=0)
        assert result["timedOut"] is False, "only a number above 0 counts"


def test_timeout_with_a_grandchild_that_holds_the_pipes(_=None):
    rows = [
        ("in its process group", "sleep 1000 & echo $! >pid; sleep 1000", None),
        ("command has ended", "sleep 1000 & echo $! >pid; exit 7", 7),
        ("session of its own", "setsid sh -c 'trap \"\" TERM; echo $$ >pid; sleep 1000' & "
         "sleep 1000", None),
    ]
    with plugin() as p:
        for name, script, code in rows:
            lease = p.acquire(new_id())
            begin = time.monotonic()
            result = p.execute(lease, "echo start; " + script, timeoutMs=500)
            assert time.monotonic() - begin < 10, name
            assert (result["exitCode"], result["timedOut"]) == (None, True), (name, result)
            assert result["metadata"].get("exitCode") == code, (name, result)
            assert result["stdout"] == "start\n", name
            pid = read_pid(lease, "pid")
            wait_until(lambda: not is_alive(pid), name + ": the grandchild lives")


def test_a_grandchild_in_time_is_waited_for(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        result = p.execute(lease, "(sleep 0.5; echo later) & echo now", timeoutMs=20000)
        assert (result["stdout"], result["exitCode"]) == ("now\nlater\n", 0)


def test_live_output_is_in_order_and_equal_to_the_final_one(_=None):
    with plugin() as p:
        lease, invocation = p.acquire(new_id()), new_id()
        result = p.execute(lease, "i=0; while [ $i -lt 300 ]; do echo out $i \u00e9\u2603; "
                           "echo err $i >&2; i=$((i+1)); done", invocation)
        chunks = p.chunks(invocation)
        assert len(result["stdout"].splitlines()) == 300
        for stream in ("stdout", "stderr"):
            assert "".join(c for s, c in chunks if s == stream) == result[stream], stream
        slow = new_id()
        running = p.start(lease, "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three", slow)
        p.wait_for_output(slow, "one")
        assert running not in p.replies, "not live"
        p.wait(running)
        assert p.chunks(slow) == [("stdout", "one\n"), ("stderr", "two\n"), ("stdout", "three\n")]
        before = len(p.notes)
        p.execute(lease, "echo silent")
        assert len(p.notes) == before, "live output without an invocation"


BYTES_REPLACED = {
    "a lone byte": 1,
    "cut off at the end": 2,
    "cut off in the middle": 3,
    "two beginnings": 1,
    "overlong": 2,
    "a surrogate": 3,
    "beyond the end": 4,
}


def test_nul_and_invalid_utf8(_=None):
    rows = [
        ("NUL", r"a\000b", "a\u0000b"),
        ("controls", r"\001\037\177\"\\", "\x01\x1f\x7f\"\\"),
        ("a lone byte", r"a\377b", "a\ufffdb"),
        ("cut off at the end", r"a\342\230", "a\ufffd"),
        ("cut off in the middle", r"\360\237\246x", "\ufffdx"),
        ("two beginnings", r"\342\342\230\203", "\ufffd\u2603"),
        ("overlong", r"\300\200", "\ufffd\ufffd"),
        ("a surrogate", r"\355\240\200", "\ufffd\ufffd\ufffd"),
        ("beyond the end", r"\364\220\200\200", "\ufffd\ufffd\ufffd\ufffd"),
        ("the last one", r"\364\217\277\277", "\U0010ffff"),
    ]
    with plugin() as p:
        lease = p.acquire(new_id())
        for name, octal, expected in rows:
            invocation = new_id()
            result = p.call("environmentExecute", dict(
                p.execute_params(lease, ""), command="printf", args=[octal]), invocation)
            assert result["stdout"] == expected, (name, result["stdout"])
            replaced = result["metadata"].get("outputBytesReplaced", 0)
            assert replaced == BYTES_REPLACED.get(name, 0), (name, replaced)
            assert "".join(c for _, c in p.chunks(invocation)) == expected, name
            # The bytes stand beside a text that they are not.
            written = subprocess.run(["printf", octal], capture_output=True).stdout
            coded = result.get("stdoutBase64")
            assert (coded is None) == (replaced == 0) and "stderrBase64" not in result, name
            assert coded is None or base64.b64decode(coded, validate=True) == written, name
            assert b"".join(p.raw_chunks(invocation)) == written, name
        invocation = new_id()
        result = p.execute(lease, r"for b in '\360' '\237' '\246' '\212'; do printf $b; sleep 0.05; "
                           "done", invocation)
        assert result["stdout"] == "\U0001f98a"
        assert p.chunks(invocation) == [("stdout", "\U0001f98a")], "a character was cut in two"


def test_big_output(_=None):
    with plugin() as p:
        lease, invocation = p.acquire(new_id()), new_id()
        result = p.execute(lease, "yes '0123456789\u00e9\u2603' | head -c 8388608", invocation)
        assert len(result["stdout"].encode()) in range(8388608, 8388612)
        chunks = p.chunks(invocation)
        assert "".join(c for _, c in chunks) == result["stdout"]
        assert all(0 < len(c.encode()) <= 65536 for _, c in chunks)


def test_output_limit(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        result = p.execute(lease, "echo begun; exec yes", config={"outputLimitBytes": 100000})
        assert (result["signal"], result["timedOut"]) == ("SIGTERM", False)
        meta = result["metadata"]
        assert meta["endedBy"] == "outputLimit" and meta["outputLimitBytes"] == 100000, meta
        assert isinstance(meta["outputCut"], bool)
        assert 100000 < len(result["stdout"]) < 400000
        result = p.execute(lease, "printf 0123456789", config={"outputLimitBytes": 10})
        assert (result["exitCode"], result["metadata"]["endedBy"]) == (0, "exit")
        # In a JSON string NUL takes six bytes, and hosts drop lines above 128 MiB.
        result = p.execute(lease, "head -c 22000000 /dev/zero")
        assert result["metadata"]["endedBy"] == "outputLimit"


def test_slow_host_loses_nothing(_=None):
    with plugin() as p:
        lease, invocation = p.acquire(new_id()), new_id()
        p.reading.clear()
        running = p.start(lease, "head -c 20000000 /dev/zero | tr '\\000' x; echo done >&2", invocation)
        time.sleep(1.5)
        with open("/proc/%d/statm" % p.process.pid) as f:
            pages = int(f.read().split()[1])
        p.reading.set()
        result = p.wait(running)["result"]
        assert len(result["stdout"]) == 20000000 and result["stderr"] == "done\n"
        assert sum(len(c) for s, c in p.chunks(invocation) if s == "stdout") == 20000000
        if "address" not in PROGRAM:  # a sanitizer's own memory drowns what we look for
            assert pages * 4096 < 40 << 20, "output was piled up: %d pages" % pages


def test_parallel_executions(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        begin = time.monotonic()
        invocations = [new_id() for _ in range(30)]
        running = [p.start(lease, "sleep 2; echo %d; exit %d" % (i, i), invocation)
                   for i, invocation in enumerate(invocations)]
        assert p.call("health")["details"]["commands"] == 30
        for i, request_id in enumerate(running):
            result = p.wait(request_id)["result"]
            assert (result["stdout"], result["exitCode"]) == ("%d\n" % i, i)
            assert p.chunks(invocations[i]) == [("stdout", "%d\n" % i)]
        assert time.monotonic() - begin < 30, "one after the other"


def test_too_many_executions_are_refused(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        running = [p.start(lease, "exec sleep 1000") for _ in range(205)]
        refused = [p.wait(r)["error"]["code"] for r in running[200:]]
        assert refused == [429] * 5
        p.give_back("environmentReleaseLease", lease, cancelActiveWork=True)
        # SIGKILL for those that had not even begun when the 250 ms were over.
        assert all(p.wait(r)["result"]["signal"] in ("SIGTERM", "SIGKILL") for r in running[:200])


# ---- the end --------------------------------------------------------------------

def begin_stubborn(p):
    """Starts a command and what evades it; their pids."""
    lease, invocation = p.acquire(new_id()), new_id()
    running = p.start(lease, "trap '' TERM; echo $$ >pid; (setsid sh -c 'echo $$ >pid2; sleep 1000' &); "
                      "echo begun; while :; do sleep 0.1; done", invocation)
    p.wait_for_output(invocation, "begun")
    return running, [read_pid(lease, "pid"), read_pid(lease, "pid2")]


def test_stdin_eof_leaves_no_child(_=None):
    with plugin() as p:
        _, pids = begin_stubborn(p)
        begin = time.monotonic()
        assert p.end() == (0, "")
        assert time.monotonic() - begin < 4, "it waited for something that could not be stopped"
        assert not any(is_alive(pid) for pid in pids)


def test_sigterm_leaves_no_child(_=None):
    with plugin() as p:
        running, pids = begin_stubborn(p)
        p.process.send_signal(signal.SIGTERM)
        assert p.wait(running)["result"]["metadata"]["endedBy"] == "shutdown"
        assert p.process.wait(PATIENCE) == 0
        assert not any(is_alive(pid) for pid in pids)


def test_shutdown_leaves_no_child(_=None):
    with plugin() as p:
        running, pids = begin_stubborn(p)
        stopping = p.send("shutdown")
        assert p.error("environmentProbe", p.base())["code"] == -32002, "new work while ending"
        assert p.wait(stopping)["result"] is None
        assert p.replies[running]["result"]["signal"] == "SIGKILL"
        assert not any(is_alive(pid) for pid in pids)
        assert p.process.wait(PATIENCE) == 0


def test_kill_9_leaves_no_child(_=None):
    p = Plugin()
    try:
        _, pids = begin_stubborn(p)
        p.process.kill()
        p.process.wait(PATIENCE)
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "processes of a killed plugin")
        wait_until(lambda: not processes_in(p.root), "processes of a killed plugin")
    finally:
        p.end()
        shutil.rmtree(os.path.dirname(p.root), ignore_errors=True)


def test_killed_keeper_is_reported(_=None):
    with plugin() as p:
        lease = p.acquire(new_id())
        error = p.error("environmentExecute", p.execute_params(lease, "kill -9 $PPID; sleep 1000"))
        assert error["code"] == -32002 and "was killed" in error["message"], error


def test_last_line_needs_no_line_break(_=None):
    with plugin() as p:
        p.write('{"jsonrpc":"2.0","id":"last","method":"health"}')
        p.process.stdin.close()
        assert p.wait("last")["result"]["status"] == "ok"


def main(names):
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith("test_") and callable(f)]
    failed = 0
    for name, test in tests:
        if names and name not in names:
            continue
        begin = time.monotonic()
        try:
            test()
            print("ok    %-60s %6.2f s" % (name, time.monotonic() - begin), flush=True)
        except Exception as e:  # the others are still worth running
            failed += 1
            print("FAIL  %s: %s: %s" % (name, type(e).__name__, e), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
