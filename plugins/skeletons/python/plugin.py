#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Skeleton of an environment plugin, without a library (docs/plugins.md). Let its functions call
your provider; here a lease is a folder, and a command is a process in it, without isolation."""
import codecs, errno, json, os, selectors, shutil, signal, sys, tempfile, threading, time, uuid
from subprocess import PIPE, Popen

ROOT = os.environ.get("PLUGIN_DATA_DIR") or os.environ.get("TMPDIR") or "/tmp"
OUTPUT_LIMIT = 64 << 20  # bytes of one command
out, saying = sys.stdout.buffer, threading.Lock()
sys.stdout = sys.stderr  # Standard output is the protocol; what is printed goes to the log.
running = []  # for each command its folder, and whether it is to end

def say(**message):
    with saying:
        out.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        out.flush()

def lease_of(p, there=True):
    """Id and folder. The company is in the name, so that no other company reaches the lease."""
    lease, company = str((p.get("lease") or p).get("providerLeaseId")), p.get("companyId") or ""
    found = [f"{ROOT}/{lease}@{c}" for c in (company, "") if os.path.isdir(f"{ROOT}/{lease}@{c}")]
    if lease[:1] in ("", ".") or set(lease + company) & set("/@") or (there and not found):
        raise Exception(f'Lease "{lease}" does not exist.')
    return lease, found[0] if found else f"{ROOT}/{lease}@{company}"

def acquire(p, invocation):
    """The same lease for the same invocation: a host may ask twice."""
    lease, folder = lease_of({**p, "providerLeaseId": f"py-{invocation or uuid.uuid4()}"}, False)
    os.makedirs(folder, 0o700, exist_ok=True)
    return {"providerLeaseId": lease, "metadata": {"remoteCwd": folder}}

def destroy(p, invocation):
    lease, folder = lease_of(p, False)  # It may be gone already. The receipt: nothing runs.
    while mine := [job for job in running if job["folder"] == folder]:
        [job.update(ended=True) for job in mine]
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)
    return {"providerLeaseId": lease, "state": "destroyed"}

def execute(p, invocation):
    running.append(job := {"folder": lease_of(p)[1], "ended": False})
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **(p.get("env") or {})}
    limit = p.get("timeoutMs") or p["config"].get("timeoutMs") or 300000
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write((p.get("stdin") or "").encode())
            stdin.seek(0)
            with Popen([p["command"], *(p.get("args") or [])], env=env, start_new_session=True,
                       cwd=os.path.join(job["folder"], p.get("cwd") or ""),
                       stdin=stdin, stdout=PIPE, stderr=PIPE) as process:
                return watch(process, job, time.monotonic() + limit / 1000, invocation)
    except OSError as e:
        raise Exception(f"spawn {p['command']} {errno.errorcode.get(e.errno)}")
    finally:
        running.remove(job)

def watch(process, job, deadline, invocation):
    said, late, size = {"stdout": [], "stderr": []}, False, 0
    with selectors.DefaultSelector() as pipes:
        for s in said:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            pipes.register(getattr(process, s), selectors.EVENT_READ, (s, decoder))
        while pipes.get_map() or process.poll() is None:
            late = time.monotonic() > deadline
            if late or job["ended"] or size > OUTPUT_LIMIT:
                os.killpg(process.pid, signal.SIGKILL)
                break
            for key, _ in pipes.select(0.05):
                (s, decoder), data = key.data, os.read(key.fd, 65536)
                size += len(data)
                if text := decoder.decode(data, not data):
                    said[s].append(text)
                    say(method="execute.log", params={"stream": s, "chunk": text},
                        paperclipInvocationId=invocation)
                pipes.unregister(key.fileobj) if not data else None
    code = process.wait()
    end = {"signal": signal.Signals(-code).name} if code < 0 else {"exitCode": code}
    end["metadata"] = {"outputCut": size > OUTPUT_LIMIT}
    return {**end, "timedOut": late, **{s: "".join(said[s]) for s in said}}

CALLS = {
    "initialize": lambda p, invocation: {"ok": True, "supportedMethods": list(CALLS)[2:]},
    "shutdown": lambda p, invocation: None,
    "environmentProbe": lambda p, invocation: {"ok": True, "summary": f"Leases lie in {ROOT}."},
    "environmentAcquireLease": acquire, "environmentExecute": execute,
    "environmentReleaseLease": destroy, "environmentDestroyLease": destroy}

def answer(m):  # in a thread for each request, so that none waits behind a command
    try:
        invocation = (m.get("paperclipInvocation") or {}).get("id")
        say(id=m["id"], result=CALLS[m["method"]](m.get("params") or {}, invocation))
    except Exception as e:
        code = -32002 if m["method"] in CALLS else -32601
        say(id=m["id"], error={"code": code, "message": str(e)})

for line in sys.stdin.buffer:
    threading.Thread(target=answer, args=[json.loads(line)], daemon=True).start()
os._exit(0)  # The host closed our input; it ends what still runs.
