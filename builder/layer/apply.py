"""A layer's tar as a tree: unpack it into an overlay upperdir, as what it changes.

Spec: OCI image-spec layer.md, Applying Changesets. Whiteouts hide what the layers below have and
nothing of the layer itself, wherever in the archive they stand. Of several members of one name the
last one counts.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from builder.layer.compress import decompressed
from builder.layer.errors import BadArchiveError
from builder.layer.lowerview import Lowerdirs, LowerView, Parts
from builder.layer.readahead import ReadAhead
from builder.layer.tarreader import Member, read_members
from builder.layer.upperdir import Attributes, Losses, Upperdir
from builder.layer.whiteout import is_marked, read_marker
from cache.descriptor import Layer
from cache.digest import HashingReader, Reader
from cache.errors import StoreError
from cache.record import record


def apply_layer(
    source: Reader, upperdir: str, *, userxattr: bool, lowerdirs: Sequence[str] = ()
) -> Losses:
    """Unpack a plain tar into the empty directory `upperdir`; what could not be kept of it.

    `lowerdirs` are the layers below, uppermost first: a directory that the archive only implies
    keeps the metadata that it has there. `source` is read to its end. BadArchiveError where it is
    no archive, or one that reaches for what is outside; `upperdir` is then to be thrown away.
    """
    return apply_members(source, upperdir, userxattr=userxattr, lowerdirs=lowerdirs).losses


@record
class Applied:
    """What became of an archive."""

    losses: Losses
    has_root: bool  # whether it says what the root directory's metadata is


def apply_members(
    source: Reader, upperdir: str, *, userxattr: bool, lowerdirs: Lowerdirs
) -> Applied:
    """As `apply_layer`; `lowerdirs` may be there later, and are asked for when they are needed.

    That is for hard links to what is below, for an opaque root directory, and once all is
    unpacked for directories that the archive only implies. The root directory stays as it is
    where no member says what it is like.
    """
    try:
        below = LowerView(lowerdirs, userxattr=userxattr)
        with Upperdir(upperdir, below, userxattr=userxattr) as tree:
            for member in read_members(source):
                _apply(member, tree)
            return Applied(tree.losses, tree.has_root)
    except OSError as error:
        raise _translated(error) from error


@record
class Unpacked:
    """What a blob turned out to be."""

    layer: Layer
    losses: Losses


def unpack_blob(
    blob: Reader,
    upperdir: str,
    *,
    userxattr: bool,
    lowerdirs: Sequence[str] = (),
    limit_bytes: int | None = None,
) -> Unpacked:
    """Unpack a layer as it is stored, compressed or not, with `apply_layer`.

    Reading, decompressing and hashing go on in a thread of their own; `blob` is read to its end.
    BadArchiveError where its plain tar is longer than `limit_bytes`.
    """
    plain = HashingReader(decompressed(blob, limit_bytes=limit_bytes))
    with ReadAhead(plain) as source:
        losses = apply_layer(source, upperdir, userxattr=userxattr, lowerdirs=lowerdirs)
    return Unpacked(Layer(plain.digest, plain.size_bytes), losses)


def member_path(name: str) -> Parts:
    """A member's name as a path below the root; () is the root itself.

    BadArchiveError where it leads out.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise BadArchiveError(f'"{name[:200]}" in the archive leads out of the tree')
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return tuple(parts)


def _apply(member: Member, tree: Upperdir) -> None:
    parts = member_path(member.name)
    if not parts:
        if member.kind != "directory":
            raise BadArchiveError(f'"{member.name}" in the archive replaces the root directory')
        tree.add_directory((), _attributes(member))
        return
    if not (is_marked(member.name) and _apply_marker(member, parts, tree)):
        _add(member, parts, tree)


def _apply_marker(member: Member, parts: Parts, tree: Upperdir) -> bool:
    """Whether the member only says what is gone, or nothing."""
    for position, name in enumerate(parts):
        marker, hidden = read_marker(name)
        if marker == "ignored":
            return True
        if marker and position < len(parts) - 1:
            raise BadArchiveError(f'"{member.name[:200]}" in the archive is below a whiteout')
        if marker == "opaque":
            tree.make_opaque(parts[:-1])
            return True
        if marker == "whiteout":
            if hidden in {"", ".", ".."}:
                raise BadArchiveError(f'"{member.name[:200]}" in the archive hides no name')
            tree.add_whiteout((*parts[:-1], hidden))
            return True
    return False


def _add(member: Member, parts: Parts, tree: Upperdir) -> None:
    attributes = _attributes(member)
    match member.kind:
        case "file":
            tree.add_file(parts, attributes, member.data)
        case "directory":
            tree.add_directory(parts, attributes)
        case "symlink":
            tree.add_symlink(parts, attributes, member.link_name)
        case "hardlink":
            tree.add_hardlink(parts, member_path(member.link_name))
        case "fifo":
            tree.add_node(parts, attributes, stat.S_IFIFO)
        case "character":
            tree.add_node(parts, attributes, stat.S_IFCHR, member.device)
        case "block":
            tree.add_node(parts, attributes, stat.S_IFBLK, member.device)


def _attributes(member: Member) -> Attributes:
    return Attributes(member.mode, member.uid, member.gid, member.mtime_ns, member.xattrs)


def _translated(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            "no space is left to unpack a layer",
            hint="free some, or set PYBUILD_ROOT to a directory on another disk",
        )
    if error.errno in {errno.ENAMETOOLONG, errno.EMLINK}:
        return BadArchiveError(f"the archive can't be unpacked here: {os.strerror(error.errno)}")
    return error
