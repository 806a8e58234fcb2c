"""The C library and the raw system call entry, by ctypes: where every wrapper starts.

Nothing is searched for: the symbols come from the C library that the interpreter itself runs on.
No module of this package imports `typing` or `collections`: they would double the start-up of the
sandbox server.
"""

from __future__ import annotations

import ctypes
import os

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

# PyDLL, not CDLL: these calls return in microseconds, and a lock that is not let go needs no
# taking back in a process that a raw clone has just made.
_libc = ctypes.PyDLL(None, use_errno=True)
_releasing_libc = ctypes.CDLL(None, use_errno=True)


class CFunction:
    """A function of the C library, or a system call, that returns a number, -1 for a failure."""

    __slots__ = ("_call",)

    def __init__(
        self, name: str, *argtypes: type, restype: type = ctypes.c_int, releases_lock: bool = False
    ) -> None:
        # [] and not getattr: each look-up gives an object of its own, with its own signature
        self._call = (_releasing_libc if releases_lock else _libc)[name]
        self._call.argtypes = argtypes
        self._call.restype = restype

    def __call__(self, *arguments: object) -> int:
        result: int = self._call(*arguments)
        return result


class SystemCall(CFunction):
    """A system call by number, for what the C library has no function for."""

    __slots__ = ("_number",)

    def __init__(self, number: int, *argtypes: type) -> None:
        super().__init__("syscall", ctypes.c_long, *argtypes, restype=ctypes.c_long)
        self._number = number

    def __call__(self, *arguments: object) -> int:
        result: int = self._call(self._number, *arguments)
        return result


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


def encoded(path: str | bytes) -> bytes:
    """A path as the kernel takes it. ValueError where it holds a NUL."""
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw
