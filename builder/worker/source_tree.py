"""What COPY and ADD take from: a directory, and what of it a build may see."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from builder.errors import StepFailedError
from builder.frontend.ignorefile import IgnoreMatcher
from builder.kernel.paths import open_beneath
from cache.record import record

_MAX_LINKS = 255  # as BuildKit


@record
class SourceTree:
    """A context, a mounted stage, a download or a checkout."""

    root_dir: str  # absolute
    ignore: IgnoreMatcher | None = None
    is_context: bool = False  # what is copied belongs to root, whoever owns it here
    name: str = ""  # of a context; else what it is

    @property
    def described(self) -> str:
        """For messages."""
        if not self.name:
            return "the stage or image that it is copied from"
        if not self.is_context or " " in self.name:
            return self.name
        return "the build context" if self.name == "context" else f'the context "{self.name}"'

    def open(self, path: str, flags: int) -> int:
        """Open a path that `resolve` gave: a link in it, put there since, is an error (ELOOP)."""
        root_fd = os.open(self.root_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_beneath(root_fd, path or ".", flags, links=False)
        finally:
            os.close(root_fd)

    def status(self, path: str) -> os.stat_result | None:
        """Of a path whose parents are no links; None where nothing is, or nothing to be seen."""
        try:
            status = os.lstat(os.path.join(self.root_dir, path))
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR}:
                return None
            raise
        if self.ignore is None or not path or self.shows(path, status):
            return status
        return None

    def shows(self, path: str, status: os.stat_result) -> bool:
        """Whether the ignore file leaves `path` in: itself, or something below it."""
        ignore = self.ignore
        if ignore is None or not ignore.excludes(path):
            return True
        if not stat.S_ISDIR(status.st_mode) or ignore.may_skip_directory(path):
            return False
        with os.scandir(os.path.join(self.root_dir, path)) as found:
            return any(
                self.shows(f"{path}/{one.name}", one.stat(follow_symlinks=False)) for one in found
            )

    def resolve(self, path: str) -> str:
        """The path without links, inside the tree; "" is its root. A missing end stays."""
        return resolve(path, self.status, self._link)

    def _link(self, path: str) -> str:
        return os.readlink(os.path.join(self.root_dir, path))


def resolve(
    path: str,
    status: Callable[[str], os.stat_result | None],
    link: Callable[[str], str],
) -> str:
    """Follow all links of `path` as a process would whose root this is.

    The answer is relative and has no "/" at its end; what is missing is taken literally. `status`
    and `link` are asked about paths whose parents are no links. OSError(ELOOP) for links that lead
    in a circle.
    """
    done: list[str] = []
    names = _names(path)
    links = 0
    while names:
        name = names.pop()
        if name == "..":
            del done[-1:]
            continue
        here = "/".join((*done, name))
        found = status(here)
        if found is None or not stat.S_ISLNK(found.st_mode):
            done.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = link(here)
        if target.startswith("/"):
            done = []
        names.extend(_names(target))
    return "/".join(done)


def _names(path: str) -> list[str]:
    """The components, last first."""
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def xattr_names(target: int | str) -> list[str]:
    """The names of a file's xattrs, open or by a path whose end may be a link."""
    try:
        if isinstance(target, int):
            return os.listxattr(target)
        return os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.ENOSYS}:
            return []  # a file system that keeps none
        raise


def shown_url(url: str) -> str:
    """A URL for messages: without the password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{host}{slash}{path}"


def failure_of(error: OSError, path: str) -> StepFailedError:
    """What a system call about `path` says, as this step's failure."""
    if error.errno == errno.ELOOP:
        return StepFailedError(f'"{path}": too many levels of symbolic links')
    return StepFailedError(f'"{path}": {error.strerror}')
