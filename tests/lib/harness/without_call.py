#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program as if the kernel did not have some system calls:

    without_call.py NUMBER[,NUMBER…] PROGRAM ARGUMENT…"""

import ctypes
import os
import platform
import struct
import sys

LANDLOCK = 444
SECCOMP = 277 if platform.machine() == "aarch64" else 317

LOAD_NUMBER, IF_EQUAL, END = 0x20, 0x15, 0x06
ALLOW, ENOSYS = 0x7FFF0000, 0x00050000 | 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2


def before(*numbers):
    """The words in front of a program."""
    return [sys.executable, __file__, ",".join(map(str, numbers))]


def main(numbers, *program):
    steps = [(LOAD_NUMBER, 0, 0, 0)]
    for number in numbers.split(","):
        steps += [(IF_EQUAL, 0, 1, int(number)), (END, 0, 0, ENOSYS)]
    steps.append((END, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    filter_ = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, MODE_FILTER, filter_, 0, 0
    ):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
