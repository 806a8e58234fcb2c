"""The C library and the raw system call entry, by ctypes: where every wrapper starts.

Nothing is searched for: the symbols come from the C library that the interpreter itself runs on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000

# PyDLL, not CDLL: these calls return in microseconds, and a lock that is not let go needs no
# taking back in a process that a raw clone has just made.
_libc = ctypes.PyDLL(None, use_errno=True)
_releasing_libc = ctypes.CDLL(None, use_errno=True)

CFunction = Callable[..., int]


def function(name: str, *argtypes: type, releases_lock: bool = False) -> CFunction:
    """The C library's function `name`, that returns an int. AttributeError where it has none."""
    # [] and not getattr: each look-up gives an object of its own, with its own signature
    entry = (_releasing_libc if releases_lock else _libc)[name]
    entry.argtypes = argtypes
    entry.restype = ctypes.c_int
    return entry


def system_call(number: int, *argtypes: type) -> CFunction:
    """System call `number` as a function of the arguments that follow the number."""
    entry = _libc["syscall"]
    entry.argtypes = (ctypes.c_long, *argtypes)
    entry.restype = ctypes.c_long

    def call(*arguments: object) -> int:
        result: int = entry(number, *arguments)
        return result

    return call


def check(result: int, path: str | bytes | None = None) -> int:
    """`result` of a call that says -1 for a failure; the failure as OSError with errno and path."""
    if result == -1:
        raise failure(path)
    return result


def failure(path: str | bytes | None = None) -> OSError:
    """The OSError of the last call that failed in this thread."""
    number = ctypes.get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(path))


def encoded(path: str | bytes | None) -> bytes | None:
    """A path as the kernel takes it. ValueError where it holds a NUL."""
    if path is None:
        return None
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw
