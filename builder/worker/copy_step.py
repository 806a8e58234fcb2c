"""COPY, ADD and WORKDIR: the operation with the trees that it takes from → one layer's tree.

What it takes is decided in `copy_select` and `copy_walk`, for the key (`copy_digest`) and for the
copy (`copy_tree`, `copy_archive`) alike; where it lands, in `target_tree`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from builder.errors import SourceError, StepFailedError
from builder.graph.model import CopyOp, WorkdirOp
from builder.layer.errors import PackError
from builder.layer.pack import pack
from builder.layer.tarstream import TarStream
from builder.location import Span
from builder.worker.chmod import parse_chmod
from builder.worker.copy_archive import unpack
from builder.worker.copy_digest import FilesDigest
from builder.worker.copy_file import InputChangedError
from builder.worker.copy_owner import names_owner, owner_of
from builder.worker.copy_select import Match, select
from builder.worker.copy_tree import TreeCopier
from builder.worker.source_tree import SourceTree
from builder.worker.target_tree import DirectoryAttributes, TargetTree
from builder.worker.tree_writer import Writing
from builder.worker.workdir_step import make_workdir
from cache.descriptor import Layer
from cache.digest import Digest
from cache.filehash import FileDigests
from cache.snapshot.api import ActiveSnapshot
from cache.statedir import StateDir

__all__ = ["CopyStep", "SourceTree"]

_SECOND_NS = 1_000_000_000

Trees = tuple[SourceTree | None, ...]
"""By input, as `CopySource.input_index` counts them; the first is the image copied into."""


@dataclass(frozen=True, slots=True)
class FilesSeen:
    """What one look at the files of a COPY found."""

    digest: Digest
    fingerprint: int  # of those that may change


class CopyStep:
    """Does these steps; safe from several threads."""

    def __init__(self, state: StateDir, digests: FileDigests, *, userxattr: bool) -> None:
        self._state = state
        self._digests = digests
        self._userxattr = userxattr
        self._guard = threading.Lock()
        self._looked_at: dict[tuple[CopyOp, Trees], FilesSeen] = {}

    def file_digest(self, op: CopyOp, trees: Trees, span: Span | None) -> Digest | None:
        """What ends up in the image, as a digest; None where a tree that counts isn't known yet.

        With `--link` the layer does not depend on the image that it goes on: what does, the ids of
        names in --chown, is covered where that image's tree is given.

        Each is looked at once; `run` finds out whether it is still so.
        """
        with self._guard:
            seen = self._looked_at.get((op, trees))
        if seen is None:
            seen = self._look(op, trees, span)
            if seen is None:
                return None
            with self._guard:
                self._looked_at[op, trees] = seen
        return seen.digest

    def _look(self, op: CopyOp, trees: Trees, span: Span | None) -> FilesSeen | None:
        with _located(span):
            chmod = parse_chmod(op.chmod, span)
            total = FilesDigest(
                self._digests,
                mode_of=chmod.applier(),
                keeps_owner=not op.chown,
                exclude=op.exclude,
            )
            for source in op.sources:
                tree = trees[source.input_index]
                if tree is None:
                    return None
                total.add_text("source")
                for match in select(op, source, tree):
                    total.add(match)
            if op.link and names_owner(op.chown) and trees[0] is not None:
                total.add_text(str(owner_of(op.chown, trees[0].root_dir, span)))
        return FilesSeen(Digest("sha256:" + total.digest.hex()), total.fingerprint)

    def run(
        self,
        op: CopyOp,
        rootfs_dir: str | None,
        trees: Trees,
        active: ActiveSnapshot,
        span: Span | None,
    ) -> Layer:
        """Write the layer's tree; its digest and size.

        `rootfs_dir` is a read-only view of the image that is copied into. StepFailedError, or
        InputChangedError where a context is not what `file_digest` saw.
        """
        with _located(span):
            copied = _Copy(op, rootfs_dir, trees, active, span, userxattr=self._userxattr)
            layer, fingerprint = copied.run()
            self._check(op, trees, fingerprint)
            return layer

    def _check(self, op: CopyOp, trees: Trees, fingerprint: int) -> None:
        with self._guard:
            looked_at = [key for key in self._looked_at if (key[0], key[1][1:]) == (op, trees[1:])]
            if all(self._looked_at[key].fingerprint == fingerprint for key in looked_at):
                return
            for key in looked_at:
                del self._looked_at[key]  # another try looks again
        raise InputChangedError(
            "the files changed between the look at them and the copy",
            hint="build again; leave files that change all the time out with .dockerignore",
        )

    def make_workdir(
        self, op: WorkdirOp, rootfs_dir: str, active: ActiveSnapshot, span: Span | None
    ) -> Layer:
        """WORKDIR: the directory, where it is missing; an empty layer where it is there."""
        with _located(span):
            return make_workdir(op, rootfs_dir, active, userxattr=self._userxattr, span=span)


class _Copy:
    """One COPY or ADD."""

    def __init__(
        self,
        op: CopyOp,
        rootfs_dir: str | None,
        trees: Trees,
        active: ActiveSnapshot,
        span: Span | None,
        *,
        userxattr: bool,
    ) -> None:
        self._op = op
        self._active = active
        self._userxattr = userxattr
        self._now_ns = time.time_ns()
        self._matches = tuple(self._select(trees))
        self._chmod = parse_chmod(op.chmod, span)
        self._owner = owner_of(op.chown, rootfs_dir, span)
        self._latest_ns = None if op.epoch is None else op.epoch * _SECOND_NS
        self._target = self._make_target(None if op.link else rootfs_dir)

    def _select(self, trees: Trees) -> Iterator[Match]:
        for source in self._op.sources:
            tree = trees[source.input_index]
            assert tree is not None, source
            yield from select(self._op, source, tree)

    def _make_target(self, rootfs_dir: str | None) -> TargetTree:
        uid, gid = self._owner or (0, 0)
        latest_ns = self._latest_ns
        now_ns = self._now_ns if latest_ns is None else min(self._now_ns, latest_ns)
        return TargetTree(
            self._active.upperdir,
            rootfs_dir,
            new_directory=DirectoryAttributes(self._chmod.parent_mode, uid, gid, now_ns),
            userxattr=self._userxattr,
            latest_ns=latest_ns,
        )

    def run(self) -> tuple[Layer, int]:
        """The layer, and the fingerprint of the contexts' files."""
        op = self._op
        with ExitStack() as stack:
            single = len(self._matches) + len(op.inline_files) == 1
            unpacks = any(match.source.unpack for match in self._matches)
            stream = stack.enter_context(TarStream()) if single and not unpacks else None
            writing = Writing(self._target, self._owner, self._chmod.applier(), stream)
            copier = TreeCopier(writing, exclude=op.exclude, now_ns=self._now_ns)
            self._write(copier)
            self._target.finish()
            if stream is not None:
                return stream.finish(), copier.fingerprint
        return pack(self._active.upperdir, userxattr=self._userxattr), copier.fingerprint

    def _write(self, copier: TreeCopier) -> None:
        op = self._op
        for match in self._matches:
            if match.source.unpack:
                fingerprint = unpack(match, self._target, op.dest, self._owner)
                if fingerprint is not None:
                    copier.saw(match, fingerprint)
                    continue
            if not match.is_dir:
                self._check_destination()
            copier.copy(match, op.dest)
        for file in op.inline_files:
            self._check_destination()
            copier.write_inline(file, op.dest)

    def _check_destination(self) -> None:
        """Several files must not land on each other in silence, the last one winning."""
        op = self._op
        if len(self._matches) + len(op.inline_files) == 1 or op.dest.endswith("/"):
            return
        if self._target.is_directory(self._target.resolve(op.dest)):
            return
        raise StepFailedError(
            "with more than one source, the destination must be a directory and end with a /",
            hint=f'write "{op.dest}/"',
        )


@contextmanager
def _located(span: Span | None) -> Generator[None]:
    """What goes wrong inside has the step's place in the Dockerfile."""
    try:
        yield
    except SourceError as error:
        if error.span is None:
            error.span = span
        raise
    except PackError as error:
        raise StepFailedError(error.message, span=span, hint=error.hint) from error
    except OSError as error:
        where = f'"{error.filename}": ' if error.filename is not None else ""
        raise StepFailedError(f"{where}{error.strerror}", span=span) from error
    except RecursionError as error:
        raise StepFailedError("the directories are nested too deep", span=span) from error
