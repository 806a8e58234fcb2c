"""What the command hands to the monitor with a container: plain values, and descriptors.

On the way descriptors are places in the list that travels with the message; `decoded` puts the
received descriptors in. -1 stands for none.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.sandbox.monitor.health import Schedule
    from builder.sandbox.monitor.statefile import Json

CHARGE = "charge"  # on the server's control socket, the charge itself in a file of memory


class Charge:
    """One container that runs, from when its program was executed."""

    __slots__ = (
        "about",
        "cgroup",
        "container_id",
        "dir_fd",
        "ended_args",
        "ended_env",
        "has_cleanup",
        "health",
        "held_fds",
        "helper_fds",
        "is_terminal",
        "journal",
        "listener_fd",
        "lock_fd",
        "log",
        "owner_fd",
        "owner_stdio_fds",
        "pid",
        "resolver_fds",
        "restart",
        "rootless",
        "state",
        "stdin_fd",
        "stdin_once",
        "stdout_fds",
        "stop_signal",
        "traces",
    )

    def __init__(
        self,
        *,
        container_id: str,
        pid: int,
        state: dict[str, Json],
        rootless: bool,
        dir_fd: int,
        lock_fd: int,
        listener_fd: int,
        is_terminal: bool,
        stdin_fd: int,
        stdin_once: bool,
        stdout_fds: tuple[int, int],
        owner_fd: int,
        owner_stdio_fds: tuple[int, int, int],
        helper_fds: tuple[int, ...],
        held_fds: tuple[int, ...],
        resolver_fds: tuple[int, ...],
        log: tuple[str, int, int, str],
        stop_signal: int,
        restart: tuple[str, int],
        health: Schedule | None,
        journal: str,
        about: dict[str, str],
        cgroup: tuple[str, ...],
        traces: tuple[str, ...],
        has_cleanup: bool,
        ended_args: tuple[str, ...],
        ended_env: tuple[str, ...],
    ) -> None:
        self.container_id = container_id
        self.health = health
        self.journal = journal  # the file that events are told to
        self.about = about  # attributes of each
        self.pid = pid  # of the first process, a child of the server's
        self.state = state  # what state.json says
        self.rootless = rootless
        self.dir_fd = dir_fd  # the container's directory
        self.lock_fd = lock_fd  # flocked: as long as it is open somewhere, the container is held
        self.listener_fd = listener_fd  # the socket that requests come to
        self.is_terminal = is_terminal
        self.stdin_fd = stdin_fd  # the container's stdin to write to; with a terminal its master
        self.stdin_once = stdin_once  # its stdin ends with the first client that had it
        self.stdout_fds = stdout_fds  # to read from; with a terminal (its master, -1)
        self.owner_fd = owner_fd  # a connection of the command's, that it attaches through
        self.owner_stdio_fds = owner_stdio_fds  # its stdin to read from, stdout, stderr to write to
        self.helper_fds = helper_fds  # pidfds of processes to be killed with the container
        self.held_fds = held_fds  # sockets that keep the container's ports for it
        self.resolver_fds = resolver_fds  # of its name server: UDP, TCP; or none
        self.log = log  # driver, max_size_bytes, max_files, attributes as JSON
        self.stop_signal = stop_signal
        self.restart = restart  # policy, most retries (0: no limit)
        self.cgroup = cgroup  # ControlGroup.texts
        self.traces = traces  # paths which, if there, the program is to clean up afterwards
        self.has_cleanup = has_cleanup  # whether there is something for the program in any case
        self.ended_args = ended_args  # the program's command line for afterwards
        self.ended_env = ended_env


def encoded(charge: Charge) -> bytes:
    """The charge as bytes."""
    return marshal.dumps({name: getattr(charge, name) for name in Charge.__slots__})


def decoded(data: bytes, fds: tuple[int, ...]) -> Charge:
    """The charge again; places in the list of descriptors become the descriptors `fds`."""
    charge = Charge(**marshal.loads(data))  # noqa: S302 - from our own process, and data only

    def fd_at(place: int) -> int:
        return fds[place] if place >= 0 else -1

    for name in ("dir_fd", "lock_fd", "listener_fd", "stdin_fd", "owner_fd"):
        setattr(charge, name, fd_at(getattr(charge, name)))
    stdout, stderr = charge.stdout_fds
    charge.stdout_fds = (fd_at(stdout), fd_at(stderr))
    stdin, stdout, stderr = charge.owner_stdio_fds
    charge.owner_stdio_fds = (fd_at(stdin), fd_at(stdout), fd_at(stderr))
    charge.helper_fds = tuple(map(fd_at, charge.helper_fds))
    charge.held_fds = tuple(map(fd_at, charge.held_fds))
    charge.resolver_fds = tuple(map(fd_at, charge.resolver_fds))
    return charge
