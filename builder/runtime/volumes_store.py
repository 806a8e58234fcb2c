"""The volumes of the store: their rows, their directories, and which containers use them.

A volume's row is made, and a container's use of it written down, in the transaction that makes the
container; so a volume that is removed has no user, and gets none meanwhile. A directory without a
row is what a killed removal left; its name may be taken again.

    volumes/NAME/_data    the files
    volumes/NAME/filled   see builder.runtime.volumes_fill
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from builder.runtime.errors import UnknownVolumeError, VolumeExistsError, VolumeInUseError
from builder.runtime.volumes import HostMounts, ImageMount, VolumeMount
from builder.runtime.volumes_names import checked_volume_name
from cache.errors import NotFoundError
from cache.record import record
from cache.statedir import remove_tree

if TYPE_CHECKING:
    import sqlite3

    from cache.database import Database
    from cache.statedir import StateDir

_COLUMNS = "SELECT name, created, anonymous, labels, options FROM volumes"
_Row = tuple[str, int, int, str, str]
_Pairs = tuple[tuple[str, str], ...]


@record
class Volume:
    """A volume as the store knows it."""

    name: str
    created: float  # seconds since the epoch
    anonymous: bool = False
    labels: _Pairs = ()  # sorted
    options: _Pairs = ()  # of the driver, sorted; "device": the directory that it is

    @property
    def device(self) -> str:
        """The directory of this machine that stands for it; "" where the store has one."""
        return dict(self.options).get("device", "")


class Volumes:
    """Safe from several processes; each change is atomic."""

    def __init__(self, state: StateDir, database: Database, now: Callable[[], float]) -> None:
        self.state = state
        self._database = database
        self._now = now

    def create(self, name: str = "", *, labels: _Pairs = (), options: _Pairs = ()) -> Volume:
        """A new volume; without a name it gets one. One of that name and these options is given.

        VolumeExistsError for one of other options.
        """
        asked = Volume(
            name=checked_volume_name(name) if name else os.urandom(32).hex(),
            created=self._now(),
            anonymous=not name,
            labels=tuple(sorted(labels)),
            options=tuple(sorted(options)),
        )
        with self._database.transaction() as connection:
            volume = self._ensured(connection, asked)
        if volume.options != asked.options:
            raise VolumeExistsError(
                f"the volume {name} is there already, with other options",
                hint=f"pybuild volume rm {name} removes it, or choose another name",
            )
        return volume

    def claim(self, connection: sqlite3.Connection, container_id: str, mounts: HostMounts) -> None:
        """In the transaction that makes the container: make what is missing, note what is used.

        NotFoundError for an image that has gone since it was looked up.
        """
        for image in mounts.images:
            _require_image(connection, image)
        for mount in mounts.volumes:
            self._ensured(connection, _volume_for(mount, self._now()))
        used = [("volume", mount.name) for mount in mounts.volumes]
        used += [("image", str(mount.image_id)) for mount in mounts.images]
        connection.executemany(
            "INSERT OR IGNORE INTO mounted VALUES (?, ?, ?)",
            [(container_id, kind, name) for kind, name in used],
        )

    def release(self, connection: sqlite3.Connection, container_id: str) -> None:
        """In the transaction that removes the container."""
        connection.execute("DELETE FROM mounted WHERE container_id = ?", (container_id,))

    def forget_unused(
        self, connection: sqlite3.Connection, names: Iterable[str]
    ) -> tuple[str, ...]:
        """Of these the ones that no container uses any more; `remove_files` is to follow."""
        unused = tuple(name for name in names if not _users(connection, name))
        connection.executemany("DELETE FROM volumes WHERE name = ?", [(name,) for name in unused])
        return unused

    def remove_files(self, names: Iterable[str]) -> None:
        """Of volumes that are forgotten; a device's stay."""
        for name in names:
            remove_tree(self.state.volume(name))

    def find(self, name: str) -> Volume:
        """The volume of that name; UnknownVolumeError."""
        rows = self._rows("WHERE name = ?", name)
        if not rows:
            raise UnknownVolumeError(name)
        return _volume_of(rows[0])

    def all(self) -> tuple[Volume, ...]:
        """By name."""
        return tuple(_volume_of(row) for row in self._rows("ORDER BY name"))

    def users(self, name: str) -> tuple[str, ...]:
        """The ids of the containers that have it mounted, running or not."""
        return _users(self._database.connection(), name)

    def used_names(self) -> frozenset[str]:
        """The names of all volumes that a container has mounted."""
        rows = self._database.connection().execute(
            "SELECT DISTINCT name FROM mounted WHERE kind = 'volume'"
        )
        return frozenset(row[0] for row in cast("Iterable[tuple[str]]", rows))

    def remove(self, name: str) -> None:
        """UnknownVolumeError; VolumeInUseError where a container has it mounted."""
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM volumes WHERE name = ?", (name,)).rowcount:
                raise UnknownVolumeError(name)
            users = _users(connection, name)
            if users:
                raise VolumeInUseError(
                    f"the volume {name} is used by {_listed(connection, users)}",
                    hint="remove the container first: pybuild rm",
                )
        remove_tree(self.state.volume(name))

    def remove_unused(self, name: str) -> bool:
        """Remove it, unless a container has it mounted or it is gone: whether it was removed."""
        with self._database.transaction() as connection:
            forgotten = self.forget_unused(connection, (name,))
        self.remove_files(forgotten)
        return bool(forgotten)

    def data_dir(self, name: str) -> str:
        """Where the volume's files lie."""
        rows = self._rows("WHERE name = ?", name)
        device = _volume_of(rows[0]).device if rows else ""
        return device or self.state.volume_data(name)

    def is_kept_here(self, name: str) -> bool:
        """Whether its files lie in the store, and not in a directory that the user named."""
        return self.data_dir(name) == self.state.volume_data(name)

    def sweep(self) -> None:
        """Remove the directories that a killed removal left."""
        try:
            names = os.listdir(self.state.volumes_dir)
        except FileNotFoundError:
            return
        known = {volume.name for volume in self.all()}
        for name in names:
            if name in known or not self._is_ours(name):
                continue
            with self._database.transaction() as connection:  # nobody makes one meanwhile
                if not _row_of(connection, name):
                    remove_tree(self.state.volume(name))

    def _is_ours(self, name: str) -> bool:
        """Whether it is laid out as we lay out a volume: anything else is not ours to remove."""
        return set(os.listdir(self.state.volume(name))) <= {"_data", "filled"}

    def _ensured(self, connection: sqlite3.Connection, asked: Volume) -> Volume:
        """The volume of that name, made if need be."""
        row = _row_of(connection, asked.name)
        if row is not None:
            return _volume_of(row)
        remove_tree(self.state.volume(asked.name))  # a killed removal's: not this one's files
        os.makedirs(self.state.volume(asked.name), 0o700)
        if not asked.device:
            os.mkdir(self.state.volume_data(asked.name), 0o755)
        connection.execute(
            "INSERT INTO volumes VALUES (?, ?, ?, ?, ?)",
            (
                asked.name,
                round(asked.created * 1_000_000),
                int(asked.anonymous),
                json.dumps(dict(asked.labels)),
                json.dumps(dict(asked.options)),
            ),
        )
        return asked

    def _rows(self, condition: str, *parameters: str) -> tuple[_Row, ...]:
        rows = self._database.connection().execute(f"{_COLUMNS} {condition}", parameters)
        return tuple(cast("Iterable[_Row]", rows))


def _require_image(connection: sqlite3.Connection, mount: ImageMount) -> None:
    found = connection.execute("SELECT 1 FROM images WHERE image_id = ?", (mount.image_id,))
    if found.fetchone() is None:
        raise NotFoundError(f"the store has no image {mount.image_name} any more")


def _volume_for(mount: VolumeMount, now: float) -> Volume:
    return Volume(mount.name, now, mount.anonymous, mount.labels)


def _row_of(connection: sqlite3.Connection, name: str) -> _Row | None:
    found = connection.execute(f"{_COLUMNS} WHERE name = ?", (name,)).fetchone()
    return cast("_Row | None", found)


def _users(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT container_id FROM mounted WHERE kind = 'volume' AND name = ?", (name,)
    )
    return tuple(row[0] for row in cast("Iterable[tuple[str]]", rows))


def _listed(connection: sqlite3.Connection, container_ids: tuple[str, ...]) -> str:
    """The containers as their user knows them."""
    names: list[str] = []
    for container_id in container_ids[:5]:
        row = connection.execute(
            "SELECT name FROM containers WHERE container_id = ?", (container_id,)
        ).fetchone()
        names.append(cast("tuple[str]", row)[0] if row else container_id[:12])
    more = len(container_ids) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _volume_of(row: _Row) -> Volume:
    name, created, anonymous, labels, options = row
    return Volume(name, created / 1_000_000, bool(anonymous), _pairs(labels), _pairs(options))


def _pairs(text: str) -> _Pairs:
    return tuple(sorted(cast("dict[str, str]", json.loads(text)).items()))
