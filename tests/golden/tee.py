# SPDX-License-Identifier: Apache-2.0
"""plugin.wrapper of the golden cases: python tee.py FOLDER COMMAND…

Runs COMMAND and copies what passes through its stdin, stdout and stderr to
FOLDER/<plugin id>/<number>/{in,out,err}; `start.json` there holds the command, the environment
and the working folder. Ends as COMMAND ends, by the same signal.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
PIECE = 1 << 16


def environment():
    """As it was given to us: Python adds to its own."""
    with open("/proc/self/environ", "rb") as f:
        pairs = f.read().split(b"\0")[:-1]
    return dict(os.fsdecode(pair).split("=", 1) for pair in pairs)


def open_folder(root, env):
    """A folder of its own for each process of a plugin, numbered in the order of their starts."""
    plugin = os.path.join(root, env.get("PAPERCLIP_PLUGIN_ID", "none"))
    os.makedirs(plugin, exist_ok=True)
    number = 1
    while True:
        folder = os.path.join(plugin, str(number))
        try:
            os.mkdir(folder)
            return folder
        except FileExistsError:
            number += 1


def die_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def copy(source, target, record, close):
    """The record is written first: who sees the effect of a line finds it there."""
    while True:
        piece = os.read(source, PIECE)
        if not piece:
            break
        record.write(piece)
        try:
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
        except BrokenPipeError:
            break
    if close:
        os.close(target)


def main():
    # The whole group is signalled, COMMAND with it: what it does about it decides.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    env = environment()
    folder = open_folder(sys.argv[1], env)
    command = sys.argv[2:]
    with open(os.path.join(folder, "start.json"), "w", encoding="utf-8") as f:
        json.dump({"argv": command, "env": env, "cwd": os.getcwd()}, f)
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=env,
        preexec_fn=prepare,
    )
    ways = (
        (0, child.stdin.fileno(), "in", True),
        (child.stdout.fileno(), 1, "out", False),
        (child.stderr.fileno(), 2, "err", False),
    )
    threads = []
    for source, target, name, close in ways:
        record = open(os.path.join(folder, name), "wb", buffering=0)
        threads.append(threading.Thread(target=copy, args=(source, target, record, close)))
        threads[-1].daemon = True
        threads[-1].start()
    code = child.wait()
    for thread in threads[1:]:
        thread.join()
    end_as(code)


def prepare():
    die_with_us()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def end_as(code):
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
