"""Where each thing lies on disk; no other module joins these paths.

    ROOT/                       mode 0700: layers hold setuid programs
      version                   the format of all this, a number
      index.sqlite              see cache.database
      blobs/sha256/HEX          manifests, configs, layers as stored
      snapshots/N/fs            a layer's own tree: an overlay upperdir; N is short on purpose
      snapshots/0/fs            an empty directory
      containers/ID/            what belongs to one container
      volumes/NAME/_data        a volume's files; made when the first one is
      volumes/NAME/filled       what an image has in its place, on its way into _data
      networks/                 what networks there are, who is on them: see `NetworkPaths`
      cachemounts/HEX/          RUN --mount=type=cache, by hash of their id
      downloads/HEX/            what ADD of a URL brought, by hash of the URL: may go at any time;
                                the part of a blob that a broken pull got, too
      copies/HEX                which snapshot a COPY made last, by hash of the step: may go, too
      seccomp/HEX.bpf           compiled filters
      journal/events            what has happened, an event a line; events.1 is older: may go, too
      locks/HEX                 flock files, one a contended key
      tmp/OWNER/                all unfinished of one process; it holds a lock on OWNER/lock

Whatever stands in tmp/ without a locked owner belongs to a dead process and is swept at start.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha256

from cache.digest import Digest, hex_of
from cache.errors import StoreError
from cache.filelock import GivenUp, names, try_lock, wait_for_lock

FORMAT_VERSION = 1


class StateDir:
    """The store's directory. Opening it makes what is missing; `close` ends this process's part."""

    def __init__(self, root_dir: str) -> None:
        self.root_dir = root_dir
        self._owner_dir: str | None = None
        self._owner_lock: int | None = None
        self._guard = threading.Lock()
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
                "snapshots/0/fs",
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

    def tree(self, number: int) -> str:
        """The directory of a committed tree; what overlayfs gets is `fs` in it."""
        return os.path.join(self.root_dir, "snapshots", str(number))

    @property
    def empty_dir(self) -> str:
        """A directory with nothing in it, never written to."""
        return os.path.join(self.root_dir, "snapshots", "0", "fs")

    @property
    def containers_dir(self) -> str:
        return os.path.join(self.root_dir, "containers")

    def container(self, container_id: str) -> str:
        return os.path.join(self.containers_dir, container_id)

    @property
    def volumes_dir(self) -> str:
        return os.path.join(self.root_dir, "volumes")

    def volume(self, name: str) -> str:
        return os.path.join(self.root_dir, "volumes", name)

    def volume_data(self, name: str) -> str:
        return os.path.join(self.root_dir, "volumes", name, "_data")

    def volume_filled(self, name: str) -> str:
        return os.path.join(self.root_dir, "volumes", name, "filled")

    @property
    def networks(self) -> NetworkPaths:
        return NetworkPaths(os.path.join(self.root_dir, "networks"))

    @property
    def cache_mounts_dir(self) -> str:
        return os.path.join(self.root_dir, "cachemounts")

    def cache_mount(self, cache_id: str) -> str:
        """The directory of a cache mount. The id is hashed: it is text from a Dockerfile."""
        return os.path.join(self.cache_mounts_dir, sha256(cache_id.encode()).hexdigest())

    @property
    def downloads_dir(self) -> str:
        return os.path.join(self.root_dir, "downloads")

    def download(self, url: str) -> str:
        """The directory of what a URL gave; it may be missing."""
        return os.path.join(self.downloads_dir, sha256(os.fsencode(url)).hexdigest())

    @property
    def copies_dir(self) -> str:
        return os.path.join(self.root_dir, "copies")

    def last_copy(self, step: str) -> str:
        """The file that says what a step copied last; it may be missing, its directory too."""
        return os.path.join(self.copies_dir, sha256(os.fsencode(step)).hexdigest())

    @property
    def journal_dir(self) -> str:
        return os.path.join(self.root_dir, "journal")

    @property
    def journal(self) -> str:
        """The file of what has happened; older ones lie beside it; it may be missing."""
        return os.path.join(self.journal_dir, "events")

    @property
    def seccomp_dir(self) -> str:
        return os.path.join(self.root_dir, "seccomp")

    def scratch(self, what: str) -> str:
        """A new empty directory of this process, on the store's file system; the caller removes it.

        Left behind by a process that died, it is swept by the next one.
        """
        owner_dir = self._own()
        path = os.path.join(owner_dir, f"{what}-{os.urandom(6).hex()}")
        os.mkdir(path, 0o700)
        return path

    @property
    def owner(self) -> str:
        """This process's name in the store: that of its locked directory in tmp/."""
        return os.path.basename(self._own())

    def is_alive(self, owner: str) -> bool:
        """Whether the process of this name still runs."""
        owner_dir = os.path.join(self.root_dir, "tmp", owner)
        if owner_dir == self._owner_dir:
            return True
        try:
            lock_fd = os.open(os.path.join(owner_dir, "lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(lock_fd)
        finally:
            os.close(lock_fd)

    def _own(self) -> str:
        with self._guard:
            if self._owner_dir is None:
                self._owner_dir, self._owner_lock = self._claim()
            return self._owner_dir

    def _claim(self) -> tuple[str, int]:
        while True:
            owner_dir = os.path.join(self.root_dir, "tmp", f"{os.getpid()}-{os.urandom(4).hex()}")
            with suppress(FileNotFoundError):  # swept between mkdir and open
                os.mkdir(owner_dir, 0o700)
                lock_path = os.path.join(owner_dir, "lock")
                lock_fd = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                wait_for_lock(lock_fd)  # waits for a sweeper, who holds it to the end
                if names(lock_path, lock_fd):
                    return owner_dir, lock_fd
                os.close(lock_fd)

    @contextmanager
    def lock(self, name: str, *, given_up: GivenUp | None = None) -> Generator[None, None, None]:
        """Hold the store-wide lock `name`; waits for another process or thread that has it.

        Ends with the process, however it ends. WaitGivenUpError as soon as `given_up` says so.
        """
        with self._locked(sha256(name.encode()).hexdigest(), given_up):
            yield

    @contextmanager
    def download_lock(
        self, url: str, *, given_up: GivenUp | None = None
    ) -> Generator[None, None, None]:
        """Hold what a URL gave, or will give: nobody else writes or removes it meanwhile."""
        with self._locked(os.path.basename(self.download(url)), given_up):
            yield

    def is_downloading(self, name: str) -> bool:
        """Whether a process is at an entry of downloads/."""
        try:
            lock_fd = os.open(os.path.join(self.root_dir, "locks", name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(lock_fd)
        finally:
            os.close(lock_fd)

    def remove_download(self, name: str) -> bool:
        """Remove an entry of downloads/, unless a process is at it; whether it was there to be."""
        path = os.path.join(self.root_dir, "locks", name)
        lock_fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(lock_fd) or not names(path, lock_fd):
                return False
            removed = self.remove_aside(os.path.join(self.downloads_dir, name))
            os.unlink(path)
        finally:
            os.close(lock_fd)
        return removed

    def remove_aside(self, path: str) -> bool:
        """Remove a tree of the store at one stroke: it is whole, or it is gone; whether it was."""
        aside = self.scratch("removed")
        try:
            os.rename(path, os.path.join(aside, "tree"))
        except FileNotFoundError:
            return False
        finally:
            remove_tree(aside)
        return True

    @contextmanager
    def _locked(self, name: str, given_up: GivenUp | None) -> Generator[None, None, None]:
        path = os.path.join(self.root_dir, "locks", name)
        lock_fd = self._acquire(path, given_up)
        try:
            yield
        finally:
            os.unlink(path)  # under the lock: whoever waits finds another inode and tries again
            os.close(lock_fd)

    def _acquire(self, path: str, given_up: GivenUp | None) -> int:
        while True:
            lock_fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                wait_for_lock(lock_fd, given_up=given_up)
                if names(path, lock_fd):
                    return lock_fd
            except BaseException:
                os.close(lock_fd)
                raise
            os.close(lock_fd)

    def sweep(self) -> bool:
        """Remove what dead processes left in tmp/ and locks/. Cheap when there is nothing.

        Whether there was anything in tmp/: a process that did not end by itself may have left a
        tree as well.
        """
        locks_dir = os.path.join(self.root_dir, "locks")
        for name in os.listdir(locks_dir):
            _sweep_lock(os.path.join(locks_dir, name))
        tmp_dir = os.path.join(self.root_dir, "tmp")
        swept = False
        for name in os.listdir(tmp_dir):
            owner_dir = os.path.join(tmp_dir, name)
            if owner_dir != self._owner_dir:
                swept |= _sweep(owner_dir)
        return swept

    def close(self) -> None:
        """Remove this process's scratch directories and give up its place in tmp/. Idempotent."""
        if self._owner_dir is not None:
            remove_tree(self._owner_dir)
            self._owner_dir = None
        if self._owner_lock is not None:
            os.close(self._owner_lock)
            self._owner_lock = None


class NetworkPaths:
    """Where each thing of networks lies; it is made with the first one.

    networks/
      defined/NAME.json     a network; never changes
      live.json             who is on which, and which ports are published
      names/NAME            who is on a network, in the form of /etc/hosts, for its resolvers
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @property
    def defined_dir(self) -> str:
        return os.path.join(self.directory, "defined")

    def defined(self, name: str) -> str:
        """The file of a network, whose name has been checked to be one."""
        return os.path.join(self.defined_dir, f"{name}.json")

    @property
    def live(self) -> str:
        return os.path.join(self.directory, "live.json")

    @property
    def names_dir(self) -> str:
        return os.path.join(self.directory, "names")

    def names(self, name: str) -> str:
        return os.path.join(self.names_dir, name)


def _sweep(owner_dir: str) -> bool:
    try:
        lock_fd = os.open(os.path.join(owner_dir, "lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # being made (mkdir, then the lock file) or half removed: only an old one is orphaned
        with suppress(FileNotFoundError):
            if time.time() - os.stat(owner_dir).st_mtime > 60:
                with suppress(PermissionError):
                    remove_tree(owner_dir)
                return True
        return False
    try:
        if not try_lock(lock_fd):
            return False
        with suppress(PermissionError):  # of subordinate ids: left to a command that acts as them
            remove_tree(owner_dir)
    finally:
        os.close(lock_fd)
    return True


def _sweep_lock(path: str) -> None:
    try:
        lock_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if try_lock(lock_fd) and names(path, lock_fd):
            os.unlink(path)  # under the lock, as whoever gives it up does
    finally:
        os.close(lock_fd)


def write_atomically(path: str, content: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Readers of `path` see the old content or the new; both survive a crash.

    Not `durable`: what is written may be lost with the machine's power, for what a boot outdates.
    """
    aside = f"{path}.{os.urandom(6).hex()}"
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
    """Remove a tree of ours, whatever modes its directories have. A missing one is no error.

    However deep it is: each directory found is first moved up to the top, so that no path gets
    long and two descriptors do.
    """
    try:
        top = _open_dir(path, None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    try:
        waiting = _strip(top, top)
        while waiting:
            name = waiting.pop()
            directory = _open_dir(name, top)
            try:
                waiting += _strip(directory, top)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _open_dir(name: str, dir_fd: int | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=dir_fd)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=dir_fd)
        return os.open(name, flags, dir_fd=dir_fd)


def _strip(directory: int, top: int) -> list[str]:
    """Remove a directory's files and move its directories into `top`; their names there."""
    with suppress(PermissionError):  # not its owner, but perhaps allowed all the same
        os.fchmod(directory, 0o700)
    with os.scandir(directory) as scan:
        entries = list(scan)
    directories: list[str] = []
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=directory)
        elif directory == top:
            directories.append(entry.name)
        else:
            directories.append(_lift(entry.name, directory, top))
    return directories


def _lift(name: str, directory: int, top: int) -> str:
    lifted = f"{name[:64]}.{os.urandom(8).hex()}"
    try:
        os.rename(name, lifted, src_dir_fd=directory, dst_dir_fd=top)
    except PermissionError:  # moving a directory writes its ".."
        os.chmod(name, 0o700, dir_fd=directory)
        os.rename(name, lifted, src_dir_fd=directory, dst_dir_fd=top)
    return lifted
