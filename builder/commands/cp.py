"""Copy files between containers and this machine, and out of a container as one archive."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from typing import BinaryIO

from builder.engine import Engine
from builder.errors import UsageError
from builder.kernel.paths import open_beneath
from builder.layer.compress import decompressed
from builder.runtime.containers import Containers
from builder.runtime.copying.archive import read_entries, write_entries
from builder.runtime.copying.entries import CopyError
from builder.runtime.copying.extract import Destination, extract
from builder.runtime.copying.mounted import container_files, own_files
from builder.runtime.copying.places import (
    Place,
    opened_destination,
    opened_source,
    parse_place,
)
from builder.runtime.copying.walk import walk
from cache.record import record, replace

STREAM = "-"


@record
class CopyRequest:
    """`cp SOURCE TARGET`."""

    source: str  # CONTAINER:PATH, a path of this machine, or "-"
    target: str
    archive: bool = False  # owners stay, by number
    follow: bool = False  # a source that is a link: what it leads to


def copy(engine: Engine, request: CopyRequest, *, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """The bytes that were written. UsageError where neither side is a container; CopyError."""
    source, target = parse_place(request.source), parse_place(request.target)
    if not source.container and not target.container:
        raise UsageError("cp: neither side is a container", hint="CONTAINER:PATH names one")
    with ExitStack() as stack:
        files = _Files(engine, stack)
        if request.source == STREAM:
            return _unpack(files.root_of(target), target.path, request, stdin)
        source_root = files.root_of(source)
        opened = stack.enter_context(opened_source(source_root, source.path, follow=request.follow))
        if request.target == STREAM:
            counting = _Counting(stdout)
            write_entries(walk(opened.fd), opened.name, counting)
            return counting.written_bytes
        destination = stack.enter_context(
            opened_destination(files.root_of(target), target.path, opened)
        )
        _refuse_into_itself(opened.fd, destination)
        kept = replace(
            destination,
            keeps_owners=request.archive,
            keeps_powers=request.archive or bool(target.container),
        )
        return extract(walk(opened.fd), kept)


class _Files:
    """The containers' files, each opened once."""

    def __init__(self, engine: Engine, stack: ExitStack) -> None:
        self._engine = engine
        self._containers = Containers(engine.state, engine.database, engine.now)
        self._stack = stack
        self._opened: dict[str, int] = {}

    def root_of(self, place: Place) -> int | None:
        """None for this machine."""
        if not place.container:
            return None
        container_id = self._containers.find(place.container)
        if container_id not in self._opened:
            container = self._containers.load(container_id)
            self._opened[container_id] = self._stack.enter_context(
                container_files(container, self._containers, self._engine.snapshots)
            )
        return self._opened[container_id]


def _unpack(root_fd: int | None, path: str, request: CopyRequest, stdin: BinaryIO) -> int:
    """A tar into a directory that is there, as a process in the container would unpack it."""
    with ExitStack() as stack:
        directory = stack.enter_context(opened_source(root_fd, path, follow=True))
        if root_fd is None or not directory.is_directory:
            raise CopyError(f"{path} is not a directory", hint="an archive goes into one")
        destination = Destination(root_fd, path, follows_links=True, keeps_owners=request.archive)
        return extract(read_entries(decompressed(stdin)), destination)


def _refuse_into_itself(source_fd: int, destination: Destination) -> None:
    """A tree that is copied into itself never ends."""
    source = os.fstat(source_fd)
    if not stat.S_ISDIR(source.st_mode):
        return
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fd = open_beneath(destination.root_fd, destination.base or ".", flags, links=False)
    try:
        while True:
            here = os.fstat(fd)
            if os.path.samestat(here, source):
                raise CopyError("a directory cannot be copied into itself")
            parent_fd = os.open("..", flags, dir_fd=fd)
            if os.path.samestat(os.fstat(parent_fd), here):
                os.close(parent_fd)
                return
            os.close(fd)
            fd = parent_fd
    finally:
        os.close(fd)


class _Counting:
    """Passes an archive on and counts it."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.written_bytes = 0

    def write(self, data: bytes, /) -> None:
        self._target.write(data)
        self.written_bytes += len(data)


def export(engine: Engine, text: str, out: BinaryIO) -> None:
    """Write the files of the container that `text` names as one flat tar, without its volumes."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    with own_files(container, containers, engine.snapshots, engine.state) as root_fd:
        write_entries(walk(root_fd, crosses_mounts=False), "", out)
