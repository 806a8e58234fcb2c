"""The JSON form of an instruction's arguments: ["program", "argument"]."""

from __future__ import annotations

from typing import NoReturn, cast

from builder.frontend.goformat import SPACE
from builder.frontend.problems import WordProblemError


def looks_like_array(text: str) -> bool:
    """Whether `text` may be a JSON array; without one, there's no need to try."""
    return text.lstrip(SPACE).startswith("[")


def json_words(text: str) -> tuple[str, ...] | None:
    """The strings of the JSON array that `text` is; None where it is no JSON: the other form.

    An array of something else than strings is an error, since nobody means that as shell text.
    """
    if not looks_like_array(text):
        return None
    import json  # noqa: PLC0415 - many Dockerfiles have no array

    try:
        array: object = json.loads(text.lstrip(SPACE), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(array, list):
        return None
    return tuple(map(_checked, cast("list[object]", array)))


def _checked(item: object) -> str:
    if not isinstance(item, str):
        raise WordProblemError(
            "when using JSON array syntax, arrays must be comprised of strings only",
            hint='put double quotes around each element: ["a", "1"]',
        )
    if item.isascii():
        return item
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in item)


def _no_constant(name: str) -> NoReturn:
    """NaN and Infinity, which Python would take."""
    raise ValueError(name)
