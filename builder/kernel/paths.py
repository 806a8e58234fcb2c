"""Opening files below a root whose content is hostile: openat2(2), or a checked walk without it.

No symbolic link, `..` or magic link in the path leads out of the root, and none that is changed
while the path is being resolved.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from builder.kernel.libc import AT_FDCWD, CFunction, SystemCall, check, encoded

_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
_IN_ROOT = 0x10
_MAX_LINKS = 40  # the kernel's own limit
_MAX_RETRIES = 1000

_openat2 = SystemCall(437, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_fstatfs = CFunction("fstatfs", ctypes.c_int, ctypes.c_char_p)
_STATFS_BYTES = 256  # more than any architecture's struct statfs
_has_openat2: bool | None = None


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` as a process would that has chroot'ed into `root_fd`; close-on-exec.

    Absolute links and `..` stay inside. With O_NOFOLLOW in `flags` a last link is not followed.
    """
    return _open(root_fd, path, flags, mode, _IN_ROOT | _NO_MAGICLINKS)


def open_beneath(
    root_fd: int, path: str | bytes, flags: int, mode: int = 0, *, links: bool = True
) -> int:
    """Open `path`, where anything that leads out of `root_fd` is an error: EXDEV; close-on-exec.

    An absolute path and an absolute link lead out. Without `links` every link is ELOOP.
    """
    return _open(
        root_fd, path, flags, mode, _BENEATH | _NO_MAGICLINKS | (0 if links else _NO_SYMLINKS)
    )


def _open(root_fd: int, path: str | bytes, flags: int, mode: int, resolve: int) -> int:
    raw = encoded(path)
    if not openat2_works():
        return _Walk(root_fd, resolve).open(raw, flags | os.O_CLOEXEC, mode)
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve)
    retries = _MAX_RETRIES
    fd = _openat2(root_fd, raw, how, len(how))
    # EAGAIN: somewhere a rename or a mount made a ".." uncertain; not an answer about the path
    while fd == -1 and ctypes.get_errno() == errno.EAGAIN and retries > 0:
        retries -= 1
        fd = _openat2(root_fd, raw, how, len(how))
    return check(fd, path)


def file_system_of(fd: int) -> int:
    """The magic number of the file system that `fd` is of. Spec: statfs(2)."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    check(_fstatfs(fd, status))
    number: int = ctypes.c_long.from_buffer(status).value  # its first field, f_type
    return number & 0xFFFFFFFF


def openat2_works() -> bool:
    """Whether the kernel, and the seccomp filter of a container around us, let openat2 through."""
    global _has_openat2  # noqa: PLW0603 - the answer cannot change while the process lives
    if _has_openat2 is None:
        how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _IN_ROOT)
        fd = _openat2(AT_FDCWD, b"/", how, len(how))
        _has_openat2 = fd != -1
        if fd != -1:
            os.close(fd)
    return _has_openat2


class _Walk:
    """openat2's resolution, one component at a time, over descriptors that nobody can swap.

    It holds the descriptors of all parents, so that `..` needs no look at what the kernel calls
    the parent now. One walk opens one path.
    """

    def __init__(self, root_fd: int, resolve: int) -> None:
        self._parents = [os.dup(root_fd)]
        self._resolve = resolve
        self._links = 0

    def open(self, path: bytes, flags: int, mode: int) -> int:
        try:
            return self._open(path, flags, mode)
        except OSError as error:
            error.filename = os.fsdecode(path)
            raise
        finally:
            for fd in self._parents:
                os.close(fd)

    def _open(self, path: bytes, flags: int, mode: int) -> int:
        if not path:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        names = self._split(path)
        directory_asked = path.endswith((b"/", b"/."))
        while names:
            name = names.pop(0)
            if name == b"..":
                self._up()
                continue
            last = not names
            link = self._link(name, follow=not last or not flags & os.O_NOFOLLOW or directory_asked)
            if link is not None:
                directory_asked = directory_asked or (last and link.endswith(b"/"))
                names = self._split(link) + names
            elif last:
                if directory_asked and not flags & os.O_CREAT:
                    flags |= os.O_DIRECTORY
                return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=self._parents[-1])
            else:
                self._down(name)
        return os.open(b".", flags & ~(os.O_CREAT | os.O_NOFOLLOW), dir_fd=self._parents[-1])

    def _split(self, path: bytes) -> list[bytes]:
        if path.startswith(b"/"):
            if not self._resolve & _IN_ROOT:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            while len(self._parents) > 1:
                os.close(self._parents.pop())
        return [name for name in path.split(b"/") if name not in {b"", b"."}]

    def _up(self) -> None:
        if len(self._parents) > 1:
            os.close(self._parents.pop())
        elif not self._resolve & _IN_ROOT:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def _down(self, name: bytes) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._parents.append(os.open(name, flags, dir_fd=self._parents[-1]))

    def _link(self, name: bytes, *, follow: bool) -> bytes | None:
        """The text of the link `name`; None where it is none, or none to follow."""
        try:
            info = os.stat(name, dir_fd=self._parents[-1], follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(info.st_mode) or not follow:
            return None
        self._links += 1
        if self._links > _MAX_LINKS or self._resolve & _NO_SYMLINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return os.readlink(name, dir_fd=self._parents[-1])
