"""What clients ask of a monitor. Each request is a message, answered with one.

    attach STDIN STDOUT STDERR   flags; a descriptor goes with it for each that is 1
    resize ROWS COLUMNS          of the container's terminal; no answer
    forward NUMBER               a signal that came to the client; no answer
    hangup NAME                  nobody reads stdout or stderr any more; no answer
    cleaned                      the owner has removed all that is to be removed; no answer
    signal NUMBER                by a user; the container's own stop signal and SIGKILL are a stop
    stop NUMBER TIMEOUT_MS       the signal now, SIGKILL after the timeout (-1: never)
    pause, unpause               sticky
    hold                         as pause, until the connection ends
    wait                         for the end
    processes                    the pids, as the machine counts
    root                         a descriptor of the root directory that its processes see
    update NAME RETRIES          the restart policy
    exec                         one more process: see builder.sandbox.monitor.execs

Answers: ok, with what was asked for; error and why; attach, stop and wait are told `ended CODE`.
"""

from __future__ import annotations

import os

from builder.kernel.process import SIGKILL
from builder.sandbox.monitor.connection import ERROR, OK, Connection, close_all
from builder.sandbox.monitor.restart import RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.sandbox.child.wire import Message
    from builder.sandbox.monitor.monitor import Monitor

ENDED = "ended"
_NOT_RUNNING = "the container does not run"


def handle(monitor: Monitor, client: Connection, message: Message, fds: tuple[int, ...]) -> None:
    """Do what is asked. OSError where that can't be done."""
    match message:
        case ("exec",) if monitor.runs and not monitor.is_paused:
            monitor.execs.start(client, fds)
            return
        case ("attach", int(stdin), int(stdout), int(stderr)) if monitor.runs:
            _attach(monitor, client, (stdin, stdout, stderr), fds)
            return
        case ("terminal",) if len(fds) == 1:
            client.terminal_fd = fds[0]
            return
        case _:
            close_all(fds)
    if not _streams(monitor, message) and not _life(monitor, client, message):
        _ask(monitor, client, message)


def _attach(
    monitor: Monitor, client: Connection, wanted: tuple[int, int, int], fds: tuple[int, ...]
) -> None:
    if sum(wanted) != len(fds) or client.attached is not None:
        close_all(fds)
        client.send(ERROR, "the descriptors are not what was announced")
        return
    left = list(fds)
    stdin, stdout, stderr = (left.pop(0) if each else -1 for each in wanted)
    client.attached = monitor.streams.attach(stdin, stdout, stderr)
    monitor.waiting.append(client)
    client.send(OK)


def _streams(monitor: Monitor, message: Message) -> bool:
    """Requests without an answer; whether it was one."""
    match message:
        case ("resize", int(rows), int(columns)):
            monitor.streams.resize(rows, columns)
        case ("forward", int(number)):
            monitor.process.signal(number)
        case ("hangup", str(name)):
            monitor.streams.hang_up(name)
        case ("cleaned",):
            monitor.cleaned()
        case _:
            return False
    return True


def _life(monitor: Monitor, client: Connection, message: Message) -> bool:
    """Requests to end it or to know of its end; whether it was one."""
    match message:
        case ("wait",):
            _wait(monitor, client)
        case ("stop", int(number), int(timeout_ms)):
            _stop(monitor, client, number, timeout_ms)
        case ("signal", int(number)):
            _signal(monitor, client, number)
        case ("update", str(name), int(retries)):
            monitor.restart = RestartPolicy(name, retries)
            client.send(OK)
        case _:
            return False
    return True


def _wait(monitor: Monitor, client: Connection) -> None:
    if monitor.runs:
        monitor.waiting.append(client)
    else:
        client.send(ENDED, monitor.exit_code)


def _stop(monitor: Monitor, client: Connection, number: int, timeout_ms: int) -> None:
    monitor.mark_stopped()
    _wait(monitor, client)
    if not monitor.runs:
        return
    monitor.unpause()
    monitor.process.signal(number)
    if timeout_ms >= 0:
        monitor.kill_after(timeout_ms / 1000)


def _signal(monitor: Monitor, client: Connection, number: int) -> None:
    if number in {SIGKILL, monitor.charge.stop_signal}:
        monitor.mark_stopped()
    if number == SIGKILL:
        monitor.process.kill()
    else:
        monitor.process.signal(number)
    client.send(OK)


def _ask(monitor: Monitor, client: Connection, message: Message) -> None:
    if not monitor.runs:
        client.send(ERROR, _NOT_RUNNING)
        return
    match message:
        case ("pause",):
            monitor.pause()
            client.send(OK)
        case ("unpause",):
            if not monitor.is_paused:
                client.send(ERROR, "the container is not paused")
                return
            monitor.unpause()
            client.send(OK)
        case ("hold",):
            monitor.process.freeze(client)
            client.send(OK)
        case ("processes",):
            client.send(OK, *monitor.process.processes())
        case ("root",):
            _send_root(monitor, client)
        case ("exec",):
            client.send(ERROR, "the container is paused: unpause it first")
        case _:
            client.send(ERROR, f"there is no request {str(message)[:200]}")


def _send_root(monitor: Monitor, client: Connection) -> None:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(f"/proc/{monitor.process.pid}/root", flags)  # its pid until it is waited for
    client.send(OK, fds=(fd,))
    os.close(fd)
