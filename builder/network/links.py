"""Interfaces, addresses and routes of a network namespace, as they are and as they should be."""

from __future__ import annotations

import _socket
import errno
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Self

from builder.kernel.namespaces import CLONE_NEWNET, setns
from builder.network import rtnetlink
from builder.network.addresses import Subnet, Version

_ROUTE_MESSAGES = 0  # NETLINK_ROUTE
_MOST_BYTES = 1 << 18
_WAIT_S = 10


class Links:
    """A channel to the kernel about the namespace that it was opened in. A `with` block."""

    def __init__(self) -> None:
        self._channel = _socket.socket(
            _socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _ROUTE_MESSAGES
        )
        self._channel.settimeout(_WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def change(self, *messages: bytes) -> None:
        """Have the kernel do these, in order. OSError for the first that it refuses."""
        self._channel.send(b"".join(messages))
        problem = 0
        waiting = len(messages)
        while waiting:
            for answer in rtnetlink.answers(self._channel.recv(_MOST_BYTES)):
                waiting -= 1
                problem = problem or answer.error
        if problem:
            raise OSError(problem, os.strerror(problem))

    def index_of(self, name: str) -> int:
        """The number of an interface; 0 where there is none of that name."""
        self._channel.send(rtnetlink.link_query(name))
        for answer in rtnetlink.answers(self._channel.recv(_MOST_BYTES)):
            if answer.error in {errno.ENODEV, errno.ENOENT}:
                return 0
            if answer.error:
                raise OSError(answer.error, os.strerror(answer.error), name)
            return rtnetlink.link_index(answer)
        return 0

    def delete(self, name: str) -> None:
        """Take an interface away. One that is not there is no error."""
        try:
            self.change(rtnetlink.deleted_link(name))
        except OSError as error:
            if error.errno not in {errno.ENODEV, errno.ENOENT}:
                raise

    def destinations(self, version: Version) -> tuple[Subnet, ...]:
        """Where the routes of this namespace lead, but for the default route."""
        self._channel.send(rtnetlink.routes_query(version))
        found: list[Subnet] = []
        while True:
            for answer in rtnetlink.answers(self._channel.recv(_MOST_BYTES)):
                if answer.is_last:
                    return tuple(found)
                subnet = rtnetlink.destination(answer, version)
                if subnet is not None:
                    found.append(subnet)


@contextmanager
def inside(namespace_fd: int) -> Generator[None, None, None]:
    """Be in another network namespace: sockets that are made in the block belong to it."""
    own_fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace_fd, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(own_fd, CLONE_NEWNET)
    finally:
        os.close(own_fd)


def sysctl(name: str, value: str) -> bool:
    """Set a kernel setting of this namespace, which must be ours; whether it could be."""
    path = f"/proc/sys/{name}"
    try:
        with open(path, encoding="ascii") as file:
            if file.read().strip() == value:
                return True
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError:
        return False
    return True


def interfaces_accepting_routers() -> Iterable[str]:
    """The interfaces that take IPv6 routes from their router as long as this is no router."""
    base = "/proc/sys/net/ipv6/conf"
    try:
        names = os.listdir(base)
    except OSError:
        return
    for name in names:
        try:
            with open(f"{base}/{name}/accept_ra", encoding="ascii") as file:
                if file.read().strip() == "1":
                    yield name
        except OSError:
            continue
