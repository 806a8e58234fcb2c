"""An image's root filesystem without its layers: as a tar (type=tar), or as files (type=local)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress

from builder.export.api import Exported, ExportRequest
from builder.export.output import STDOUT, ExportError, open_output
from builder.image.platform import normalised
from builder.layer.pack import pack
from builder.layer.xattrs import read_xattrs, write_xattr
from cache.descriptor import ChainId, chain_id

MountView = Callable[[Mapping[str, ChainId]], AbstractContextManager[str]]
"""Makes stacks of layers visible, read-only, below the path that it gives: each in the subdirectory
of its name, one named "" as the path itself."""

_COPY_BYTES = 1 << 30
_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TarExporter:
    """type=tar: one flat archive."""

    def __init__(self, mount_view: MountView, *, userxattr: bool) -> None:
        self._mount_view = mount_view
        self._userxattr = userxattr

    def export(self, request: ExportRequest) -> Exported:
        with (
            self._mount_view(_trees(request)) as rootfs_dir,
            open_output(request.dest) as file,
        ):
            pack(rootfs_dir, file, userxattr=self._userxattr)
        return Exported(dest=request.dest)


class LocalExporter:
    """type=local: files into a directory, owned by the user. What else is there stays there."""

    def __init__(self, mount_view: MountView) -> None:
        self._mount_view = mount_view

    def export(self, request: ExportRequest) -> Exported:
        if request.dest == STDOUT:
            raise ExportError("type=local writes a directory", hint="use type=tar for a stream")
        try:
            os.makedirs(request.dest, exist_ok=True)
        except OSError as error:
            raise ExportError(f"{request.dest} is no directory: {error.strerror}") from error
        with self._mount_view(_trees(request)) as rootfs_dir:
            copy_tree(rootfs_dir, request.dest)
        return Exported(dest=request.dest)


def _trees(request: ExportRequest) -> dict[str, ChainId]:
    """Of several platforms, each in a directory of its own: linux_amd64, linux_arm_v7."""
    if not request.platforms:
        return {"": chain_id(request.image.config.diff_ids)}
    return {
        str(normalised(image.config.platform)).replace("/", "_"): chain_id(image.config.diff_ids)
        for image in request.platforms
    }


def copy_tree(source_dir: str, target_dir: str) -> None:
    """Copy all that is in `source_dir` over what is in `target_dir`, which exists.

    Both are walked by open directories: a link in either, which an earlier export may have left,
    leads nowhere else. A file that is there is replaced in one step. Owners are not copied.
    """
    source = os.open(source_dir, _DIR_FLAGS)
    try:
        target = os.open(target_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _Copy(target).directory(source, target, "")
        finally:
            os.close(target)
    finally:
        os.close(source)


class _Copy:
    def __init__(self, root: int) -> None:
        self._root = root
        self._first_names: dict[tuple[int, int], str] = {}  # of files with several names

    def directory(self, source: int, target: int, prefix: str) -> None:
        """Copy what is in the open directory `source` into the open directory `target`."""
        for name in sorted(os.listdir(source)):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._subdirectory(source, target, prefix, name)
            elif not stat.S_ISSOCK(status.st_mode):
                self._replace(source, target, prefix + name, status)

    def _subdirectory(self, source: int, target: int, prefix: str, name: str) -> None:
        from_dir = os.open(name, _DIR_FLAGS, dir_fd=source)
        try:
            into_dir = _open_or_make(name, target)
            try:
                self.directory(from_dir, into_dir, f"{prefix}{name}/")
                _copy_metadata(from_dir, into_dir)
            finally:
                os.close(into_dir)
        finally:
            os.close(from_dir)

    def _replace(self, source: int, target: int, path: str, status: os.stat_result) -> None:
        name = os.path.basename(path)
        aside = f".{os.urandom(6).hex()}"
        try:
            self._make(source, target, path, aside, status)
            os.rename(aside, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=target)
            if isinstance(error, IsADirectoryError):
                problem = f"/{path} is no directory in the image and one in the destination"
                raise ExportError(problem, hint="remove it there") from error
            raise

    def _make(
        self, source: int, target: int, path: str, aside: str, status: os.stat_result
    ) -> None:
        inode = (status.st_dev, status.st_ino)
        if inode in self._first_names:
            first = self._first_names[inode]
            os.link(first, aside, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
            return
        if status.st_nlink > 1:
            self._first_names[inode] = path
        name = os.path.basename(path)
        if stat.S_ISREG(status.st_mode):
            _copy_file(name, source, aside, target)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), aside, dir_fd=target)
            _copy_times(status, aside, target)
        else:
            _make_node(path, aside, target, status)


def _open_or_make(name: str, parent: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    try:
        return os.open(name, _DIR_FLAGS, dir_fd=parent)
    except OSError:  # something else has the name, a link perhaps
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)
        return os.open(name, _DIR_FLAGS, dir_fd=parent)


def _copy_file(name: str, source: int, aside: str, target: int) -> None:
    from_file = os.open(name, _FILE_FLAGS, dir_fd=source)
    try:
        into_file = os.open(aside, _NEW_FILE_FLAGS, 0o600, dir_fd=target)
        try:
            while os.sendfile(into_file, from_file, None, _COPY_BYTES):
                pass
            _copy_metadata(from_file, into_file)
        finally:
            os.close(into_file)
    finally:
        os.close(from_file)


def _copy_metadata(source: int, target: int) -> None:
    status = os.fstat(source)
    for name, value in read_xattrs(source, os.listxattr(source)):
        write_xattr(target, name, value)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _copy_times(status: os.stat_result, name: str, directory: int) -> None:
    times = (status.st_mtime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def _make_node(path: str, aside: str, target: int, status: os.stat_result) -> None:
    try:
        os.mknod(aside, status.st_mode, status.st_rdev, dir_fd=target)
    except PermissionError as error:
        raise ExportError(
            f"/{path} is a device, which only root can make",
            hint="use type=tar, which keeps it in the archive",
        ) from error
    os.chmod(aside, stat.S_IMODE(status.st_mode), dir_fd=target)
    _copy_times(status, aside, target)
