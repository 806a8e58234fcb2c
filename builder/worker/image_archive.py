"""Images in tar archives: OCI layouts and docker archives, read in place."""

from __future__ import annotations

import os
import posixpath
import tarfile
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, Self

from builder.image.errors import InvalidImageError
from builder.worker.image_source import Extent, missing_file

_MEMBER_LIMIT = 100_000
_LINK_LIMIT = 8


class ArchiveSource:
    """An uncompressed tar archive, whose members are read where they lie."""

    def __init__(self, file: BinaryIO, what: str) -> None:
        """Takes over `file`, which can seek."""
        self._file = file
        self._what = what
        self._archive_size = os.fstat(file.fileno()).st_size
        self._files: dict[str, tuple[int, int]] = {}  # name → offset, size
        self._links: dict[str, str] = {}
        with ExitStack() as on_failure:
            on_failure.callback(file.close)
            self._scan()
            on_failure.pop_all()

    @property
    def what(self) -> str:
        return self._what

    def size(self, name: str) -> int | None:
        found = self._find(name)
        return None if found is None else found[1]

    def open(self, name: str) -> Extent:
        found = self._find(name)
        if found is None:
            raise missing_file(self._what, name)
        return Extent(self._file.fileno(), *found, owns_fd=False)

    def path(self, name: str) -> str | None:  # noqa: ARG002 - a member is no file of its own
        return None

    def cancel(self) -> None:
        """No read waits for long."""

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _find(self, name: str) -> tuple[int, int] | None:
        """Older docker archives hold equal layers once and link to them."""
        name = posixpath.normpath(name)
        for _ in range(_LINK_LIMIT):
            if name in self._files:
                return self._files[name]
            if name not in self._links:
                return None
            name = self._links[name]
        return None

    def _scan(self) -> None:
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                for number, member in enumerate(archive):
                    if number > _MEMBER_LIMIT:
                        raise InvalidImageError(f"{self._what} has too many members")
                    self._add(member)
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise InvalidImageError(
                f"{self._what} is not a readable archive: {error}",
                hint="it should be a tar made by save, or an OCI layout in a tar",
            ) from error

    def _add(self, member: tarfile.TarInfo) -> None:
        name = posixpath.normpath(member.name)
        if member.issym():
            target = posixpath.join(posixpath.dirname(name), member.linkname)
            self._links[name] = posixpath.normpath(target)
        elif member.islnk():
            self._links[name] = posixpath.normpath(member.linkname)
        elif member.isreg() and not member.issparse():
            if member.offset_data + member.size > self._archive_size:
                raise InvalidImageError(f"{self._what} is cut off within {member.name}")
            self._files[name] = (member.offset_data, member.size)
