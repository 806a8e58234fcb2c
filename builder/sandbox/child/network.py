"""A network namespace with nothing but the loopback interface."""

from __future__ import annotations

import _socket
import fcntl
import os
import struct

from builder.kernel.paths import open_beneath
from builder.sandbox.child.filesystems import Special
from builder.sandbox.child.wire import Report

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_REQUEST = "=16sh22x"  # struct ifreq with flags


def bring_up(special: Special, report: Report) -> None:
    """Turn the loopback interface on, and let ordinary users bind any port of this namespace."""
    report.doing("network", "lo")
    with_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
    answer = fcntl.ioctl(with_socket.fileno(), _SIOCGIFFLAGS, struct.pack(_REQUEST, b"lo", 0))
    _, flags = struct.unpack(_REQUEST, answer)
    request = struct.pack(_REQUEST, b"lo", flags | _IFF_UP)
    fcntl.ioctl(with_socket.fileno(), _SIOCSIFFLAGS, request)
    with_socket.close()
    _set(special.proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", b"0")


def _set(proc_fd: int, name: str, value: bytes) -> None:
    try:
        fd = open_beneath(proc_fd, name, os.O_WRONLY)
    except OSError:  # no such setting, or a /proc that may not be written
        return
    os.write(fd, value)
    os.close(fd)
