"""inotify(7): being told that something in a directory changes."""

from __future__ import annotations

import ctypes
import os

from builder.kernel.libc import CFunction, check, encoded

_IN_MODIFY = 0x2
_IN_MOVED_TO = 0x80
_IN_CREATE = 0x100
_IN_DELETE = 0x200
_CHANGES = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE

_init = CFunction("inotify_init1", ctypes.c_int)
_add_watch = CFunction("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


class DirectoryWatch:
    """Readable when a file in the directory was written to, made, renamed or removed."""

    def __init__(self, path: str) -> None:
        self._fd = check(_init(os.O_CLOEXEC | os.O_NONBLOCK))
        try:
            check(_add_watch(self._fd, encoded(path), _CHANGES), path)
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        return self._fd

    def forget(self) -> None:
        """Read what there was to tell: the next change makes it readable again."""
        try:
            while os.read(self._fd, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        os.close(self._fd)
