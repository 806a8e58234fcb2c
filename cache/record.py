"""Frozen data classes that cost little to define.

`@dataclass(frozen=True, slots=True)` compiles eight functions for each class when its module is
imported: 0.7 ms a class, and a command imports a hundred classes of which it makes values of few.
`@record` defines the same kind of class in 0.03 ms and compiles its `__init__` when many values
are made. Type checkers and the functions of `dataclasses` (`replace`, `fields`, `asdict`)
take a record for such a data class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast, dataclass_transform, overload

if TYPE_CHECKING:
    from dataclasses import replace  # so that changes are checked against the fields
else:

    def replace(value: _T, /, **changes: object) -> _T:
        """As `dataclasses.replace`, without importing `dataclasses`."""
        kept = {name: getattr(value, name) for name in value.__slots__}
        return value.__class__(**{**kept, **changes})


__all__ = ["field", "record", "replace"]

_T = TypeVar("_T")
_D = TypeVar("_D")
_REQUIRED = object()
_COMPILED_FROM = 16  # values of a class: most programs make few of each


class _Field:
    """What `field` leaves in the class body."""

    __slots__ = ("compare", "default", "default_factory")

    def __init__(
        self, default: object, default_factory: Callable[[], object] | None, *, compare: bool
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.compare = compare


@overload
def field(*, default: _D, compare: bool = True) -> _D: ...
@overload
def field(*, default_factory: Callable[[], _D], compare: bool = True) -> _D: ...
@overload
def field(*, compare: bool = True) -> Any: ...  # noqa: ANN401 - as dataclasses.field has it
def field(
    *,
    default: object = _REQUIRED,
    default_factory: Callable[[], object] | None = None,
    compare: bool = True,
) -> object:
    """As `dataclasses.field`; without `compare`, values that differ in the field only are equal."""
    return _Field(default, default_factory, compare=compare)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Make `cls` a frozen data class with slots. It must have no base class of its own."""
    assert cls.__bases__ == (object,), "records do not inherit"
    body = dict(vars(cls))
    names = tuple(
        name
        for name, annotation in body.get("__annotations__", {}).items()
        if not str(annotation).startswith(("ClassVar", "typing.ClassVar"))
    )
    specifiers = {name: _specifier(body.pop(name, _REQUIRED)) for name in names}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body["__slots__"] = body["__match_args__"] = names
    body["__record_fields__"] = specifiers
    body["__record_count__"] = 0
    body["__dataclass_fields__"] = _LazyFields()
    compared = [name for name, specifier in specifiers.items() if specifier.compare]
    body["__record_key__"] = staticmethod(attrgetter(*compared) if compared else type)
    for name, method in _METHODS.items():
        body.setdefault(name, method)
    made = type(cls.__name__, (), body)
    made.__qualname__ = cls.__qualname__
    return cast("type[_T]", made)


def _specifier(value: object) -> _Field:
    return value if isinstance(value, _Field) else _Field(value, None, compare=True)


def _init(self: Any, *args: object, **values: object) -> None:  # noqa: ANN401
    """Stands in for the first values: to compile takes as long as to make forty so."""
    cls: Any = self.__class__
    cls.__record_count__ += 1
    if cls.__record_count__ < _COMPILED_FROM and _fill(self, cls.__record_fields__, args, values):
        return
    cls.__init__ = _compiled_init(cls)
    cls.__init__(self, *args, **values)


def _fill(
    self: object,
    specifiers: Mapping[str, _Field],
    args: tuple[object, ...],
    values: Mapping[str, object],
) -> bool:
    """Set the fields; False where the arguments are wrong, which the compiled function explains."""
    given = dict(zip(specifiers, args, strict=False))
    if len(given) < len(args) or any(name in given or name not in specifiers for name in values):
        return False
    given.update(values)
    for name, specifier in specifiers.items():
        if name in given:
            value = given[name]
        elif specifier.default_factory is not None:
            value = specifier.default_factory()
        elif specifier.default is not _REQUIRED:
            value = specifier.default
        else:
            return False
        object.__setattr__(self, name, value)
    return True


def _compiled_init(cls: Any) -> Callable[..., None]:  # noqa: ANN401
    """`__init__` with a parameter a field, which sets the slots past `__setattr__`."""
    scope: dict[str, object] = {"_absent": _REQUIRED}
    parameters: list[str] = []
    lines: list[str] = []
    specifiers: dict[str, _Field] = cls.__record_fields__
    for name, specifier in specifiers.items():
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        value = name
        if specifier.default_factory is not None:
            scope[f"_make_{name}"] = specifier.default_factory
            parameters.append(f"{name}=_absent")
            value = f"_make_{name}() if {name} is _absent else {name}"
        elif specifier.default is not _REQUIRED:
            scope[f"_default_{name}"] = specifier.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f" _set_{name}(self, {value})")
    source = f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(lines or [" pass"])
    exec(source, scope)  # noqa: S102 - of our own field names alone
    init = cast("Callable[..., None]", scope["__init__"])
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _equals(self: Any, other: Any) -> object:  # noqa: ANN401
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__record_key__(self) == self.__record_key__(other)


def _hash(self: Any) -> int:  # noqa: ANN401
    return hash(self.__record_key__(self))


def _repr(self: Any) -> str:  # noqa: ANN401
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{self.__class__.__qualname__}({values})"


def _refuse_change(self: object, name: str, *_value: object) -> NoReturn:
    raise AttributeError(f"cannot change field {name!r} of a {type(self).__qualname__}")


def _reduce(self: Any) -> tuple[type, tuple[object, ...]]:  # noqa: ANN401
    """For copy and pickle, which would set attributes."""
    return self.__class__, tuple(getattr(self, name) for name in self.__slots__)


_METHODS: dict[str, Callable[..., object]] = {
    "__init__": _init,
    "__eq__": _equals,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse_change,
    "__delattr__": _refuse_change,
    "__reduce__": _reduce,
}


class _LazyFields:
    """Gives `dataclasses` what it looks for; most programs never ask."""

    def __get__(self, _instance: object, cls: Any) -> dict[str, object]:  # noqa: ANN401
        import dataclasses  # noqa: PLC0415 - it costs 8 ms

        bare = dataclasses.make_dataclass(
            cls.__name__,
            [
                (name, cls.__annotations__[name], _dataclass_field(dataclasses, specifier))
                for name, specifier in cls.__record_fields__.items()
            ],
        )
        cls.__dataclass_fields__ = found = vars(bare)["__dataclass_fields__"]
        return cast("dict[str, object]", found)


def _dataclass_field(dataclasses: Any, specifier: _Field) -> object:  # noqa: ANN401
    if specifier.default_factory is not None:
        factory = specifier.default_factory
        return dataclasses.field(default_factory=factory, compare=specifier.compare)
    if specifier.default is _REQUIRED:
        return dataclasses.field(compare=specifier.compare)
    return dataclasses.field(default=specifier.default, compare=specifier.compare)
