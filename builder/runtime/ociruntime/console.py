"""The socket through which a runtime hands over a terminal. Spec: runc's docs/terminals.md."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from builder.runtime.ociruntime.failures import RuntimeFailedError

if TYPE_CHECKING:
    from typing import Self

_TIMEOUT_S = 10.0
_NAME_BYTES = 4096


class ConsoleSocket:
    """Listens in a directory. A `with` block.

    A socket's path has at most 107 bytes, and a store may lie deep: so it is named by an open
    directory of this process's.
    """

    def __init__(self, directory: str) -> None:
        self._dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = os.path.join(directory, "console")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    @property
    def path(self) -> str:
        """As other processes find it."""
        return f"/proc/{os.getpid()}/fd/{self._dir_fd}/console"

    def __enter__(self) -> Self:
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.bind(self.path)
        self._socket.listen(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        os.close(self._dir_fd)
        os.unlink(self._file)

    def master(self) -> int:
        """The terminal's master, close-on-exec. RuntimeFailedError where none comes."""
        try:
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(_TIMEOUT_S)
                _, ancillary, _, _ = connection.recvmsg(
                    _NAME_BYTES, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
                )
        except OSError as error:
            raise RuntimeFailedError(
                f"the runtime handed over no terminal: {error.strerror or error}"
            ) from error
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(payload) >= 4:
                (master_fd,) = struct.unpack("=i", payload[:4])
                return int(master_fd)
        raise RuntimeFailedError("the runtime handed over no terminal")
