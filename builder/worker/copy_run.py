"""One COPY or ADD as it is done: its matches in order, the inline files, the layer's tar."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import zip_longest

from builder.errors import StepFailedError
from builder.graph.model import CopyOp
from builder.layer.pack import pack
from builder.layer.tarstream import TarStream
from builder.worker.chmod import parse_chmod
from builder.worker.copy_owner import owner_of
from builder.worker.copy_reuse import Contents, Reuse
from builder.worker.copy_select import Trees, select, tree_of
from builder.worker.copy_tree import TreeCopier
from builder.worker.target_tree import DirectoryAttributes, TargetTree
from builder.worker.tree_writer import Writing
from cache.descriptor import Layer
from cache.digest import Writer
from cache.snapshot.api import ActiveSnapshot

_SECOND_NS = 1_000_000_000


class Copying:
    """One COPY or ADD."""

    def __init__(
        self,
        op: CopyOp,
        rootfs_dir: str | None,
        sources: Trees,
        active: ActiveSnapshot,
        *,
        userxattr: bool,
        unpack_limit_bytes: int | None = None,
    ) -> None:
        self._op = op
        self._unpack_limit_bytes = unpack_limit_bytes
        self._active = active
        self._userxattr = userxattr
        self._now_ns = time.time_ns()
        self._matches = tuple(
            match for source in op.sources for match in select(op, source, tree_of(source, sources))
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

    def run(
        self, reuse: Reuse | None, contents: list[list[bytes]], target: Writer | None
    ) -> tuple[Layer, int]:
        """The layer, and the fingerprint of the contexts' files; `contents` by match.

        The layer's tar goes to `target`.
        """
        op = self._op
        with ExitStack() as stack:
            single = len(self._matches) + len(op.inline_files) == 1
            unpacks = any(match.source.unpack for match in self._matches)
            stream = stack.enter_context(TarStream(target)) if single and not unpacks else None
            writing = Writing(self._target, self._owner, self._chmod.applier(), stream)
            copier = TreeCopier(writing, exclude=op.exclude, now_ns=self._now_ns)
            self._write(copier, reuse, contents)
            self._target.finish()
            if stream is not None:
                return stream.finish(), copier.fingerprint
        return pack(self._active.upperdir, target, userxattr=self._userxattr), copier.fingerprint

    def _write(self, copier: TreeCopier, reuse: Reuse | None, contents: list[list[bytes]]) -> None:
        op = self._op
        for match, digests in zip_longest(self._matches, contents, fillvalue=None):
            if match is None:
                break  # there were more matches when they were looked at: `run` will see it
            if match.source.unpack:
                from builder.worker.copy_archive import unpack  # noqa: PLC0415 for ADD only

                limit_bytes = self._unpack_limit_bytes
                fingerprint = unpack(
                    match, self._target, op.dest, self._owner, limit_bytes=limit_bytes
                )
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
