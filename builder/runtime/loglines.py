"""Lines of files that are written and rotated while they are read.

NAME is the file that is written, NAME.1 the one before it, and so on: the oldest has the highest
number. Where there is no second file, the one is cut to nothing instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self

_BLOCK_BYTES = 1 << 16
_MOST_FILES = 1_000_000


class RotatedLines:
    """The lines of such files, from oldest to newest; `more` gives what has come since.

    A line whose end is not written yet waits for it. For a `with` block.
    """

    def __init__(self, path: str, *, last: int | None = None) -> None:
        """Of what is there now, with `last` only so many lines at the end."""
        self._path = path
        self._files = _opened(path)
        self._skip_to(last)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def more(self) -> Iterator[bytes]:
        """The lines that are whole and were not given yet."""
        while True:
            while len(self._files) > 1:
                yield from self._files[0].lines()
                self._files.pop(0).close()
            if not self._files:
                self._files = _opened(self._path)
                if not self._files:
                    return
                continue
            newest = self._files[0]
            yield from newest.lines()
            if not newest.is_rotated(self._path):
                return
            yield from newest.lines()  # written before it was
            self._files = [newest, *_opened(self._path, after=newest.place)]
            if len(self._files) == 1:
                return

    def _skip_to(self, last: int | None) -> None:
        if last is None:
            return
        left = last
        for number in range(len(self._files) - 1, -1, -1):
            left -= self._files[number].skip_to_last(left)
            if left <= 0:
                for file in self._files[:number]:
                    file.close()
                del self._files[:number]
                return


class _File:
    """One of them, at a position."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        status = os.fstat(self._fd)
        self.place = (status.st_dev, status.st_ino)
        self._position = 0
        self._rest = b""

    def close(self) -> None:
        os.close(self._fd)

    def is_rotated(self, path: str) -> bool:
        """Whether another file has its name now, or is about to."""
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self.place

    def lines(self) -> Iterator[bytes]:
        """What is whole from the position on."""
        if os.fstat(self._fd).st_size < self._position:
            self._position, self._rest = 0, b""  # it was cut, and is written anew
        while block := os.pread(self._fd, _BLOCK_BYTES, self._position):
            self._position += len(block)
            *lines, self._rest = (self._rest + block).split(b"\n")
            yield from lines

    def skip_to_last(self, count: int) -> int:
        """Move to where so many lines are left, or fewer if there are not so many; how many."""
        size = position = os.fstat(self._fd).st_size
        if count <= 0:
            self._position = size
            return 0
        ends = 0
        while position > 0:
            start = max(0, position - _BLOCK_BYTES)
            block = os.pread(self._fd, position - start, start)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                ends += 1
                if ends > count:
                    self._position = start + at + 1
                    return count
            position = start
        return ends


def _opened(path: str, *, after: tuple[int, int] | None = None) -> list[_File]:
    """The files from oldest to newest; with `after` those newer than that one.

    From the newest on, since files only move that way: one that does meanwhile is met twice.
    """
    found: list[_File] = []
    try:
        for number in range(_MOST_FILES):
            file = _File(f"{path}.{number}" if number else path)
            if file.place == after or any(file.place == one.place for one in found):
                file.close()
                if file.place == after:
                    break
            else:
                found.append(file)
    except FileNotFoundError:
        pass
    except BaseException:
        for file in found:
            file.close()
        raise
    return found[::-1]
