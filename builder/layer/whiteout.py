"""How a layer's tar says that something is gone. Spec: OCI image-spec layer.md, Whiteouts.

    in the tar          in an overlay upperdir (cache.snapshot.marks)
    DIR/.wh.NAME        a whiteout NAME in DIR
    DIR/.wh..wh..opq    DIR is opaque

This module and that one alone know the two forms; pack and apply turn one into the other.
"""

from __future__ import annotations

from typing import Literal

_WHITEOUT_PREFIX = ".wh."
_OPAQUE_MARKER = ".wh..wh..opq"
_RESERVED_PREFIX = ".wh..wh."  # aufs kept these for itself: other than the marker they mean nothing


def whiteout_name(name: bytes) -> bytes:
    """The member that hides `name` of the layers below."""
    parent, slash, base = name.rpartition(b"/")
    return parent + slash + _WHITEOUT_PREFIX.encode() + base


def opaque_marker(directory: bytes) -> bytes:
    """The member that hides all that the layers below have in `directory`."""
    return directory + b"/" + _OPAQUE_MARKER.encode()


def is_reserved(name: bytes) -> bool:
    """Whether a file of this name would be taken for a marker."""
    return name[name.rfind(b"/", 0, -1) + 1 :].startswith(_WHITEOUT_PREFIX.encode())


def is_marked(name: str) -> bool:
    """Whether any part of a member's name may be a marker: cheap, for the many that have none."""
    return _WHITEOUT_PREFIX in name


Marker = Literal["", "whiteout", "opaque", "ignored"]


def read_marker(base: str) -> tuple[Marker, str]:
    """What a member's last name part means; with a whiteout, the name that it hides."""
    if not base.startswith(_WHITEOUT_PREFIX):
        return "", base
    if base == _OPAQUE_MARKER:
        return "opaque", ""
    if base.startswith(_RESERVED_PREFIX):
        return "ignored", ""
    return "whiteout", base[len(_WHITEOUT_PREFIX) :]
