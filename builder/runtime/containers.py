"""The containers of the store: their records, and who holds them.

A container's directory is made and its row inserted in one transaction: whoever may write to the
index and sees a directory without a row, or the reverse, sees what a killed process left. Whoever
runs a container holds its lock, so a container with `--rm` that nobody holds is litter too.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from builder.kernel.cgroup import ControlGroup
from builder.runtime.assigning import with_ids
from builder.runtime.codec import decode_container, decode_state, encode_container, encode_state
from builder.runtime.container import (
    EXIT_KILLED,
    EXIT_UNKNOWN,
    Container,
    ContainerReport,
    ContainerState,
    HostConfig,
)
from builder.runtime.errors import (
    BrokenContainerError,
    ContainerNameTakenError,
    ContainerRunningError,
)
from builder.runtime.groups import end_group
from builder.runtime.journal import Journal
from builder.runtime.liveness import ProcessIdentity, boot_id, is_alive
from builder.runtime.lookup import find_container
from builder.runtime.names import candidate_names
from builder.runtime.paths import ContainerPaths
from builder.runtime.sharing import with_full_ids
from builder.runtime.volumes_store import Volumes
from cache.digest import Digest
from cache.errors import NotFoundError
from cache.record import record, replace
from cache.statedir import remove_tree, write_atomically

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cache.database import Database
    from cache.statedir import StateDir

_LOOK_AGAIN_S = 0.005
_LAST_WORK_S = 10.0
"""How long the holder of a container that has ended may take to clean up."""

_LAST_WORDS_S = 2.0
"""How long the holder of a container may take to write down its end."""

_ROW = "SELECT container_id, name, image_id, created, auto_remove FROM containers"
_Row = tuple[str, str, Digest, int, int]


@record
class HeldContainer:
    """A container whose lock this process has."""

    container: Container
    lock_fd: int


class Containers:
    """Safe from several processes; each change is atomic."""

    def __init__(self, state: StateDir, database: Database, now: Callable[[], float]) -> None:
        self._state = state
        self._database = database
        self._now = now
        self.volumes = Volumes(state, database, now)
        self.journal = Journal(state)

    def paths(self, container_id: str) -> ContainerPaths:
        """Where the container's things lie."""
        return ContainerPaths(self._state.container(container_id))

    @contextmanager
    def created(
        self, container: Container, *, waits: bool = False
    ) -> Generator[HeldContainer, None, None]:
        """A new container, held for the length of the block; without a name it gets one.

        One that `waits` for its start stays afterwards, with --rm too.

        ContainerNameTakenError where another has its name, NotFoundError where its image has gone.
        """
        paths = self.paths(container.container_id)
        lock_fd = -1
        try:
            with self._database.transaction() as connection:
                named = self._assigned(_with_name(connection, container))
                _insert(connection, named, auto_remove=named.host.auto_remove and not waits)
                self.volumes.claim(connection, named.container_id, named.host.mounts)
                os.mkdir(paths.container_dir, 0o700)
                lock_fd = os.open(paths.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                fcntl.flock(lock_fd, fcntl.LOCK_EX)
                durable = not container.host.auto_remove
                write_atomically(paths.config, encode_container(named), durable=durable)
            self.journal.note_container(named, "create")
            yield HeldContainer(named, lock_fd)
        except BaseException:
            if not self._has_row(container.container_id):
                remove_tree(paths.container_dir)
            raise
        finally:
            if lock_fd >= 0:
                os.close(lock_fd)

    def _assigned(self, container: Container) -> Container:
        """With what it is given of this machine, now that nobody else makes a container."""
        host = container.host
        security = with_full_ids(host.security, self.find)
        container = replace(container, host=replace(host, security=security))
        return with_ids(container, self._all_others)

    def _all_others(self) -> Iterator[Container]:
        """All that have a record; one that is damaged runs no more."""
        for name in self._directories():
            try:
                yield self.load(name)
            except BrokenContainerError:
                continue

    def goes_with_process(self, container_id: str) -> None:
        """From now on a container with --rm is litter when nobody holds it."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE containers SET auto_remove = 1 WHERE container_id = ?", (container_id,)
            )

    def rename(self, container_id: str, name: str) -> Container:
        """Give the container another name; ContainerNameTakenError where another has it."""
        with self._database.transaction() as connection:
            container = replace(self.load(container_id), name=name)
            _with_name(connection, container)
            connection.execute(
                "UPDATE containers SET name = ? WHERE container_id = ?", (name, container_id)
            )
            self.write_config(container)
        return container

    @contextmanager
    def held(
        self,
        container_id: str,
        *,
        wait_s: float = _LAST_WORK_S,
        given_up: Callable[[], bool] | None = None,
    ) -> Generator[int, None, None]:
        """Be the only one to run or remove it; ContainerRunningError where another process is.

        Waits so long, or until `given_up` says that it is no use.

        Gives the lock's descriptor: whoever has a copy of it holds the container as well.

        FileNotFoundError where it is gone, or goes while this waits.
        """
        path = self.paths(container_id).lock
        lock_fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not _locked_within(lock_fd, wait_s, given_up):
                raise ContainerRunningError(
                    f"container {container_id[:12]} is in use by another pybuild",
                    hint="wait for its end, or pybuild rm -f removes it",
                )
            os.stat(path)
            yield lock_fd
        finally:
            os.close(lock_fd)

    def is_held(self, container_id: str) -> bool:
        """Whether a process runs or removes it."""
        try:
            lock_fd = os.open(self.paths(container_id).lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock_fd)
        return False

    def find(self, text: str) -> str:
        """The id of the container that a user means: builder.runtime.lookup."""
        return find_container(self._database, text)

    def load(self, container_id: str) -> Container:
        """The container's record; BrokenContainerError where it is damaged."""
        try:
            with open(self.paths(container_id).config, "rb") as file:
                return decode_container(file.read())
        except FileNotFoundError as error:
            raise BrokenContainerError(
                f"the record of container {container_id[:12]} is missing",
                hint="pybuild rm -f removes the container",
            ) from error

    def write_config(self, container: Container) -> None:
        """Keep what has changed of what the container was asked to be."""
        path = self.paths(container.container_id).config
        write_atomically(path, encode_container(container), durable=not container.host.auto_remove)

    def state(self, container_id: str) -> ContainerState:
        """What was last written down."""
        try:
            with open(self.paths(container_id).state, "rb") as file:
                return decode_state(file.read())
        except FileNotFoundError:
            return ContainerState()

    def write_state(self, container_id: str, state: ContainerState) -> None:
        """Write it down. Not made durable: after a boot the container is known not to run."""
        path = self.paths(container_id).state
        write_atomically(path, encode_state(state), durable=False)

    def report(self, container: Container) -> ContainerReport:
        """What is true of the container now. An end that nobody wrote down is written down here."""
        state = self.state(container.container_id)
        if state.started_at == 0:
            return ContainerReport(container, state, "created")
        if state.finished_at == 0 and is_alive(_identity(state)):
            return ContainerReport(container, state, "paused" if state.paused else "running")
        if state.restarting and self.is_held(container.container_id):
            return ContainerReport(container, state, "restarting")
        if state.finished_at == 0:
            state = self._settled(container.container_id)
        return ContainerReport(container, state, "exited")

    def all(self) -> tuple[Container, ...]:
        """The containers whose records can be read, whatever they do; no state is looked at."""
        found = (self._readable(row[0]) for row in self._rows(""))
        return tuple(container for container in found if container is not None)

    def report_of(self, container_id: str) -> ContainerReport:
        """As `report`; UnknownContainerError where it is gone."""
        return self.report(self.load(self.find(container_id)))

    def reports(self) -> tuple[ContainerReport, ...]:
        """All containers, the latest first, without those that `sweep` would remove."""
        found: list[ContainerReport] = []
        for row in self._rows("ORDER BY created DESC, rowid DESC"):
            if row[4] and not self.is_held(row[0]):
                continue
            try:
                found.append(self.report(self.load(row[0])))
            except BrokenContainerError as error:
                found.append(_broken(row, error))
        return tuple(found)

    def remove(self, container_id: str, *, volumes: tuple[str, ...] = ()) -> None:
        """Remove the container, its files, and these volumes where no other container uses them.

        The caller holds it, or nobody does.
        """
        self.leave_runtime(container_id)
        self.release_network(container_id)
        self._remove_cgroup(container_id)
        container = self._readable(container_id)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM containers WHERE container_id = ?", (container_id,))
            self.volumes.release(connection, container_id)
            forgotten = self.volumes.forget_unused(connection, volumes)
        self.volumes.remove_files(forgotten)
        remove_tree(self.paths(container_id).container_dir)
        if container is not None:
            self.journal.note_container(container, "destroy")

    def _settled(self, container_id: str) -> ContainerState:
        """The end of a container whose process is gone, as its holder wrote it down, if it did."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while self.is_held(container_id) and time.monotonic() < deadline:
            if self.state(container_id).finished_at:
                break
            time.sleep(_LOOK_AGAIN_S)
        state = self.settle(container_id)
        self.leave_runtime(container_id)
        self.release_network(container_id)
        self._remove_cgroup(container_id)
        return state

    def settle(self, container_id: str) -> ContainerState:
        """The state of a container that has ended; an end that nobody wrote down is written now."""
        state = self.state(container_id)
        if state.finished_at:
            return state
        exit_code = EXIT_KILLED if state.boot_id == boot_id() else EXIT_UNKNOWN
        state = replace(state, finished_at=self._now(), exit_code=exit_code)
        self.write_state(container_id, state)
        return state

    def release_network(self, container_id: str) -> None:
        """Take back what a killed pybuild has left of its network."""
        directory = self.paths(container_id).container_dir
        if os.path.exists(self._state.networks.live):
            from builder.network.release import release  # noqa: PLC0415 - few are left behind
            from builder.network.store import NetworkStore  # noqa: PLC0415

            release(container_id, directory, NetworkStore(self._state, boot=boot_id()))

    def leave_runtime(self, container_id: str) -> None:
        """Have the program that the container ran through, if it did, forget it."""
        if os.path.isdir(self.paths(container_id).oci):
            from builder.runtime.ociruntime.leaving import leave  # noqa: PLC0415 - few have one

            leave(self.paths(container_id).container_dir)

    def _remove_cgroup(self, container_id: str) -> None:
        """Remove the control group that a killed pybuild left, if it did and we may."""
        try:
            group = ControlGroup.of_texts(self.state(container_id).cgroup)
        except BrokenContainerError:
            return
        end_group(group, timeout_s=_LAST_WORDS_S)

    def sweep(self) -> None:
        """Remove what killed processes left: containers with `--rm`, rows or directories alone."""
        for row in self._rows("WHERE auto_remove"):
            if not self.is_held(row[0]):
                self.remove(row[0], volumes=self._volumes_of(row[0]))
        if {row[0] for row in self._rows("")} != self._directories():
            self._sweep_halves()

    def _sweep_halves(self) -> None:
        with self._database.transaction() as connection:  # nobody makes a container meanwhile
            known = {row[0] for row in self._rows("")}
            directories = self._directories()
            for container_id in known - directories:
                connection.execute("DELETE FROM containers WHERE container_id = ?", (container_id,))
                self.volumes.release(connection, container_id)
        for container_id in directories - known:
            remove_tree(self.paths(container_id).container_dir)

    def _volumes_of(self, container_id: str) -> tuple[str, ...]:
        container = self._readable(container_id)
        return container.anonymous_volumes if container is not None else ()

    def _readable(self, container_id: str) -> Container | None:
        try:
            return self.load(container_id)
        except BrokenContainerError:
            return None

    def _directories(self) -> set[str]:
        return set(os.listdir(self._state.containers_dir))

    def _has_row(self, container_id: str) -> bool:
        return bool(self._rows("WHERE container_id = ?", container_id))

    def _rows(self, condition: str, *parameters: str) -> tuple[_Row, ...]:
        rows = self._database.connection().execute(f"{_ROW} {condition}", parameters)
        return tuple(cast("Iterable[_Row]", rows))


def _identity(state: ContainerState) -> ProcessIdentity:
    return ProcessIdentity(state.pid, state.pid_started, state.boot_id)


def _with_name(connection: sqlite3.Connection, container: Container) -> Container:
    if container.name:
        holder = _holder_of(connection, container.name)
        if holder is not None:
            raise ContainerNameTakenError(
                f'container {holder[:12]} is called "{container.name}" already',
                hint="give another --name, or remove that container with pybuild rm",
            )
        return container
    for name in candidate_names(container.container_id):
        if _holder_of(connection, name) is None:
            return replace(container, name=name)
    raise AssertionError("names never end")


def _holder_of(connection: sqlite3.Connection, name: str) -> str | None:
    rows = connection.execute("SELECT container_id FROM containers WHERE name = ?", (name,))
    row = cast("tuple[str] | None", rows.fetchone())
    return row[0] if row else None


def _insert(connection: sqlite3.Connection, container: Container, *, auto_remove: bool) -> None:
    images = connection.execute("SELECT 1 FROM images WHERE image_id = ?", (container.image_id,))
    if images.fetchone() is None:
        raise NotFoundError(f"the store has no image {container.image_name} any more")
    connection.execute(
        "INSERT INTO containers VALUES (?, ?, ?, ?, ?)",
        (
            container.container_id,
            container.name,
            container.image_id,
            int(container.created),
            int(auto_remove),
        ),
    )


def _locked_within(lock_fd: int, wait_s: float, given_up: Callable[[], bool] | None) -> bool:
    """Waits: those who only look hold the lock for an instant too."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or (given_up is not None and given_up()):
                return False
            time.sleep(_LOOK_AGAIN_S)
        else:
            return True


def _broken(row: _Row, error: BrokenContainerError) -> ContainerReport:
    """What the index alone knows of a container, so that it can be seen and removed."""
    from builder.image.model import ContainerConfig, Platform  # noqa: PLC0415 - rarely needed

    container_id, name, image_id, created, _ = row
    container = Container(
        container_id=container_id,
        name=name,
        created=created,
        image_id=image_id,
        image_name=image_id,
        platform=Platform("", ""),
        diff_ids=(),
        config=ContainerConfig(),
        host=HostConfig(),
    )
    state = ContainerState(
        started_at=created, finished_at=created, exit_code=EXIT_UNKNOWN, error=error.message
    )
    return ContainerReport(container, state, "exited")
