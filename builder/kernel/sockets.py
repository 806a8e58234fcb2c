"""What `_socket` leaves to `socket`, whose import takes longer than a container's start."""

from __future__ import annotations

import _socket
import ctypes

from builder.kernel.libc import CFunction, check

_SOCK_CLOEXEC = 0o2000000

_accept4 = CFunction("accept4", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


def accept(listener: _socket.socket) -> _socket.socket:
    """The next connection of a listening socket. OSError where there is none after all."""
    fd = check(_accept4(listener.fileno(), None, None, _SOCK_CLOEXEC))
    return _socket.socket(listener.family, listener.type, listener.proto, fd)
