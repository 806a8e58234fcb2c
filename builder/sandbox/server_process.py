"""Starting the sandbox server: this interpreter once more, without `site`, with one socket."""

from __future__ import annotations

import _socket
import fcntl
import os
import sys
from typing import Literal

from builder.errors import IsolationError
from builder.kernel import mount
from builder.kernel.libc import AT_FDCWD
from builder.sandbox.child.wire import CONTROL_FD

_SOURCE_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = "import sys; sys.path.append({!r}); from builder.sandbox.{} import main; main()"
_PASSED_ON = ("LD_LIBRARY_PATH",)  # what the interpreter itself may need


Program = Literal["child.server", "monitor.main", "child.jail"]
"""Which one it is: of a build's steps, of a container, of steps that have no namespaces."""


class ServerProcess:
    """The running server, and the socket that it takes requests from.

    "monitor.main" can take charge of a container, and then goes on without this process.
    """

    def __init__(self, program: Program = "child.server") -> None:
        self._is_released = False
        self.control, server_end = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        try:
            self._pid = _spawn(server_end.fileno(), program)
        except BaseException:
            self.control.close()
            raise
        finally:
            server_end.close()

    def release(self) -> None:
        """Let it go on by itself: it has a container in its charge."""
        self.control.close()
        self._is_released = True

    @property
    def is_released(self) -> bool:
        """Whether it has been let go: another container needs another one."""
        return self.control.fileno() < 0

    def join(self) -> None:
        """Wait for the end of one that was released."""
        if self._is_released:
            os.waitpid(self._pid, 0)
            self._is_released = False

    def stop(self) -> None:
        """End it and all that it started; returns when they are gone. Idempotent.

        Nothing happens to one that was released.
        """
        if self.control.fileno() < 0:
            return
        self.control.close()
        os.waitpid(self._pid, 0)


def _spawn(server_fd: int, module: Program) -> int:
    program = _PROGRAM.format(_SOURCE_DIR, module)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    may_mount = module != "child.jail"
    executable_fd = _unwritable_interpreter() if may_mount else _interpreter()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
        (os.POSIX_SPAWN_DUP2, server_fd, CONTROL_FD),
    ]
    try:
        return os.posix_spawn(
            f"/proc/self/fd/{executable_fd}",
            [sys.executable, "-I", "-S", "-E", "-c", program],
            environment,
            file_actions=actions,
            setsid=True,  # an interrupt at the terminal is the command's to handle
        )
    finally:
        os.close(executable_fd)


def _interpreter() -> int:
    fd = os.open(sys.executable, os.O_PATH | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CONTROL_FD + 1)
    finally:
        os.close(fd)


def _unwritable_interpreter() -> int:
    """The interpreter on a read-only mount of its own, attached nowhere.

    A program `/proc/self/exe` in an image is, at the moment of its execve, the interpreter of the
    child: it would run and could then write to its own file (CVE-2019-5736). On this mount nobody
    can, be it root.
    """
    try:
        tree_fd = mount.clone_tree(AT_FDCWD, sys.executable)
        try:
            mount.set_attributes(tree_fd, mount.ATTR_RDONLY)
            return fcntl.fcntl(tree_fd, fcntl.F_DUPFD_CLOEXEC, CONTROL_FD + 1)
        finally:
            os.close(tree_fd)
    except OSError as error:
        raise IsolationError(
            f"the kernel denies a mount for the sandbox: {error.strerror}",
            hint="Linux 5.12 or newer is needed, and a container around this process that allows "
            "the mount system calls",
        ) from error
