"""Which container a user means, without anything else of containers: `exec` has no time for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from builder.runtime.errors import AmbiguousContainerError, UnknownContainerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cache.database import Database

_HEX_DIGITS = frozenset("0123456789abcdef")


def find_container(database: Database, text: str) -> str:
    """The id of the container that a user means by `text`: an id, a name, an id's beginning.

    UnknownContainerError, or AmbiguousContainerError where several ids begin so.
    """
    for condition in ("container_id = ?", "name = ?"):
        ids = _ids(database, condition, text)
        if ids:
            return ids[0]
    if not text or not _HEX_DIGITS.issuperset(text):
        raise UnknownContainerError(text)
    ids = _ids(database, "container_id GLOB ? LIMIT 2", f"{text}*")
    if len(ids) > 1:
        raise AmbiguousContainerError(
            f"several containers have ids that begin with {text}", hint="give more digits"
        )
    if not ids:
        raise UnknownContainerError(text)
    return ids[0]


def _ids(database: Database, condition: str, parameter: str) -> list[str]:
    query = f"SELECT container_id FROM containers WHERE {condition}"  # noqa: S608 - two fixed ones
    rows = database.connection().execute(query, (parameter,))
    return [row[0] for row in cast("Iterable[tuple[str]]", rows)]
