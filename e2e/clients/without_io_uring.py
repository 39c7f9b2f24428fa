#!/usr/bin/env python3
"""Runs leat under a seccomp filter that refuses io_uring, as the default profiles of container runtimes do."""

import ctypes
import errno
import os
import pathlib
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RETURN_ALLOW, RETURN_ERRNO = 0x7FFF0000, 0x00050000
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
# The same number on x86_64 and aarch64.
IO_URING_SETUP = 425


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in [
    (LOAD_WORD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
    (RETURN, 0, 0, RETURN_ERRNO | errno.EPERM),
    (RETURN, 0, 0, RETURN_ALLOW),
])
libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(instructions) // 8, instructions)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0
leat = pathlib.Path(__file__).resolve().parents[2] / "target/debug/leat"
os.execv(leat, [str(leat), *sys.argv[1:]])
