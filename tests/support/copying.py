"""COPY and ADD without a build: a source tree, an image's tree, and what a step makes of both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from builder.frontend.ignorefile import read_ignore_file
from builder.graph.model import CopyOp, CopySource, InlineFile
from builder.layer.pack import pack
from builder.location import SourceFile
from builder.worker.copy_step import CopyStep, SourceTree
from cache.database import Database
from cache.descriptor import EMPTY_CHAIN, Layer
from cache.digest import Digest
from cache.filehash import FileDigests
from cache.snapshot.api import ActiveSnapshot, Mount
from cache.statedir import StateDir


@dataclass(frozen=True)
class Copied:
    """A layer's own tree, as an overlay upperdir, and its name."""

    upper: Path
    layer: Layer

    def names(self, directory: str = "") -> list[str]:
        return sorted(os.listdir(self.upper / directory))

    def text(self, path: str) -> str:
        return (self.upper / path).read_text()

    def mode(self, path: str) -> int:
        return (self.upper / path).lstat().st_mode & 0o7777


class Copying:
    """Copies from `source` onto the image whose tree is `image`."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.source = work / "source"
        self.image = work / "image"
        self.source.mkdir()
        self.image.mkdir()
        self._state = StateDir(str(work / "store"))
        self._database = Database(self._state)
        self._digests = FileDigests(self._database)
        self.unpack_limit_bytes: int | None = None
        self.step = self.new_step()
        self._count = 0

    def close(self) -> None:
        self._database.close()
        self._state.close()

    def new_step(self) -> CopyStep:
        """As another build over the same store has it."""
        return CopyStep(
            self._state,
            self._digests,
            userxattr=os.geteuid() != 0,
            unpack_limit_bytes=self.unpack_limit_bytes,
        )

    def tree(self, *, ignore: str = "", is_stage: bool = False) -> SourceTree:
        matcher = read_ignore_file(SourceFile(".dockerignore", ignore)) if ignore else None
        return SourceTree(str(self.source), matcher, is_context=not is_stage, name="context")

    def op(self, *sources: str, dest: str, unpack: bool = False, **fields: object) -> CopyOp:
        taken = tuple(CopySource(1, one, unpack, honours_ignorefile=True) for one in sources)
        return replace(CopyOp(taken, (), dest), **fields)  # type: ignore[arg-type]

    def copy(
        self,
        *sources: str,
        dest: str,
        ignore: str = "",
        is_stage: bool = False,
        inline: Sequence[InlineFile] = (),
        **fields: object,
    ) -> Copied:
        """Do the step as a build does: key first. The tar's digest is checked against the tree."""
        op = self.op(*sources, dest=dest, inline_files=tuple(inline), **fields)
        trees = (None, self.tree(ignore=ignore, is_stage=is_stage))
        step = self.new_step()
        assert step.file_digest(op, trees, None) is not None
        active = self.prepare()
        layer = step.run(op, str(self.image), trees, active, None)
        upper = Path(active.upperdir)
        if os.geteuid() == 0:  # else files that are to be root's can't be
            assert layer == pack(str(upper), userxattr=False)
        return Copied(upper, layer)

    def prepare(self) -> ActiveSnapshot:
        self._count += 1
        directory = self._work / f"active{self._count}"
        upper = directory / "fs"
        upper.mkdir(parents=True)
        upper.chmod(self.image.stat().st_mode & 0o7777)
        return ActiveSnapshot(str(directory), str(upper), EMPTY_CHAIN, Mount((), str(upper)))

    def digest(
        self,
        *sources: str,
        dest: str = "/d/",
        ignore: str = "",
        is_stage: bool = False,
        **fields: object,
    ) -> Digest | None:
        op = self.op(*sources, dest=dest, **fields)
        trees = (None, self.tree(ignore=ignore, is_stage=is_stage))
        return self.new_step().file_digest(op, trees, None)


def write_tree(root: Path, tree: dict[str, str]) -> None:
    """Files by path: text; "NAME/" an empty directory; "-> TARGET" a link."""
    for name, text in tree.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text)
