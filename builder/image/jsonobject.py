"""JSON that others wrote, read strictly: each value is asked for by name and type.

Whoever reads a document must see in it what every other reader sees, or a digest would vouch for
something else than was checked: duplicate keys, which parsers resolve differently, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar, cast

from builder.image.errors import InvalidImageError
from cache.digest import Digest, parse_digest
from cache.errors import InvalidDigestError

DOCUMENT_LIMIT_BYTES = 4 << 20
"""What registries take for a manifest; real configs stay far below it as well."""

_Value = TypeVar("_Value")


class JsonObject:
    """One JSON object of the document `what` ("manifest"), at the place `at` ("config.Env").

    A field that is null counts as not there, as in Go's readers.
    """

    __slots__ = ("_at", "_fields", "_what")

    def __init__(self, fields: dict[str, object], *, what: str, at: str = "") -> None:
        self._fields = fields
        self._what = what
        self._at = at

    def error(self, name: str, problem: str) -> InvalidImageError:
        """An error about the field `name`."""
        return InvalidImageError(f"the {self._what} is invalid: {self._place(name)} {problem}")

    @property
    def fields(self) -> Mapping[str, object]:
        """All of it, unknown fields too: to pass on as it is."""
        return self._fields

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._fields.get(name) is not None

    def text(self, name: str, *, required: bool = False) -> str:
        """A string; "" where it isn't there."""
        value = self._get(name, str, "a string")
        if required and not value:
            raise self.error(name, "is missing")
        return value or ""

    def integer(self, name: str, *, required: bool = False) -> int:
        """A number without a fraction; 0 where it isn't there."""
        value = self._get(name, int, "an integer")
        if isinstance(value, bool):
            raise self.error(name, "is not an integer")
        if required and value is None:
            raise self.error(name, "is missing")
        return value or 0

    def boolean(self, name: str) -> bool:
        """True or false; false where it isn't there."""
        return bool(self._get(name, bool, "true or false"))

    def digest(self, name: str) -> Digest:
        """A digest, which must be there."""
        try:
            return parse_digest(self.text(name, required=True))
        except InvalidDigestError as error:
            raise self.error(name, error.message) from error

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings; None where it isn't there."""
        values = self._list(name)
        if values is None:
            return None
        for value in values:
            if not isinstance(value, str):
                raise self.error(name, "is not a list of strings")
        return tuple(cast("list[str]", values))

    def keys(self, name: str) -> tuple[str, ...]:
        """The sorted keys of an object that stands for a set; () where it isn't there."""
        return tuple(sorted(self._dict(name) or ()))

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object of strings, sorted by key; () where it isn't there."""
        values = self._dict(name) or {}
        for value in values.values():
            if not isinstance(value, str):
                raise self.error(name, "is not an object of strings")
        return tuple(sorted(cast("dict[str, str]", values).items()))

    def child(self, name: str) -> JsonObject | None:
        """An object in this one; None where it isn't there."""
        fields = self._dict(name)
        return None if fields is None else self._inner(fields, name)

    def children(self, name: str, *, required: bool = False) -> Iterator[JsonObject]:
        """A list of objects, in order; none where it isn't there."""
        values = self._list(name)
        if values is None and required:
            raise self.error(name, "is missing")
        for number, value in enumerate(values or ()):
            place = f"{name}[{number}]"
            if not isinstance(value, dict):
                raise self.error(place, "is not an object")
            yield self._inner(cast("dict[str, object]", value), place)

    def _inner(self, fields: dict[str, object], name: str) -> JsonObject:
        return JsonObject(fields, what=self._what, at=self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name

    def _get(self, name: str, kind: type[_Value], kind_words: str) -> _Value | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise self.error(name, f"is not {kind_words}")
        return value

    def _dict(self, name: str) -> dict[str, object] | None:
        return cast("dict[str, object] | None", self._get(name, dict, "an object"))

    def _list(self, name: str) -> list[object] | None:
        return cast("list[object] | None", self._get(name, list, "a list"))


def parse_object(blob: bytes, *, what: str, limit_bytes: int = DOCUMENT_LIMIT_BYTES) -> JsonObject:
    """The JSON object that `blob` holds; InvalidImageError for anything else."""
    value = _parse(blob, what, limit_bytes)
    if not isinstance(value, dict):
        raise InvalidImageError(f"the {what} is invalid: it is not a JSON object")
    return JsonObject(cast("dict[str, object]", value), what=what)


def parse_objects(
    blob: bytes, *, what: str, limit_bytes: int = DOCUMENT_LIMIT_BYTES
) -> tuple[JsonObject, ...]:
    """The JSON array of objects that `blob` holds; InvalidImageError for anything else."""
    value = _parse(blob, what, limit_bytes)
    if not isinstance(value, list):
        raise InvalidImageError(f"the {what} is invalid: it is not a JSON array")
    return tuple(JsonObject({what: value}, what=what).children(what))


def _parse(blob: bytes, what: str, limit_bytes: int) -> object:
    if len(blob) > limit_bytes:
        raise InvalidImageError(
            f"the {what} is invalid: {len(blob):,} bytes are more than the {limit_bytes:,} allowed"
        )
    try:
        value: object = json.loads(
            blob.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InvalidImageError(f"the {what} is invalid: {_reason(error)}") from error
    return value


def _reason(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"not JSON at byte {error.pos} ({error.msg})"
        case UnicodeDecodeError():
            return f"not UTF-8 at byte {error.start}"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(error)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(f'the key "{_first_duplicate(pairs)[:100]}" stands twice in one object')
    for key, value in pairs:
        if not (key.isascii() or _is_text(key)) or (isinstance(value, str) and not _is_text(value)):
            raise ValueError("a string is not Unicode text")
    return fields


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: a lone surrogate, from a JSON escape, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first_duplicate(pairs: list[tuple[str, object]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError("no duplicate")


def _refuse_constant(name: str) -> Literal[0]:
    raise ValueError(f"{name} is not JSON")
