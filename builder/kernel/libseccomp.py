"""libseccomp: from rules to BPF instructions. Loaded when first used; the sandbox child never does.

OSError with ENOENT where the library is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

from builder.kernel.libc import failure

ACT_KILL_PROCESS = 0x80000000
ACT_ERRNO = 0x00050000  # | errno
ACT_ALLOW = 0x7FFF0000

COMPARISONS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}

_LIBRARY = "libseccomp.so.2"
_UNKNOWN_CALL = -1
_ATTR_OPTIMIZE = 8
_BINARY_TREE = 2

Comparison = tuple[int, str, int, int]
"""(argument's index, key of COMPARISONS, value, second value)."""

Rule = tuple[int, str, tuple[Comparison, ...]]
"""(action, name of the system call, what its arguments must be)."""


class _ArgumentComparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [
        ("index", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


class _Version(ctypes.Structure):
    """struct scmp_version."""

    _fields_ = [
        ("major", ctypes.c_uint),
        ("minor", ctypes.c_uint),
        ("micro", ctypes.c_uint),
    ]


@cache
def _library() -> ctypes.CDLL:
    try:
        # by name: ctypes.util.find_library would run a compiler
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), _LIBRARY) from error
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.restype = None
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_ArgumentComparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_version.restype = ctypes.POINTER(_Version)
    return library


def version() -> str:
    """As "2.5.4"."""
    found = _library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"


def compile_filter(
    default_action: int, architectures: tuple[str, ...], rules: tuple[Rule, ...]
) -> bytes:
    """The BPF instructions that do each rule's action, else the default one.

    Calls of this machine's own architecture and of the named ones are judged; a call of another
    kills. Architectures and calls that this libseccomp has no name for are left out.
    """
    library = _library()
    context = library.seccomp_init(default_action)
    if not context:
        raise failure("seccomp_init")
    try:
        library.seccomp_attr_set(context, _ATTR_OPTIMIZE, _BINARY_TREE)  # fails before 2.5
        for name in architectures:
            token = library.seccomp_arch_resolve_name(name.encode())
            if token:
                _check(library.seccomp_arch_add(context, token), name)
        for action, call, comparisons in rules:
            number = library.seccomp_syscall_resolve_name(call.encode())
            if number != _UNKNOWN_CALL:
                _add_rule(context, action, number, comparisons)
        return _exported(context)
    finally:
        library.seccomp_release(context)


def _add_rule(context: int, action: int, number: int, comparisons: tuple[Comparison, ...]) -> None:
    array = (_ArgumentComparison * len(comparisons))()
    for place, (index, name, value, second) in enumerate(comparisons):
        array[place] = _ArgumentComparison(index, COMPARISONS[name], value, second)
    arguments = (context, action, number, len(comparisons), array)
    _check(_library().seccomp_rule_add_array(*arguments), f"rule for system call {number}")


def _exported(context: int) -> bytes:
    fd = os.memfd_create("seccomp")
    try:
        _check(_library().seccomp_export_bpf(context, fd), "seccomp_export_bpf")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _check(result: int, what: str) -> None:
    if result < 0 and -result != errno.EEXIST:
        raise OSError(-result, os.strerror(-result), what)
