"""Networks for ordinary users: pasta(1) passes a namespace's traffic on by ordinary sockets."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from builder.network.errors import NetworkUnavailableError
from builder.network.model import Helper, PortMapping
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
    namespace_pid: int, ports: Iterable[PortMapping], *, pid_file: str, as_root: bool
) -> Helper:
    """Connect the network namespace of a process; returns when its interface is up.

    NetworkUnavailableError with pasta's own words.
    """
    path = program("pasta")
    if path is None:
        raise NetworkUnavailableError("pasta is not installed", hint="it is in the package passt")
    argv = arguments(namespace_pid, ports, pid_file=pid_file, as_root=as_root)
    status, said = run(path, argv)
    if status:
        raise NetworkUnavailableError(
            f"pasta can't connect the container: {_reason(said)}",
            hint="another program may have a port that is published; or use --network host",
        )
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    os.unlink(pid_file)
    return Helper(pid, start_time(pid))


def arguments(
    namespace_pid: int, ports: Iterable[PortMapping], *, pid_file: str, as_root: bool
) -> list[str]:
    """The command line. Without the four "none" it would pass on every port that is listened on."""
    words = ["pasta", "--config-net", "--quiet", "--stderr", "--no-map-gw", "--pid", pid_file]
    ports = tuple(ports)
    for option, protocol in (("-t", "tcp"), ("-u", "udp")):
        specs = [_spec(port) for port in ports if port.protocol == protocol]
        for spec in specs or ["none"]:
            words += [option, spec]
    words += ["-T", "none", "-U", "none"]
    if as_root:  # else pasta becomes nobody, who may not enter the namespace
        words += ["--runas", "0:0"]
    return [*words, "--netns-only", "--netns", f"/proc/{namespace_pid}/ns/net"]


def _spec(port: PortMapping) -> str:
    place = f"{port.host_address}/" if port.host_address else ""
    return f"{place}{port.host_port}:{port.container_port}"


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line and "syslog" not in line]
    return lines[-1][:300] if lines else "it said nothing"


def stop(helper: Helper) -> None:
    """End the helper. One that is gone is no error."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(helper.pid)
        try:
            if start_time(helper.pid) == helper.started:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def start_time(pid: int) -> int:
    """When the process was started, in clock ticks after boot; -1 for none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return int(content[content.rindex(b")") + 2 :].split()[19])
