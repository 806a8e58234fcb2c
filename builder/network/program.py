"""Running a program of the system's for networks: nft, pasta."""

from __future__ import annotations

import os
import signal

_MORE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_SAID = 10_000


def program(name: str) -> str | None:
    """Where it is, also where the caller's PATH leaves out the system administrator's programs."""
    for directory in f"{os.environ.get('PATH', '')}:{_MORE_PATH}".split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def run(path: str, argv: list[str], text: bytes = b"") -> tuple[int, str]:
    """Its exit status, and what it said. Files in memory: no pipe to fill, and none to inherit."""
    input_fd = os.memfd_create("input", os.MFD_CLOEXEC)
    output_fd = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        os.pwrite(input_fd, text, 0)
        actions = [
            (os.POSIX_SPAWN_DUP2, input_fd, 0),
            (os.POSIX_SPAWN_DUP2, output_fd, 1),
            (os.POSIX_SPAWN_DUP2, output_fd, 2),
        ]
        # SIGPIPE as other programs expect it: Python ignores it, and pasta takes that for a failure
        environment = {"LC_ALL": "C", "PATH": _MORE_PATH}
        pid = os.posix_spawn(
            path, argv, environment, file_actions=actions, setsid=True, setsigdef=(signal.SIGPIPE,)
        )
        _, wait_status = os.waitpid(pid, 0)
        said = os.pread(output_fd, _MOST_SAID, 0).decode(errors="replace")
        return os.waitstatus_to_exitcode(wait_status), said
    finally:
        os.close(input_fd)
        os.close(output_fd)
