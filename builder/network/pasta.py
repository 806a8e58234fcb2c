"""Networks for ordinary users: pasta(1) passes a namespace's traffic on by ordinary sockets."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

from builder.kernel import mount
from builder.network.errors import NetworkUnavailableError
from builder.network.model import PortMapping
from builder.network.program import program, run

_TUN = "/dev/net/tun"


def unavailable() -> str:
    """Why pasta can't be used here, as the beginning of a sentence; "" where it can."""
    if program("pasta") is None:
        return "pasta is not installed"
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_TUN} can't be opened: {error.strerror}"
    return ""


def start(
    namespace_pid: int, ports: Iterable[PortMapping], *, directory: str, as_root: bool
) -> int:
    """Connect the network namespace of a process; the pid of the pasta that does it.

    Returns when the interface is up. Its pid stands in a file in `directory`, where `stop` finds
    it, whoever has been killed in between. NetworkUnavailableError with pasta's own words.
    """
    path = program("pasta")
    if path is None:
        raise NetworkUnavailableError("pasta is not installed", hint="it is in the package passt")
    namespace_file = os.path.join(directory, "netns")
    with _mounted(f"/proc/{namespace_pid}/ns/net", namespace_file):
        argv = arguments(namespace_file, ports, pid_file=pid_file(directory), as_root=as_root)
        status, said = run(path, argv)
    if status:
        raise NetworkUnavailableError(
            f"pasta can't connect the container: {_reason(said)}",
            hint="another program may have a port that is published; or use --network host",
        )
    pid = running(directory)
    if pid is None:
        raise NetworkUnavailableError("pasta has ended at once")
    return pid


def pid_file(directory: str) -> str:
    """Where pasta writes its pid."""
    return os.path.join(directory, "pasta.pid")


@contextmanager
def _mounted(namespace: str, place: str) -> Generator[None, None, None]:
    """The namespace as a file: pasta has no right to look at the process that it is of."""
    os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        mount.mount(namespace, place, "", mount.MS_BIND)
        try:
            yield
        finally:
            mount.unmount(place, mount.MNT_DETACH)
    finally:
        os.unlink(place)


def arguments(
    namespace_file: str, ports: Iterable[PortMapping], *, pid_file: str, as_root: bool
) -> list[str]:
    """The command line. Without the four "none" it would pass on every port that is listened on."""
    words = ["pasta", "--config-net", "--quiet", "--stderr", "--no-map-gw", "--no-netns-quit"]
    words += ["--pid", pid_file]
    ports = tuple(ports)
    for option, protocol in (("-t", "tcp"), ("-u", "udp")):
        specs = [_spec(port) for port in ports if port.protocol == protocol]
        for spec in specs or ["none"]:
            words += [option, spec]
    words += ["-T", "none", "-U", "none"]
    if as_root:  # else pasta becomes nobody, who may not enter the namespace
        words += ["--runas", "0:0"]
    return [*words, "--netns-only", "--netns", namespace_file]


def _spec(port: PortMapping) -> str:
    place = f"{port.host_address}/" if port.host_address else ""
    return f"{place}{port.host_port}:{port.container_port}"


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line and "syslog" not in line]
    return lines[-1][:300] if lines else "it said nothing"


def running(directory: str) -> int | None:
    """The pid of the pasta that was started for `directory`; None where none runs.

    It is told from a later process of that pid by its command line, which names the file.
    """
    path = pid_file(directory)
    try:
        with open(path, encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if os.fsencode(path) in words else None


def stop(directory: str) -> None:
    """End the pasta that was started for `directory`. Where there is none that is no error."""
    pid = running(directory)
    if pid is not None:
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                if running(directory) == pid:  # now it can't become another's
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
    with suppress(FileNotFoundError):
        os.unlink(pid_file(directory))
