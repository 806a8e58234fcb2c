"""Blobs on their way from a registry into the store, several at a time, readable while they come.

What has come of a blob stays in downloads/ until the blob is whole, so that a broken pull goes on
where it ended. A blob is the store's once all its bytes are there and checked; whoever reads along
gets to its end only then.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from builder.events import Emit, StepFailed, StepFinished, StepProgress, StepStarted
from builder.registry.repository import Repository
from cache.content.adopt import adopt_file
from cache.descriptor import Descriptor
from cache.digest import HashingWriter, hex_of, read_all
from cache.errors import CorruptContentError, PybuildError, StoreError
from cache.statedir import StateDir

_THREADS = 4
_CHUNK = 1 << 20
_PROGRESS_BYTES = 1 << 20
_LEAVE_S = 2.0
"""For how long one waits for threads that nobody needs any more: a server may be silent for longer,
and a thread that waits for it still has its file."""


class _CancelledError(Exception):
    """Nobody wants the blob any more."""


class BlobDownloads:
    """A `with` block; leaving it ends the threads. Blobs are fetched in the order given."""

    def __init__(self, state: StateDir, repository: Repository, emit: Emit) -> None:
        self._state = state
        self._repository = repository
        self._emit = emit
        self._cancelled = threading.Event()
        self._waiting: deque[Download] = deque()
        self._threads: list[threading.Thread] = []
        self._all: list[Download] = []

    def start(self, blobs: Iterable[Descriptor]) -> dict[str, Download]:
        """Begin to fetch; by digest. Equal blobs come once."""
        found: dict[str, Download] = {}
        for blob in blobs:
            if blob.digest not in found:
                found[blob.digest] = Download(
                    self._state, self._repository, blob, self._emit, self._cancelled
                )
        self._all += found.values()
        self._waiting.extend(found.values())
        for _ in range(min(_THREADS, len(found))):
            thread = threading.Thread(target=self._work, name="download", daemon=True)
            self._threads.append(thread)
            thread.start()
        return found

    def cancel(self) -> None:
        """Have the threads end, and those that read along too, by an exception. Idempotent."""
        self._cancelled.set()
        for download in self._all:
            download.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()
        deadline = time.monotonic() + _LEAVE_S
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            for download in self._all:
                download.close()

    def _work(self) -> None:
        while not self._cancelled.is_set():
            try:
                download = self._waiting.popleft()
            except IndexError:
                return
            download.run()


class Download:
    """One blob; `run` fetches it, `open` reads along in another thread."""

    def __init__(
        self,
        state: StateDir,
        repository: Repository,
        blob: Descriptor,
        emit: Emit,
        cancelled: threading.Event,
    ) -> None:
        self.blob = blob
        self._state = state
        self._repository = repository
        self._emit = emit
        self._cancelled = cancelled
        self._changed = threading.Condition()
        self._fd = -1
        self._done_bytes = 0
        self._is_whole = False
        self._error: BaseException | None = None

    @property
    def path(self) -> str:
        """Where the blob is once it is whole."""
        return self._state.blob(self.blob.digest)

    def open(self) -> Following:
        """The blob's bytes from the start, each as soon as it is there."""
        return Following(self)

    def run(self) -> None:
        """Fetch the blob; what goes wrong is raised by those who read along."""
        vertex, started = f"blob {self.blob.digest}", time.monotonic()
        try:
            with self._state.download_lock(vertex):  # another command may be fetching it
                if self._is_stored():
                    self._open_stored()
                    return
                self._emit(StepStarted(vertex, f"layer {hex_of(self.blob.digest)[:12]}"))
                self._fetch(vertex)
            self._emit(StepFinished(vertex, time.monotonic() - started))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever reads
            if isinstance(error, PybuildError):
                self._emit(StepFailed(vertex, time.monotonic() - started, error.message))
            self._end(error)

    def read_at(self, position: int, size: int) -> bytes:
        """At most `size` bytes from `position`, at least one unless that is the end; waits."""
        with self._changed:
            while self._done_bytes <= position and not self._is_whole and self._error is None:
                if self._cancelled.is_set():
                    raise _CancelledError
                self._changed.wait()
            if self._error is not None:
                raise self._error
            available = self._done_bytes - position
        return os.pread(self._fd, min(size, available), position) if available > 0 else b""

    def wake(self) -> None:
        """Have those that wait for bytes see that nobody wants them any more."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Idempotent; after the thread has ended."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_stored(self) -> bool:
        try:
            return os.stat(self.path).st_size == self.blob.size_bytes
        except FileNotFoundError:
            return False

    def _open_stored(self) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        with self._changed:
            self._fd, self._done_bytes, self._is_whole = fd, self.blob.size_bytes, True
            self._changed.notify_all()

    def _fetch(self, vertex: str) -> None:
        part_dir = self._state.download(vertex)
        os.makedirs(part_dir, mode=0o700, exist_ok=True)
        part = os.path.join(part_dir, "part")
        self._fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        hashing = HashingWriter()
        self._resume(hashing)
        told = self._done_bytes
        for data in self._repository.blob_from(self.blob, self._done_bytes):
            if self._cancelled.is_set():
                raise _CancelledError
            self._write(data)
            hashing.write(data)
            with self._changed:
                self._done_bytes += len(data)
                self._changed.notify_all()
            if self._done_bytes - told >= _PROGRESS_BYTES:
                told = self._done_bytes
                self._emit(StepProgress(vertex, "pulling", told, self.blob.size_bytes))
        if hashing.digest != self.blob.digest:
            os.ftruncate(self._fd, 0)
            raise CorruptContentError(
                f"{self._repository.name}: the blob {self.blob.digest} came with other bytes",
                hint="something between here and the registry changes data; try again",
            )
        os.fsync(self._fd)
        adopt_file(self._state, part, self.blob.digest)
        os.unlink(part)
        os.rmdir(part_dir)
        self._end(None)

    def _resume(self, hashing: HashingWriter) -> None:
        """Take what an earlier command got."""
        size_bytes = os.fstat(self._fd).st_size
        if size_bytes > self.blob.size_bytes:
            os.ftruncate(self._fd, 0)
            size_bytes = 0
        position = 0
        while position < size_bytes and (data := os.pread(self._fd, _CHUNK, position)):
            hashing.write(data)
            position += len(data)
        with self._changed:
            self._done_bytes = position
            self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        try:
            position = self._done_bytes
            rest = memoryview(data)
            while rest:
                count = os.pwrite(self._fd, rest, position)
                position += count
                rest = rest[count:]
        except OSError as error:
            raise StoreError(
                f"a layer can't be written to the store: {error.strerror}",
                hint="free some space, or set PYBUILD_ROOT to a directory on another disk",
            ) from error

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            self._error = error
            self._is_whole = error is None
            self._changed.notify_all()


class Following:
    """Reads a blob that may still be on its way."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._position = 0
        self.size_bytes = download.blob.size_bytes

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return read_all(self)
        data = self._download.read_at(self._position, size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """The download goes on."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
