"""A layer's tar as a stream: members in, digest and size out, bytes to whoever wants them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from builder.layer import tarheader
from builder.layer.errors import PackError
from builder.layer.fanout import FanOut
from builder.layer.tarheader import Metadata
from builder.layer.whiteout import is_reserved, opaque_marker, whiteout_name
from cache.descriptor import Layer
from cache.digest import HashingWriter, Reader, Writer

_CHUNK = 1 << 20


_MARKER = Metadata(mode=0, uid=0, gid=0, mtime=0)


class TarStream:
    """Writes one layer's plain tar, each byte once, through sha256 and on to `target`.

    Hashing and `target` run in threads of their own as soon as there is more than a buffer full.
    Names are bytes, relative, without "/" at either end, parents first; the caller gives them in
    the order that `pack` has: depth first, names of a directory in byte order. Use it in a `with`
    block; leaving that without `finish` drops everything.
    """

    def __init__(self, target: Writer | None = None) -> None:
        self._hash = HashingWriter()
        sinks = [self._hash.write] if target is None else [self._hash.write, target.write]
        self._out = FanOut(sinks)
        self._parts: list[bytes] = []
        self._waiting_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()

    def add_directory(self, name: bytes, metadata: Metadata) -> None:
        self._add(tarheader.DIRECTORY, name + b"/", metadata)

    def add_symlink(self, name: bytes, metadata: Metadata, link_target: bytes) -> None:
        self._add(tarheader.SYMLINK, name, metadata, link_name=link_target)

    def add_hardlink(self, name: bytes, metadata: Metadata, first_name: bytes) -> None:
        """Another name of the member `first_name`, which came before in this stream."""
        self._add(tarheader.HARDLINK, name, metadata, link_name=first_name)

    def add_fifo(self, name: bytes, metadata: Metadata) -> None:
        self._add(tarheader.FIFO, name, metadata)

    def add_device(
        self, name: bytes, metadata: Metadata, *, is_block: bool, device: tuple[int, int]
    ) -> None:
        kind = tarheader.DEVICE_BLOCK if is_block else tarheader.CHARACTER
        self._add(kind, name, metadata, device=device)

    def add_whiteout(self, name: bytes) -> None:
        """`name` of the layers below is gone."""
        self._add_marker(whiteout_name(name))

    def add_opaque(self, directory: bytes) -> None:
        """Nothing of `directory` in the layers below shows through."""
        self._add_marker(opaque_marker(directory))

    def add_file(
        self, name: bytes, metadata: Metadata, size_bytes: int, source: Reader | bytes
    ) -> None:
        """A regular file with its data: bytes, or a reader that gives `size_bytes` of them.

        PackError where the reader ends before; what it has beyond that stays unread.
        """
        check_name(name)
        header = tarheader.header(tarheader.FILE, name, metadata, size_bytes=size_bytes)
        if not isinstance(source, bytes):
            self._put(header)
            self._copy(name, size_bytes, source)
            self._put(tarheader.padding(size_bytes))
        elif len(source) == size_bytes:
            self._put(header, source, tarheader.padding(size_bytes))
        else:
            raise _changed(name)

    def finish(self) -> Layer:
        """End the archive; what it is called and how long it is. `target` has all of it then."""
        self._put(tarheader.END_OF_ARCHIVE)
        self._flush()
        self._out.finish()
        return Layer(diff_id=self._hash.digest, size_bytes=self._hash.size_bytes)

    def _copy(self, name: bytes, size_bytes: int, source: Reader) -> None:
        left = size_bytes
        while left:
            data = source.read(min(left, _CHUNK))
            if not data:
                raise _changed(name)
            left -= len(data)
            self._put(data)

    def _add(
        self,
        kind: bytes,
        name: bytes,
        metadata: Metadata,
        *,
        link_name: bytes = b"",
        device: tuple[int, int] = (0, 0),
    ) -> None:
        check_name(name)
        self._put(tarheader.header(kind, name, metadata, link_name=link_name, device=device))

    def _add_marker(self, name: bytes) -> None:
        self._put(tarheader.header(tarheader.FILE, name, _MARKER))

    def _put(self, *pieces: bytes) -> None:
        self._parts += pieces
        self._waiting_bytes += sum(map(len, pieces))
        if self._waiting_bytes >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            self._out.write(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
            self._parts = []
            self._waiting_bytes = 0


def check_name(name: bytes) -> None:
    """PackError for a name that would mean a whiteout in the layer."""
    if b".wh." in name and is_reserved(name):
        raise PackError(
            f'"{name.decode(errors="replace")}" cannot be kept in an image',
            hint='a name that begins with ".wh." means a removed file in a layer; use another name',
        )


def _changed(name: bytes) -> PackError:
    return PackError(f'"{name.decode(errors="replace")}" changed while it was being read')
