"""What a volume may be called."""

from __future__ import annotations

from builder.runtime.errors import InvalidVolumeNameError

_LIMIT = 255  # of a file name
_LETTERS_DIGITS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_ALLOWED = _LETTERS_DIGITS | frozenset("_.-")


def looks_like_name(text: str) -> bool:
    """Whether it is no path: what a name may be is for `checked_volume_name` to say."""
    return "/" not in text and not text.startswith((".", "~"))


def checked_volume_name(text: str, *, option: str = "") -> str:
    """`text` if a volume may be called so; InvalidVolumeNameError for anything else."""
    first_is_right = text[:1] in _LETTERS_DIGITS
    if first_is_right and 2 <= len(text) <= _LIMIT and _ALLOWED.issuperset(text):
        return text
    path = f"; for a directory of this machine write ./{text[:80]}" if option else ""
    raise InvalidVolumeNameError(
        f"{option}{': ' if option else ''}{text[:300]!a} is not a volume name",
        hint="a name has two or more letters, digits, _ . and -, and begins with a letter or a "
        f"digit{path}",
    )
