"""The pipes between a container and its monitor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from builder.runtime.streams import give
from builder.sandbox.api import Credentials, Stdio

if TYPE_CHECKING:
    from typing import Self


class ContainerPipes:
    """For stdin, where it is open, stdout and stderr; none for a terminal. A `with` block."""

    def __init__(self, *, terminal: bool, stdin_open: bool) -> None:
        self.monitor_stdin = -1  # to be written to
        self.monitor_stdout = -1
        self.monitor_stderr = -1
        self._theirs: list[int] = []
        self._stdio = Stdio()
        if not terminal:
            self._make(stdin_open=stdin_open)

    def _make(self, *, stdin_open: bool) -> None:
        stdin = None
        if stdin_open:
            stdin, self.monitor_stdin = os.pipe2(os.O_CLOEXEC)
        self.monitor_stdout, stdout = os.pipe2(os.O_CLOEXEC)
        self.monitor_stderr, stderr = os.pipe2(os.O_CLOEXEC)
        self._theirs += [fd for fd in (stdin, stdout, stderr) if fd is not None]
        self._stdio = Stdio(stdin, stdout, stderr)

    def stdio(self, credentials: Credentials) -> Stdio:
        """The container's ends. They belong to its user, who may open /dev/stdout again."""
        give(self._theirs, credentials)
        return self._stdio

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close all: whoever is to have an end has a copy of it."""
        for fd in (*self._theirs, self.monitor_stdin, self.monitor_stdout, self.monitor_stderr):
            if fd >= 0:
                os.close(fd)
