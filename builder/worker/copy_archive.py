"""ADD of a local archive. Nothing is taken for one yet: files are copied as they are."""

from __future__ import annotations

from builder.graph.model import CopyOp
from builder.worker.copy_select import Match
from builder.worker.target_tree import TargetTree


def unpack_into(
    match: Match, op: CopyOp, target: TargetTree, owner: tuple[int, int] | None
) -> bool:
    """Whether the match was an archive and has been unpacked."""
    del match, op, target, owner
    return False
