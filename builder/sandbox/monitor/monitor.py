"""One container from the moment its program runs until nothing is left to do for it."""

from __future__ import annotations

import _socket
import os
import time

from builder.kernel.cgroup import ControlGroup
from builder.kernel.process import SIGKILL, ignore_broken_pipes, send_signal, set_dumpable
from builder.kernel.sockets import accept
from builder.sandbox.child import leftovers
from builder.sandbox.monitor.connection import Connection
from builder.sandbox.monitor.execs import Execs
from builder.sandbox.monitor.first import FirstProcess
from builder.sandbox.monitor.health import Health
from builder.sandbox.monitor.journal import Journal
from builder.sandbox.monitor.loop import READABLE, Loop, Timer
from builder.sandbox.monitor.nameserver import NameServer
from builder.sandbox.monitor.program import become_program
from builder.sandbox.monitor.requests import ENDED, handle
from builder.sandbox.monitor.restart import RestartPolicy, next_delay_ms
from builder.sandbox.monitor.statefile import StateFile
from builder.sandbox.monitor.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.sandbox.child.request import Request
    from builder.sandbox.child.wire import Message
    from builder.sandbox.monitor.charge import Charge
    from builder.sandbox.monitor.statefile import Json

_PAUSED = "paused"  # who holds a container still that a user has paused
_SOCKET_NAME = "control"  # see builder.runtime.paths
_GROUP_WAIT_S = 2.0
_LAST_OUTPUT_S = 10.0
"""How long a client may take for the last output of a container that has ended."""


class Monitor:
    """The state of the container, its clients, and what is to happen at its end."""

    def __init__(
        self, charge: Charge, template: Request, pidfd: int, ended_with: int | None
    ) -> None:
        """For a process that was asked to be like `template`.

        `ended_with`: the wait status, where it was waited for already.
        """
        ignore_broken_pipes()
        set_dumpable(dumpable=False)  # what enters the container is a copy of this process
        self.charge = charge
        self.restart = RestartPolicy(*charge.restart)
        self.exit_code = -1  # not ended
        self.waiting: list[Connection] = []  # for the end
        self._group = ControlGroup.of_texts(charge.cgroup)
        self._loop = Loop()
        self._state = StateFile(charge.dir_fd, charge.state)
        self.streams = Streams(self._loop, charge)
        self.process = FirstProcess(charge.pid, pidfd, self._group)
        self.execs = Execs(self._loop, template, charge.pid, pidfd, self._group)
        self._shared_pids = leftovers.outlives(charge.pid)
        self._clients: list[Connection] = []
        self._owner: Connection | None = None
        self._is_stopped_by_user = False
        self._killing: Timer | None = None
        self._restarting: Timer | None = None
        self._is_over = False
        self._oom_kills = self._count_oom_kills()
        self._started = time.monotonic()
        self._journal = Journal(charge.journal, charge.container_id, charge.about)
        self._health = self._checks()
        self._listen()
        if charge.resolver_fds:
            udp_fd, tcp_fd = charge.resolver_fds
            NameServer(self._loop, udp_fd, tcp_fd, charge.dir_fd)
        if ended_with is None:
            self._loop.watch(pidfd, READABLE, self._reap)
        else:
            self._end(ended_with)

    def _checks(self) -> Health | None:
        if self.charge.health is None:
            return None
        return Health(
            self._loop,
            self.charge.dir_fd,
            self.charge.health,
            self.execs,
            may_run=lambda: self.runs and not self.process.is_frozen,
            changed=lambda status: self._journal.note(f"health_status: {status}"),
        )

    @property
    def runs(self) -> bool:
        return self.exit_code < 0

    def run(self) -> None:
        """Returns when nothing is left to do; may become the program instead."""
        try:
            while True:
                if not self.runs:  # it may have ended before it came into this one's charge
                    self._finish()
                if self._is_over:
                    return
                self._loop.step()
        except Exception as error:
            self._state.update(error=f"internal error of the monitor: {_described(error)}")
            raise

    def mark_stopped(self) -> None:
        """A user wants it to end: no policy starts the container again."""
        if not self._is_stopped_by_user:
            self._is_stopped_by_user = True
            self._state.update(stopped_by_user=True, restarting=False)
        self._loop.cancel(self._restarting)
        self._restarting = None

    def kill_after(self, delay_s: float) -> None:
        """End it by SIGKILL unless it has ended by then."""
        self._loop.cancel(self._killing)
        self._killing = self._loop.after(delay_s, self.process.kill)

    @property
    def is_paused(self) -> bool:
        return self.process.is_frozen_by(_PAUSED)

    def pause(self) -> None:
        """Hold all processes still until `unpause`."""
        self.process.freeze(_PAUSED)
        self._state.update(paused=True)

    def unpause(self) -> None:
        """Let them go on. Idempotent."""
        if self.is_paused:
            self.process.thaw(_PAUSED)
            self._state.update(paused=False)

    def cleaned(self) -> None:
        """The owner has removed what is to be removed."""
        self._is_over = not self.runs

    def _listen(self) -> None:
        charge = self.charge
        self._listener = _seqpacket(charge.listener_fd)
        self._listener.settimeout(0)
        self._loop.watch(charge.listener_fd, READABLE, self._accept)
        if charge.owner_fd >= 0:
            self._owner = self._connected(_seqpacket(charge.owner_fd))
            self._owner.attached = self.streams.attach(*charge.owner_stdio_fds)
            self.waiting.append(self._owner)

    def _accept(self, _: int) -> None:
        try:
            channel = accept(self._listener)
        except OSError:  # it went away while it waited
            return
        self._connected(channel)

    def _connected(self, channel: _socket.socket) -> Connection:
        client = Connection(self._loop, channel, self._asked, self._gone)
        self._clients.append(client)
        return client

    def _asked(self, client: Connection, message: Message, fds: tuple[int, ...]) -> None:
        handle(self, client, message, fds)

    def _gone(self, client: Connection) -> None:
        self._clients.remove(client)
        if client in self.waiting:
            self.waiting.remove(client)
        if client.attached is not None:
            self.streams.detach(client.attached)
        self.process.thaw(client)
        self.execs.client_gone(client)
        if client is self._owner:
            self._owner = None

    def _reap(self, _: int) -> None:
        self._loop.unwatch(self.process.pidfd)
        _, wait_status = os.waitpid(self.process.pid, 0)  # all of its pid namespace are gone
        if self._shared_pids:  # in which others live on
            leftovers.end_all(self._shared_pids, self.execs.pids)
        self._end(wait_status)

    def _end(self, wait_status: int) -> None:
        code = os.waitstatus_to_exitcode(wait_status)
        self.exit_code = code if code >= 0 else 128 - code
        self._loop.cancel(self._killing)
        if self._health is not None:
            self._health.stop()
        self.execs.reap_all()
        self.process.closed()
        self._kill_helpers()
        self.streams.finish()
        self._write_end()
        self._remove_group()
        for client in tuple(self.waiting):
            client.send(ENDED, self.exit_code)
        self.waiting.clear()
        for client in tuple(self._clients):
            if client.attached is not None:
                client.attached.end_output()
        self._loop.after(_LAST_OUTPUT_S, self._drop_slow)

    def _write_end(self) -> None:
        count, last_ms = (
            _number(self.charge.state, name) for name in ("restart_count", "restart_delay_ms")
        )
        restarts = not self._is_stopped_by_user and self.restart.restarts(self.exit_code, count)
        delay_ms = next_delay_ms(last_ms, time.monotonic() - self._started) if restarts else 0
        oom_killed = self._count_oom_kills() > self._oom_kills
        if oom_killed:
            self._journal.note("oom")
        self._journal.note("die", exitCode=str(self.exit_code))
        self._state.update(
            exit_code=self.exit_code,
            finished_us=time.time_ns() // 1000,
            oom_killed=oom_killed,
            paused=False,
            restarting=restarts,
            restart_delay_ms=delay_ms,
        )
        if restarts:
            self._restarting = self._loop.after(delay_ms / 1000, self._start_again)

    def _start_again(self) -> None:
        become_program(self.charge, "restart")

    def _drop_slow(self) -> None:
        for client in tuple(self._clients):
            if client is not self._owner:
                client.close()

    def _finish(self) -> None:
        """Once the clients have all output and the owner, if there is one, has cleaned up."""
        if self._restarting is not None or self._owner is not None or self._is_over:
            return
        if any(client.attached and not client.attached.has_all for client in self._clients):
            return
        if self.charge.has_cleanup or self._has_traces():
            become_program(self.charge, "clean")
        self._unlink_socket()
        self._is_over = True

    def _unlink_socket(self) -> None:
        try:
            os.unlink(_SOCKET_NAME, dir_fd=self.charge.dir_fd)
        except OSError:  # gone with the container
            return

    def _has_traces(self) -> bool:
        return any(_exists(f"fs/{path}", self.charge.dir_fd) for path in self.charge.traces)

    def _count_oom_kills(self) -> int:
        return self._group.oom_kills() if self._group else 0

    def _kill_helpers(self) -> None:
        for fd in self.charge.helper_fds:
            try:
                send_signal(fd, SIGKILL)
            except OSError:
                continue

    def _remove_group(self) -> None:
        try:
            self._group.remove(_GROUP_WAIT_S)
        except OSError:  # the sweep of a later command tries again
            return


def _described(error: Exception) -> str:
    """The error and the lines that it came through; nobody reads this process's stderr."""
    places: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{error!r} at {' '.join(places)}"


def _seqpacket(fd: int) -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)


def _number(state: dict[str, Json], name: str) -> int:
    value = state.get(name)
    return value if isinstance(value, int) else 0


def _exists(path: str, dir_fd: int) -> bool:
    try:
        os.lstat(path, dir_fd=dir_fd)
    except OSError:
        return False
    return True
