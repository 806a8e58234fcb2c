"""What the records of a request have in common."""

from __future__ import annotations


class Record:
    """A set of fields with a name each, as `__slots__` lists them."""

    __slots__: tuple[str, ...] = ()

    def fields(self) -> dict[str, object]:
        """All of them by name."""
        return {name: getattr(self, name) for name in self.__slots__}
