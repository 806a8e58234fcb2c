"""Reads the fields of one JSON object, each with its type, and refuses all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from builder.graph.errors import InvalidOperationError
from cache.digest import Digest, parse_digest
from cache.errors import InvalidDigestError

_Record = TypeVar("_Record")
_Word = TypeVar("_Word", bound=str)


class Fields:
    """One object; each read takes its field out, so that what is left over can be refused."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    @staticmethod
    def of(value: object) -> Fields:
        """`value` must be an object."""
        if not isinstance(value, dict):
            raise InvalidOperationError("an operation holds something else than an object")
        return Fields(dict(cast("dict[str, object]", value)))

    def finished(self, read: Callable[[Fields], _Record]) -> _Record:
        """What `read` makes of the object, if it took all fields."""
        record = read(self)
        if self._values:
            names = ", ".join(sorted(self._values))
            raise InvalidOperationError(f"an operation has unknown fields: {names[:200]}")
        return record

    def text(self, name: str) -> str:
        return self._typed(name, self._take(name), str)

    def number(self, name: str) -> int:
        value = self._take(name)
        if isinstance(value, bool):
            raise _wrong(name)
        return self._typed(name, value, int)

    def truth(self, name: str) -> bool:
        return self._typed(name, self._take(name), bool)

    def optional(self, name: str) -> int | None:
        """A number or null."""
        if self._values.get(name, 0) is None:
            return cast("None", self._take(name))
        return self.number(name)

    def one_of(self, name: str, words: tuple[_Word, ...]) -> _Word:
        text = self.text(name)
        for word in words:
            if word == text:
                return word
        raise _wrong(name)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._typed(name, item, str) for item in self._items(name))

    def digests(self, name: str) -> tuple[Digest, ...]:
        try:
            return tuple(parse_digest(text) for text in self.texts(name))
        except InvalidDigestError as error:
            raise _wrong(name) from error

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        return tuple(self._pair(name, item) for item in self._items(name))

    def records(self, name: str, read: Callable[[Fields], _Record]) -> tuple[_Record, ...]:
        return tuple(Fields.of(item).finished(read) for item in self._items(name))

    def _take(self, name: str) -> object:
        try:
            return self._values.pop(name)
        except KeyError:
            raise InvalidOperationError(f'an operation lacks the field "{name}"') from None

    def _items(self, name: str) -> list[object]:
        return cast("list[object]", self._typed(name, self._take(name), list))

    def _pair(self, name: str, item: object) -> tuple[str, str]:
        match item:
            case [str() as first, str() as second]:
                return first, second
            case _:
                raise _wrong(name)

    @staticmethod
    def _typed(name: str, value: object, kind: type[_Record]) -> _Record:
        if not isinstance(value, kind):
            raise _wrong(name)
        return value


def _wrong(name: str) -> InvalidOperationError:
    return InvalidOperationError(f'an operation\'s field "{name}" has a wrong value')
