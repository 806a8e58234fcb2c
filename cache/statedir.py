"""Where each thing lies on disk; no other module joins these paths.

    ROOT/                       mode 0700: layers hold setuid programs
      version                   the format of all this, a number
      index.sqlite              see cache.database
      blobs/sha256/HEX          manifests, configs, layers as stored
      snapshots/N/fs            a layer's own tree: an overlay upperdir; N is short on purpose
      containers/ID/            what belongs to one container
      volumes/NAME/             a volume's files; made when the first one is
      cachemounts/HEX/          RUN --mount=type=cache, by hash of their id
      seccomp/HEX.bpf           compiled filters
      locks/HEX                 flock files, one a contended key
      tmp/OWNER/                everything unfinished of one process; OWNER/lock is flocked while it lives

Whatever stands in tmp/ without a locked owner belongs to a dead process and is swept at start.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from cache.digest import Digest, hex_of
from cache.errors import StoreError

FORMAT_VERSION = 1


class StateDir:
    """The store's directory. Opening it makes what is missing; `close` ends this process's part."""

    def __init__(self, root_dir: str) -> None:
        self.root_dir = root_dir
        self._owner_dir: str | None = None
        self._owner_lock: int | None = None
        self._scratch_count = 0
        try:
            self._make()
        except OSError as error:
            raise StoreError(
                f"the store {root_dir} cannot be used: {error.strerror}",
                hint="set PYBUILD_ROOT to a directory that you may write to",
            ) from error

    def _make(self) -> None:
        version_path = os.path.join(self.root_dir, "version")
        try:
            with open(version_path, encoding="ascii") as file:
                self._check_version(file.read().strip())
        except FileNotFoundError:
            os.makedirs(self.root_dir, exist_ok=True)
            os.chmod(self.root_dir, 0o700)
            for name in (
                "blobs/sha256",
                "snapshots",
                "containers",
                "cachemounts",
                "seccomp",
                "locks",
                "tmp",
            ):
                os.makedirs(os.path.join(self.root_dir, name), exist_ok=True)
            write_atomically(version_path, f"{FORMAT_VERSION}\n".encode())

    def _check_version(self, text: str) -> None:
        if text != str(FORMAT_VERSION):
            raise StoreError(
                f"the store {self.root_dir} has format {text}, this pybuild reads {FORMAT_VERSION}",
                hint="use the pybuild that made it, or another PYBUILD_ROOT",
            )

    @property
    def database(self) -> str:
        return os.path.join(self.root_dir, "index.sqlite")

    @property
    def blobs_dir(self) -> str:
        return os.path.join(self.root_dir, "blobs", "sha256")

    def blob(self, digest: Digest) -> str:
        return os.path.join(self.blobs_dir, hex_of(digest))

    @property
    def snapshots_dir(self) -> str:
        return os.path.join(self.root_dir, "snapshots")

    @property
    def containers_dir(self) -> str:
        return os.path.join(self.root_dir, "containers")

    def container(self, container_id: str) -> str:
        return os.path.join(self.containers_dir, container_id)

    def volume(self, name: str) -> str:
        return os.path.join(self.root_dir, "volumes", name)

    def cache_mount(self, cache_id: str) -> str:
        """The directory of a cache mount. The id is hashed: it is text from a Dockerfile."""
        return os.path.join(self.root_dir, "cachemounts", sha256(cache_id.encode()).hexdigest())

    @property
    def seccomp_dir(self) -> str:
        return os.path.join(self.root_dir, "seccomp")

    def scratch(self, what: str) -> str:
        """A new empty directory of this process, on the store's file system; the caller removes it.

        Left behind by a process that died, it is swept by the next one.
        """
        owner_dir = self._own()
        path = os.path.join(owner_dir, f"{what}-{secrets.token_hex(6)}")
        os.mkdir(path, 0o700)
        return path

    def _own(self) -> str:
        if self._owner_dir is None:
            self._owner_dir, self._owner_lock = self._claim()
        return self._owner_dir

    def _claim(self) -> tuple[str, int]:
        while True:
            owner_dir = os.path.join(self.root_dir, "tmp", f"{os.getpid()}-{secrets.token_hex(4)}")
            try:
                os.mkdir(owner_dir, 0o700)
                lock_fd = os.open(
                    os.path.join(owner_dir, "lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
                )
                fcntl.flock(lock_fd, fcntl.LOCK_EX)
                if os.path.exists(os.path.join(owner_dir, "lock")):
                    return owner_dir, lock_fd
                os.close(lock_fd)  # swept between mkdir and flock
            except FileNotFoundError:
                continue

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the store-wide lock `name`; waits for another process or thread that has it.

        Ends with the process, however it ends.
        """
        path = os.path.join(self.root_dir, "locks", sha256(name.encode()).hexdigest())
        lock_fd = self._acquire(path)
        try:
            yield
        finally:
            os.unlink(path)  # under the lock: whoever waits finds another inode and tries again
            os.close(lock_fd)

    def _acquire(self, path: str) -> int:
        while True:
            lock_fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
            try:
                if os.stat(path).st_ino == os.fstat(lock_fd).st_ino:
                    return lock_fd
            except FileNotFoundError:
                pass
            os.close(lock_fd)

    def sweep(self) -> None:
        """Remove what dead processes left in tmp/. Cheap when there is nothing."""
        tmp_dir = os.path.join(self.root_dir, "tmp")
        for name in os.listdir(tmp_dir):
            owner_dir = os.path.join(tmp_dir, name)
            if owner_dir != self._owner_dir and _is_orphaned(owner_dir):
                remove_tree(owner_dir)

    def close(self) -> None:
        """Remove this process's scratch directories and give up its place in tmp/. Idempotent."""
        if self._owner_dir is not None:
            remove_tree(self._owner_dir)
            self._owner_dir = None
        if self._owner_lock is not None:
            os.close(self._owner_lock)
            self._owner_lock = None


def _is_orphaned(owner_dir: str) -> bool:
    try:
        lock_fd = os.open(os.path.join(owner_dir, "lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # being made (mkdir, then the lock file) or half removed: only an old one is orphaned
        try:
            return time.time() - os.stat(owner_dir).st_mtime > 60
        except FileNotFoundError:
            return False
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock_fd)
    return True


def write_atomically(
    path: str, content: bytes, *, mode: int = 0o600, durable: bool = True
) -> None:
    """Readers of `path` see the old content or the new; both survive a crash.

    Not `durable`: what is written may be lost with the machine's power, for what a boot outdates.
    """
    aside = f"{path}.{secrets.token_hex(6)}"
    fd = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def remove_tree(path: str) -> None:
    """Remove a tree of ours, whatever modes its directories have. A missing one is no error."""

    def retry(
        function: object, failed_path: str, exc_info: tuple[type, BaseException, object]
    ) -> None:
        error = exc_info[1]
        if isinstance(error, FileNotFoundError):
            return
        if not isinstance(error, PermissionError):
            raise error
        parent = os.path.dirname(failed_path)
        for directory in (parent, failed_path):
            if stat.S_ISDIR(os.lstat(directory).st_mode):
                os.chmod(directory, 0o700)
        if os.path.isdir(failed_path) and not os.path.islink(failed_path):
            remove_tree(failed_path)
        else:
            os.unlink(failed_path)

    try:
        shutil.rmtree(path, onerror=retry)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
