"""A file tree as data, read from a directory or from layers, to compare two of them entirely."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import IO, Any

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
IGNORED_XATTRS = (
    "security.selinux",
    "trusted.overlay.",
    "user.overlay.",
    "user.rootlesscontainers",
)


@dataclass(frozen=True)
class Node:
    """All that is to say of one file."""

    kind: str  # file, dir, symlink, char, block, fifo
    mode: int
    uid: int
    gid: int
    mtime: int
    sha256: str = ""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    same_file_as: str = ""  # the first path, by name, of its hard links


Tree = Mapping[str, Node]  # by path without a leading slash; "" is the root

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
TAR_KINDS = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def tree_of_directory(root: Path) -> dict[str, Node]:
    """The tree below `root`, itself included."""
    nodes = {"": _node_of_path(root)}
    inodes: dict[tuple[int, int], list[str]] = {}
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(parent, name)
            relative = str(path.relative_to(root))
            nodes[relative] = _node_of_path(path)
            status = path.lstat()
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inodes.setdefault((status.st_dev, status.st_ino), []).append(relative)
    return _with_links(nodes, inodes.values())


def _node_of_path(path: Path) -> Node:
    status = path.lstat()
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    is_device = kind in ("char", "block")
    numbers = (os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0)
    return Node(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime),
        sha256=_digest(path.open("rb")) if kind == "file" else "",
        target=str(path.readlink()) if kind == "symlink" else "",
        device=numbers,
        xattrs=_xattrs(path),
    )


def _xattrs(path: Path) -> tuple[tuple[str, bytes], ...]:
    names = os.listxattr(path, follow_symlinks=False)
    kept = [name for name in names if not name.startswith(IGNORED_XATTRS)]
    return tuple((n, os.getxattr(path, n, follow_symlinks=False)) for n in sorted(kept))


def _digest(stream: Any) -> str:
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _with_links(nodes: dict[str, Node], groups: Iterable[list[str]]) -> dict[str, Node]:
    for group in groups:
        for path in group:
            if len(group) > 1:
                nodes[path] = replace(nodes[path], same_file_as=min(group))
    return nodes


@dataclass(frozen=True)
class Inode:
    """A file of a stack of layers, apart from its names."""

    number: int
    node: Node


Names = dict[str, Inode]


def tree_of_layers(layers: Iterable[IO[bytes]]) -> dict[str, Node]:
    """What plain layer tars, lowest first, make together. Spec: OCI image-spec layer.md."""
    names: Names = {}
    numbers = count()
    for layer in layers:
        _apply(names, layer, numbers)
    links: dict[int, list[str]] = {}
    for path, inode in names.items():
        links.setdefault(inode.number, []).append(path)
    return _with_links({path: inode.node for path, inode in names.items()}, links.values())


def _apply(names: Names, layer: IO[bytes], numbers: Iterator[int]) -> None:
    added: set[str] = set()
    with tarfile.open(fileobj=layer, mode="r|") as archive:
        for member in archive:
            path = _path_in_root(member.name)
            parent, name = os.path.split(path)
            if name == OPAQUE:
                _remove_below(names, parent, keep=added)
            elif name.startswith(WHITEOUT):
                gone = os.path.join(parent, name.removeprefix(WHITEOUT))
                _remove_below(names, gone, keep=added)
                names.pop(gone, None)
            else:
                _add(names, path, member, archive, numbers)
                added.add(path)


def _path_in_root(name: str) -> str:
    path = os.path.normpath(name).lstrip("/")
    return "" if path == "." else path


def _remove_below(names: Names, directory: str, *, keep: set[str]) -> None:
    for path in [path for path in names if path.startswith(f"{directory}/") and path not in keep]:
        del names[path]


def _add(
    names: Names,
    path: str,
    member: tarfile.TarInfo,
    archive: tarfile.TarFile,
    numbers: Iterator[int],
) -> None:
    if member.islnk():
        names[path] = names[_path_in_root(member.linkname)]
        return
    node = _node_of_member(member, archive)
    if path in names and names[path].node.kind == "dir" and node.kind != "dir":
        _remove_below(names, path, keep=set())
    names[path] = Inode(next(numbers), node)


def _node_of_member(member: tarfile.TarInfo, archive: tarfile.TarFile) -> Node:
    kind = TAR_KINDS.get(member.type, "file")
    stream = archive.extractfile(member) if kind == "file" else None
    prefix = "SCHILY.xattr."
    found = {k.removeprefix(prefix): v for k, v in member.pax_headers.items() if prefix in k}
    kept = [name for name in sorted(found) if not name.startswith(IGNORED_XATTRS)]
    return Node(
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=int(member.mtime),
        sha256=_digest(stream) if stream else "",
        target=member.linkname if kind == "symlink" else "",
        device=(member.devmajor, member.devminor) if kind in ("char", "block") else (0, 0),
        xattrs=tuple((name, found[name].encode("utf-8", "surrogateescape")) for name in kept),
    )


def differences(one: Tree, two: Tree, *, without: Iterable[str] = ()) -> list[str]:
    """What the two trees differ in, a line each; nothing when they are the same.

    `without` names fields of `Node` that are not compared.
    """
    skipped = set(without)
    names = [field.name for field in fields(Node) if field.name not in skipped]
    found: list[str] = []
    for path in sorted(one.keys() | two.keys()):
        left, right = one.get(path), two.get(path)
        if left is None or right is None:
            found.append(f"/{path}: only in the {'second' if left is None else 'first'}")
            continue
        for name in names:
            a, b = getattr(left, name), getattr(right, name)
            if a != b and not (left.kind == "symlink" and name == "mode"):
                found.append(f"/{path}: {name} {a!r} and {b!r}")
    return found
