"""A container's output on disk: Docker's `json-file`, one JSON object a line, files in rotation.

container.log      the file that is written
container.log.1    the one before it, and so on to max_files - 1
"""

from __future__ import annotations

import os
import time
from _json import encode_basestring

from builder.sandbox.monitor.clock import rfc3339

NAME = "container.log"
_MAX_LINE_BYTES = 16 * 1024  # a longer line becomes several entries, as Docker splits it
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class JsonFileLog:
    """Appends entries. A disk that is full costs entries, never the container."""

    def __init__(
        self, dir_fd: int, *, max_size_bytes: int, max_files: int, attributes: str
    ) -> None:
        """`attributes`: a JSON object as text that each entry carries; "" for none."""
        self._dir_fd = dir_fd
        self._max_size_bytes = max_size_bytes
        self._max_files = max_files
        self._attributes = f',"attrs":{attributes}' if attributes else ""
        self._partial = {"stdout": b"", "stderr": b""}
        self._fd = os.open(NAME, _FLAGS, 0o600, dir_fd=dir_fd)
        self._size_bytes = os.fstat(self._fd).st_size

    def write(self, stream: str, chunk: bytes) -> None:
        """What the container wrote to `stream`; the beginning of a line waits for the rest."""
        *lines, rest = (self._partial[stream] + chunk).split(b"\n")
        pieces = [piece for line in lines for piece in _split(line + b"\n")]
        *whole, rest = _split(rest)
        self._partial[stream] = rest
        self._append(stream, pieces + whole)

    def close(self) -> None:
        """Write what is still waiting."""
        for stream, rest in self._partial.items():
            if rest:
                self._append(stream, [rest])
        os.close(self._fd)

    def _append(self, stream: str, pieces: list[bytes]) -> None:
        if not pieces:
            return
        tail = f',"stream":"{stream}"{self._attributes},"time":"{rfc3339(time.time_ns())}"}}\n'
        entries = [
            f'{{"log":{encode_basestring(piece.decode("utf-8", "replace"))}{tail}'
            for piece in pieces
        ]
        try:
            if not self._max_size_bytes:
                self._write_all("".join(entries).encode())
                return
            for entry in entries:
                if self._size_bytes >= self._max_size_bytes:
                    self._rotate()
                self._write_all(entry.encode())
        except OSError:
            return

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self._size_bytes += written
            view = view[written:]

    def _rotate(self) -> None:
        if self._max_files < 2:
            os.ftruncate(self._fd, 0)
        else:
            for number in range(self._max_files - 1, 0, -1):
                older = f"{NAME}.{number}"
                newer = f"{NAME}.{number - 1}" if number > 1 else NAME
                try:
                    os.rename(newer, older, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd)
                except FileNotFoundError:
                    continue
            os.close(self._fd)
            self._fd = os.open(NAME, _FLAGS, 0o600, dir_fd=self._dir_fd)
        self._size_bytes = 0


class NoLog:
    """Keeps nothing."""

    def write(self, stream: str, chunk: bytes) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _split(line: bytes) -> list[bytes]:
    """Pieces that are no longer than an entry may be; one, perhaps empty, where it is short."""
    if len(line) <= _MAX_LINE_BYTES:
        return [line]
    return [line[at : at + _MAX_LINE_BYTES] for at in range(0, len(line), _MAX_LINE_BYTES)]
