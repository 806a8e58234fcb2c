"""What an upperdir changes of the layers below, for people: `pybuild diff`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Literal

from builder.layer.lowerview import LowerView, Parts
from cache.record import record
from cache.snapshot import marks


@record
class Change:
    """One path that is not as it was below."""

    kind: Literal["A", "C", "D"]  # added, changed, deleted
    path: str  # absolute, within the root filesystem


def changes(upperdir: str, lowerdirs: Sequence[str], *, userxattr: bool) -> Iterator[Change]:
    """The changes in the order of a layer: depth first, names in byte order.

    `lowerdirs` are the layers below, uppermost first. A directory counts as changed where anything
    in it has; of a deleted tree only its top is named.
    """
    return _Comparison(upperdir, lowerdirs, userxattr=userxattr).run()


class _Comparison:
    """What shows with the upperdir against what shows without."""

    def __init__(self, upperdir: str, lowerdirs: Sequence[str], *, userxattr: bool) -> None:
        self._upperdir = upperdir
        self._userxattr = userxattr
        self._below = LowerView(lowerdirs, userxattr=userxattr)
        self._above = LowerView((upperdir,), userxattr=userxattr)

    def run(self) -> Iterator[Change]:
        waiting = self._inside((), is_covered=False)
        while waiting:
            parts, is_covered = waiting.pop()
            path = "/" + "/".join(parts)
            was_there = self._below.shown(parts) is not None
            shown = self._above.shown(parts)
            if shown is not None:
                yield Change("C" if was_there else "A", path)
                if stat.S_ISDIR(shown.status.st_mode):
                    waiting += self._inside(parts, is_covered=is_covered)
            elif was_there:
                yield Change("D", path)

    def _inside(self, parts: Parts, *, is_covered: bool) -> list[tuple[Parts, bool]]:
        """What to look at in a directory, last first; covered where nothing below shows through."""
        directory = os.path.join(self._upperdir, *parts)
        names = set(os.listdir(directory))
        if parts:  # overlayfs has no opaque root
            is_covered |= marks.opacity(directory, userxattr=self._userxattr) == "opaque"
        if is_covered:
            names |= self._below.names(parts)
        ordered = sorted(names, key=os.fsencode, reverse=True)
        return [((*parts, name), is_covered) for name in ordered]
