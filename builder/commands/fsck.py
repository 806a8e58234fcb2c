"""Checking all that the store holds against what it should be: every byte is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from builder.engine import Engine
from builder.image.imagestore import ORIGIN
from builder.layer.apply import unpack_blob
from builder.layer.pack import pack
from builder.runtime.containers import Containers
from builder.runtime.errors import BrokenContainerError
from cache.content.local import blob_sizes
from cache.descriptor import ChainId, chain_ids
from cache.digest import Digest
from cache.errors import CorruptContentError, NotFoundError, PybuildError
from cache.record import record
from cache.snapshot import rows
from cache.snapshot.rows import SnapshotRow
from cache.statedir import remove_tree

_CHUNK = 1 << 20


@record
class Problem:
    """Something that is not as it should be, and what was or can be done about it."""

    what: str
    remedy: str


@record
class Checked:
    """What was looked at, and what was wrong with it."""

    blobs: int
    layers: int
    images: int
    containers: int
    problems: tuple[Problem, ...]


def fsck(engine: Engine, *, repair: bool) -> Checked:
    """Check everything; with `repair` what is damaged goes, so that it is made or got again."""
    check = _Check(engine, repair=repair)
    steps = (check.index, check.blobs, check.layers, check.images, check.containers)
    problems = tuple(problem for step in steps for problem in step())
    return Checked(
        blobs=len(blob_sizes(engine.state)),
        layers=len(rows.all_snapshots(engine.database.connection())),
        images=len(engine.images.list_whole()),
        containers=len(Containers(engine.state, engine.database, engine.now).all()),
        problems=problems,
    )


class _Check:
    def __init__(self, engine: Engine, *, repair: bool) -> None:
        self._engine = engine
        self._repair = repair

    def index(self) -> Iterator[Problem]:
        """SQLite's own check."""
        connection = self._engine.database.connection()
        for (text,) in connection.execute("PRAGMA integrity_check").fetchall():
            if text != "ok":
                yield Problem(f"the index: {text}", "keep the images with save, and begin anew")

    def blobs(self) -> Iterator[Problem]:
        """Whether each has the bytes that its name says."""
        for name in blob_sizes(self._engine.state):
            digest = Digest(name)
            if self._is_whole(digest):
                continue
            self._remedied(partial(self._engine.content.delete, digest))
            yield self._problem(f"the blob {digest} has other bytes than its name says")

    def layers(self) -> Iterator[Problem]:
        """Whether each snapshot's tree is there and gives the layer that it is."""
        connection = self._engine.database.connection()
        known = {row.chain_id: row for row in rows.all_snapshots(connection)}
        checked: dict[int, str] = {}
        for chain, row in known.items():
            if row.parent and row.parent not in known:
                what = "stands on a layer that is missing"
            else:
                if row.tree not in checked:
                    checked[row.tree] = self._what_is_wrong_with(row)
                what = checked[row.tree]
            if what:
                self._remedied(partial(self._drop, chain))
                yield self._problem(f"the layer {row.diff_id} {what}")
        if self._repair:
            self._engine.snapshots.sweep()

    def images(self) -> Iterator[Problem]:
        """Whether each image's config and layers are there; a layer's own blob will do."""
        whole = self._engine.images.list_whole()
        for image_id in self._engine.images.ids() - {image.image_id for image in whole}:
            self._remedied(partial(self._engine.images.remove, image_id))
            yield self._problem(f"the image {image_id} has lost its config")
        known = {row.chain_id for row in rows.all_snapshots(self._engine.database.connection())}
        for image in whole:
            diff_ids = image.config.diff_ids
            lost = [
                diff_id
                for diff_id, chain in zip(diff_ids, chain_ids(diff_ids), strict=True)
                if chain not in known and self._engine.images.origin_blob(diff_id) is None
            ]
            if lost:
                name = image.names[0] if image.names else image.image_id
                yield Problem(
                    f"the image {name} has lost the layer {lost[0]}", "build or get it again"
                )

    def containers(self) -> Iterator[Problem]:
        """Whether each container's record can be read."""
        containers = Containers(self._engine.state, self._engine.database, self._engine.now)
        for report in containers.reports():
            container_id = report.container.container_id
            try:
                containers.load(container_id)
            except BrokenContainerError as error:
                yield Problem(
                    f"container {report.container.name}: {error.message}",
                    f"pybuild rm -f {report.container.short_id}",
                )

    def _is_whole(self, digest: Digest) -> bool:
        try:
            with self._engine.content.open(digest) as file:
                while file.read(_CHUNK):
                    pass
        except CorruptContentError:
            return False
        except NotFoundError:  # a prune was here
            return True
        return True

    def _what_is_wrong_with(self, row: SnapshotRow) -> str:
        tree = os.path.join(self._engine.state.tree(row.tree), "fs")
        if not os.path.isdir(tree):
            return "has lost its files"
        packed = self._packed(tree)
        if packed == row.diff_id or (packed is not None and packed == self._unpacked_anew(row)):
            return ""
        return "has other files than it was made of"

    def _packed(self, tree: str) -> Digest | None:
        try:
            return pack(tree, userxattr=self._engine.settings.rootless).diff_id
        except (OSError, PybuildError):
            return None

    def _unpacked_anew(self, row: SnapshotRow) -> Digest | None:
        """What the layer's own blob gives, unpacked and packed: others' tars have other forms."""
        blob = self._engine.images.packed_blob(row.diff_id, ORIGIN)
        if blob is None:
            return None
        scratch = self._engine.state.scratch("fsck")
        tree = os.path.join(scratch, "fs")
        os.mkdir(tree)
        os.chmod(tree, 0o755)  # noqa: S103 - as an image's root directory has it
        try:
            lowerdirs = self._engine.snapshots.view(row.parent).lowerdirs if row.parent else ()
            with self._engine.content.open(blob.digest) as file:
                rootless = self._engine.settings.rootless
                unpack_blob(file, tree, userxattr=rootless, lowerdirs=lowerdirs)
            return self._packed(tree)
        except PybuildError:
            return None
        finally:
            remove_tree(scratch)

    def _drop(self, chain: ChainId) -> None:
        with self._engine.database.transaction() as connection:
            rows.delete_with_descendants(connection, chain)

    def _remedied(self, remove: Callable[[], object]) -> None:
        if self._repair:
            with suppress(NotFoundError):
                remove()

    def _problem(self, what: str) -> Problem:
        if self._repair:
            return Problem(what, "removed: it is built or fetched again when it is needed")
        return Problem(what, "pybuild system fsck --repair removes it")
