"""COPY, ADD and WORKDIR: the operation with the trees that it takes from → one layer's tree.

What it takes is decided in `copy_select` and `copy_walk`, for the key (`copy_digest`) and for the
copy (`copy_tree`, `copy_archive`) alike; where it lands, in `target_tree`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest

from builder.errors import SourceError, StepFailedError
from builder.graph.codec import operation_to_json
from builder.graph.model import CopyOp, CopySource, WorkdirOp
from builder.layer.errors import PackError
from builder.layer.pack import pack
from builder.layer.tarstream import TarStream
from builder.location import Span
from builder.worker.chmod import parse_chmod
from builder.worker.copy_archive import unpack
from builder.worker.copy_digest import FilesDigest
from builder.worker.copy_file import InputChangedError
from builder.worker.copy_owner import names_owner, owner_of
from builder.worker.copy_reuse import Contents, FindSnapshot, Reuse
from builder.worker.copy_select import select
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

    digest: bytes
    fingerprint: int  # of those that may change
    contents: list[list[bytes]]  # the digest of each file's data, by match


class CopyStep:
    """Does these steps; safe from several threads."""

    def __init__(
        self,
        state: StateDir,
        digests: FileDigests,
        *,
        userxattr: bool,
        find_snapshot: FindSnapshot | None = None,
    ) -> None:
        """`find_snapshot`: `Snapshotter.info`, to take over files of earlier runs."""
        self._state = state
        self._digests = digests
        self._userxattr = userxattr
        self._find_snapshot = find_snapshot
        self._guard = threading.Lock()
        self._looked_at: dict[tuple[CopyOp, Trees], FilesSeen] = {}

    def file_digest(self, op: CopyOp, trees: Trees, span: Span | None) -> Digest | None:
        """What ends up in the image, as a digest; None where a tree that counts isn't known yet.

        With `--link` the layer does not depend on the image that it goes on: what does, the ids of
        names in --chown, is covered where that image's tree is given. Each COPY's files are looked
        at once; `run` finds out whether they are still so.
        """
        if any(trees[source.input_index] is None for source in op.sources):
            return None
        with _located(span):
            seen = self._look(op, trees[1:])
            total = seen.digest.hex()
            image = trees[0]
            if op.link and image is not None and names_owner(op.chown):
                owner = owner_of(op.chown, image.root_dir, span)
                total = hashlib.sha256(f"{total} {owner}".encode()).hexdigest()
        return Digest(f"sha256:{total}")

    def _look(self, op: CopyOp, sources: Trees) -> FilesSeen:
        with self._guard:
            seen = self._looked_at.get((op, sources))
        if seen is None:
            mode_of = parse_chmod(op.chmod).applier()
            total = FilesDigest(
                self._digests, mode_of=mode_of, keeps_owner=not op.chown, exclude=op.exclude
            )
            for source in op.sources:
                total.add_text("source")
                for match in select(op, source, _tree(source, sources)):
                    total.add(match)
            seen = FilesSeen(total.digest, total.fingerprint, total.contents)
            with self._guard:
                self._looked_at[op, sources] = seen
        return seen

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
            with self._guard:
                seen = self._looked_at.get((op, trees[1:]))
            copying = _Copy(op, rootfs_dir, trees[1:], active, userxattr=self._userxattr)
            reuse = None if seen is None else self._reuse(op, trees[1:])
            layer, fingerprint = copying.run(reuse, [] if seen is None else seen.contents)
            if seen is not None and seen.fingerprint != fingerprint:
                with self._guard:
                    self._looked_at.pop((op, trees[1:]), None)  # another try looks again
                raise InputChangedError(
                    "the files changed between the look at them and the copy",
                    hint="build again; leave files that change all the time out with .dockerignore",
                )
            if reuse is not None:
                reuse.save(active, layer.diff_id)
            if seen is not None:
                with self._guard:
                    self._looked_at[op, trees[1:]] = replace(seen, contents=[])  # memory
            return layer

    def _reuse(self, op: CopyOp, sources: Trees) -> Reuse | None:
        if self._find_snapshot is None:
            return None
        places = [tree.root_dir for tree in sources if tree is not None and tree.is_context]
        step = json.dumps([operation_to_json(op), places], sort_keys=True)
        return Reuse(self._state, self._find_snapshot, step)

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
        sources: Trees,
        active: ActiveSnapshot,
        *,
        userxattr: bool,
    ) -> None:
        self._op = op
        self._active = active
        self._userxattr = userxattr
        self._now_ns = time.time_ns()
        self._matches = tuple(
            match for source in op.sources for match in select(op, source, _tree(source, sources))
        )
        self._chmod = parse_chmod(op.chmod)
        self._owner = owner_of(op.chown, rootfs_dir, None)
        self._latest_ns = None if op.epoch is None else op.epoch * _SECOND_NS
        self._target = self._make_target(None if op.link else rootfs_dir)

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

    def run(self, reuse: Reuse | None, contents: list[list[bytes]]) -> tuple[Layer, int]:
        """The layer, and the fingerprint of the contexts' files; `contents` by match."""
        op = self._op
        with ExitStack() as stack:
            single = len(self._matches) + len(op.inline_files) == 1
            unpacks = any(match.source.unpack for match in self._matches)
            stream = stack.enter_context(TarStream()) if single and not unpacks else None
            writing = Writing(self._target, self._owner, self._chmod.applier(), stream)
            copier = TreeCopier(writing, exclude=op.exclude, now_ns=self._now_ns)
            self._write(copier, reuse, contents)
            self._target.finish()
            if stream is not None:
                return stream.finish(), copier.fingerprint
        return pack(self._active.upperdir, userxattr=self._userxattr), copier.fingerprint

    def _write(self, copier: TreeCopier, reuse: Reuse | None, contents: list[list[bytes]]) -> None:
        op = self._op
        for match, digests in zip_longest(self._matches, contents, fillvalue=None):
            if match is None:
                break  # there were more matches when they were looked at: `run` will see it
            if match.source.unpack:
                fingerprint = unpack(match, self._target, op.dest, self._owner)
                if fingerprint is not None:
                    copier.saw(match, fingerprint)
                    continue
            if not match.is_dir:
                self._check_destination()
            known = None if reuse is None or digests is None else Contents(reuse, digests)
            copier.copy(match, op.dest, known)
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


def _tree(source: CopySource, sources: Trees) -> SourceTree:
    tree = sources[source.input_index - 1]
    assert tree is not None, source
    return tree


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
        name: object = error.filename
        where = f'"{os.fsdecode(name)}": ' if isinstance(name, str | bytes) else ""
        raise StepFailedError(f"{where}{error.strerror}", span=span) from error
    except RecursionError as error:
        raise StepFailedError("the directories are nested too deep", span=span) from error
