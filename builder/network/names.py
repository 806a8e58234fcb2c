"""What networks and the containers on them may be called."""

from __future__ import annotations

from builder.network.errors import NetworkOptionError

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_ALL = _FIRST | frozenset("_.-")


def checked_network_name(text: str) -> str:
    """The name, which is a file's name as well. NetworkOptionError for one that can't be."""
    if not text or text[0] not in _FIRST or not _ALL.issuperset(text) or len(text) > 128:
        raise NetworkOptionError(
            f"{text[:100]!a} can't be a network's name",
            hint="a letter or digit, then letters, digits, _ . and -",
        )
    return text


def checked_label(text: str, *, option: str) -> str:
    """A name for the resolver, of a container or an alias of it."""
    if not text or not _ALL.issuperset(text) or len(text) > 253:
        raise NetworkOptionError(f"{option} {text[:100]!a} is no name that can be looked up")
    return text
