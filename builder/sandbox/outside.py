"""Programs that the sandbox server runs outside of any sandbox, and what they leave to it."""

from __future__ import annotations

import _socket
import marshal
import os
from collections.abc import Sequence
from contextlib import ExitStack

from builder.errors import IsolationError
from builder.sandbox.api import OutsideProgram, Stdio
from builder.sandbox.child import wire
from builder.sandbox.child.request import Request, encoded
from builder.sandbox.monitor.outside import ADOPT, RUN
from builder.sandbox.process import SandboxProcess


def run_outside(control: _socket.socket, program: OutsideProgram, stdio: Stdio) -> int:
    """Run it to its end; its exit status, 128 + n for signal n."""
    with ExitStack() as stack:
        null_fd = _opened(os.devnull, os.O_RDWR, stack)
        streams = (stdio.stdin, stdio.stdout, stdio.stderr)
        fds = [null_fd if fd is None else fd for fd in streams]
        fds += (_opened(path, os.O_WRONLY, stack) for path in program.cgroup_files)
        document = (program.args, program.env, program.directory, len(program.cgroup_files))
        program_fd = os.memfd_create("program")
        stack.callback(os.close, program_fd)
        os.pwrite(program_fd, marshal.dumps(document), 0)
        process = _asked(control, (RUN,), (program_fd, *fds))
    status = process.wait()
    assert status is not None, "waiting without a timeout gives a status"
    return status.code


def adopt(control: _socket.socket, pid: int, request: Request, fds: list[int]) -> SandboxProcess:
    """The process `pid`, which a program has left to the server; `request` is what it is like."""
    request_fd = os.memfd_create("request")
    try:
        os.pwrite(request_fd, encoded(request), 0)
        return _asked(control, (ADOPT, pid), (request_fd, *fds))
    finally:
        os.close(request_fd)


def _asked(control: _socket.socket, message: wire.Message, fds: Sequence[int]) -> SandboxProcess:
    here, there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        wire.send(control, message, (there.fileno(), *fds))
        there.close()  # so that the server's end is its only other one
        answer, received = wire.receive(here)
    except BaseException:
        here.close()
        raise
    finally:
        there.close()
    match answer:
        case (wire.STARTED, int(pid)):
            return SandboxProcess(pid, received[0], here)
        case _:
            here.close()
            raise IsolationError(
                "the runtime's process could not be taken charge of", hint="was it killed?"
            )


def _opened(path: str, flags: int, stack: ExitStack) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
