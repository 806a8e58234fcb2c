"""COPY, ADD and WORKDIR: the operation with the trees that it takes from → one layer's tree.

What it takes is decided in `copy_select` and `copy_walk`, for the key (`copy_digest`) and for the
copy (`copy_tree`, `copy_archive`) alike; where it lands, in `target_tree`. A build that copies
nothing imports what the key needs and no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from builder.errors import SourceError, StepFailedError
from builder.graph.codec import operation_to_json
from builder.graph.model import CopyOp, WorkdirOp
from builder.layer.errors import PackError
from builder.location import Span
from builder.worker.chmod import parse_chmod
from builder.worker.copy_digest import FilesDigest
from builder.worker.copy_file import InputChangedError
from builder.worker.copy_owner import names_owner, owner_of
from builder.worker.copy_reuse import FindSnapshot, Reuse
from builder.worker.copy_select import Trees, select, tree_of
from builder.worker.source_tree import SourceTree
from cache.descriptor import Layer
from cache.digest import Digest, Writer
from cache.filehash import FileDigests
from cache.record import record, replace
from cache.snapshot.api import ActiveSnapshot
from cache.statedir import StateDir

__all__ = ["CopyStep", "SourceTree"]


@record
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
        unpack_limit_bytes: int | None = None,
    ) -> None:
        """`find_snapshot`: `Snapshotter.info`, to take over files of earlier runs.

        `unpack_limit_bytes`: of an archive that ADD unpacks.
        """
        self._unpack_limit_bytes = unpack_limit_bytes
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
        at once; `run` finds out whether they are still so. `trees` are the inputs', by index.
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
                for match in select(op, source, tree_of(source, sources)):
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
        *,
        target: Writer | None = None,
    ) -> Layer:
        """Write the layer's tree; its digest and size, and its tar to `target`.

        `rootfs_dir` is a read-only view of the image that is copied into. StepFailedError, or
        InputChangedError where a context is not what `file_digest` saw.
        """
        from builder.worker.copy_run import Copying  # noqa: PLC0415 see above

        with _located(span):
            with self._guard:
                seen = self._looked_at.get((op, trees[1:]))
            copying = Copying(
                op,
                rootfs_dir,
                trees[1:],
                active,
                userxattr=self._userxattr,
                unpack_limit_bytes=self._unpack_limit_bytes,
            )
            reuse = None if seen is None else self._reuse(op, trees[1:])
            contents = [] if seen is None else seen.contents
            layer, fingerprint = copying.run(reuse, contents, target)
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
        from builder.worker.workdir_step import make_workdir  # noqa: PLC0415 see above

        with _located(span):
            return make_workdir(op, rootfs_dir, active, userxattr=self._userxattr, span=span)


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
