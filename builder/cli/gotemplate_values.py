"""Values of Go templates: how Go shows them, compares them, and the functions that take them.

Values are those of JSON. A `Fields` is a Go struct: its fields have an order, and a field that it
doesn't have is an error; a plain dict is a Go map.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias, cast

from builder.cli.gotemplate_syntax import TemplateError

Value: TypeAlias = object
"""str, int, float, bool, None, a sequence, a dict, a Fields, or a method of a Fields."""

NO_VALUE = "<no value>"
_GO_TYPES: dict[type, str] = {
    type(None): "<nil>",
    bool: "bool",
    str: "string",
    int: "int",
    float: "float64",
    dict: "map[string]interface {}",
}


class Fields(dict[str, Value]):
    """A Go struct; a callable value is a method."""


def fields_of(value: Value, maps: AbstractSet[str], *, is_map: bool = False) -> Value:
    """JSON as Go has it: objects become structs, but for those at keys in `maps`."""
    match value:
        case dict():
            items = cast("dict[str, Value]", value).items()
            made = {key: fields_of(item, maps, is_map=key in maps) for key, item in items}
            return made if is_map else Fields(made)
        case list():
            return [fields_of(item, maps) for item in cast("list[Value]", value)]
        case _:
            return value


def is_true(value: Value) -> bool:
    """Whether Go takes it for true: not empty, not zero; a struct always."""
    return isinstance(value, Fields) or bool(value)


def shown(value: Value) -> str:
    """As an action shows it, and as %v does."""
    match value:
        case None:
            return NO_VALUE
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case dict():
            return _shown_dict(cast("dict[str, Value]", value))
        case list() | tuple():
            return "[" + " ".join(_inner(item) for item in cast("Sequence[Value]", value)) + "]"
        case _:
            return str(value)


def _shown_dict(value: dict[str, Value]) -> str:
    if isinstance(value, Fields):
        return "{" + " ".join(_inner(item) for item in value.values() if not callable(item)) + "}"
    return "map[" + " ".join(f"{key}:{_inner(value[key])}" for key in sorted(value)) + "]"


def _is_list(value: Value) -> bool:
    return isinstance(value, list | tuple)


def _is_collection(value: Value) -> bool:
    return isinstance(value, list | tuple | dict)


def _inner(value: Value) -> str:
    return "<nil>" if value is None else shown(value)


def _float(value: float) -> str:
    """Shortest form, with an exponent from 1e21 on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return re.sub(r"e([+-])(\d)\Z", r"e\g<1>0\2", repr(value))


def to_json(value: Value) -> str:
    """Compact JSON, maps by key, structs in their order."""
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"))


def _ordered(value: Value) -> Value:
    match value:
        case dict():
            items = list(cast("dict[str, Value]", value).items())
            if not isinstance(value, Fields):
                items.sort()
            return {key: _ordered(item) for key, item in items if not callable(item)}
        case list() | tuple():
            return [_ordered(item) for item in cast("Sequence[Value]", value)]
        case _:
            return value


def printf(template: Value, *arguments: Value) -> str:
    """Go's fmt.Sprintf for %s %d %v %q %x %t %f %c %%, with flags, width and precision."""
    remaining = list(arguments)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not remaining:
            return f"%!{verb}(MISSING)"
        text = _formatted(verb, remaining.pop(0), precision, flags)
        columns = int(width or 0)
        if "-" in flags:
            return text.ljust(columns)
        return text.zfill(columns) if "0" in flags and verb in "dfx" else text.rjust(columns)

    text = re.sub(r"%([-+# 0]*)(\d{1,4})?(?:\.(\d{1,4}))?([a-zA-Z%])", one, _text(template))
    if remaining:
        rest = ", ".join(f"{_go_type(value)}={_inner(value)}" for value in remaining)
        return f"{text}%!(EXTRA {rest})"
    return text


def _formatted(verb: str, value: Value, precision: str | None, flags: str) -> str:
    text: str | None = None
    if verb == "v" or (verb == "s" and _is_collection(value)):
        text = _inner(value)
    elif isinstance(value, str):
        text = _formatted_text(verb, value, precision)
    elif isinstance(value, bool):
        text = shown(value) if verb == "t" else None
    elif isinstance(value, float):
        text = f"{value:.{precision or 6}f}" if verb == "f" else None
    elif isinstance(value, int) and verb in "dxc":
        text = format(value, verb if verb == "c" else ("+" if "+" in flags else "-") + verb)
    return f"%!{verb}({_go_type(value)}={_inner(value)})" if text is None else text


def _formatted_text(verb: str, value: str, precision: str | None) -> str | None:
    match verb:
        case "s":
            return value if precision is None else value[: int(precision)]
        case "q":
            return json.dumps(value, ensure_ascii=False)
        case "x":
            return value.encode().hex()
        case _:
            return None


def _go_type(value: Value) -> str:
    return _GO_TYPES.get(type(value), "[]interface {}")


def printed(*values: Value) -> str:
    """Go's fmt.Sprint: a blank between two values of which neither is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += _inner(value)
    return text


def printed_line(*values: Value) -> str:
    """Go's fmt.Sprintln."""
    return " ".join(_inner(value) for value in values) + "\n"


def index(value: Value, *keys: Value) -> Value:
    """The element at a place: of a list by number, of a map by key; a missing key's is empty."""
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: Value, key: Value) -> Value:
    match value, key:
        case None, _:
            raise TemplateError("index of nil")
        case dict(), str():
            found = cast("dict[str, Value]", value)
            if key in found or any(not isinstance(item, str) for item in found.values()):
                return found.get(key)
            return ""  # the zero value of map[string]string, as labels are
        case list() | tuple() | str(), int() if not isinstance(key, bool):
            sequence = cast("Sequence[Value]", value)
            if not 0 <= key < len(sequence):
                raise TemplateError(f"index out of range: {key}, there are {len(sequence)}")
            return sequence[key]
        case _:
            raise TemplateError(f"{_inner(value)} cannot be indexed with {_inner(key)}")


def _slice(value: Value, start: Value = 0, end: Value = None) -> Value:
    if not (isinstance(value, str) or _is_list(value)) or not isinstance(start, int):
        raise TemplateError(f"{_inner(value)} cannot be sliced")
    sequence = cast("Sequence[Value]", value)
    stop = len(sequence) if end is None else end
    if not isinstance(stop, int) or not 0 <= start <= stop <= len(sequence):
        raise TemplateError(f"slice out of range: there are {len(sequence)}")
    return sequence[start:stop]


def _length(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list | tuple) and not isinstance(value, Fields):
        return len(cast("Sequence[Value]", value))
    raise TemplateError(f"len of {_inner(value)}")


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"{_inner(value)} is not a string")
    return value


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TemplateError(f"{_inner(value)} is not a number")
    return value


def _equal(first: Value, *others: Value) -> bool:
    if not others:
        raise TemplateError("eq needs two values")
    for other in others:
        if other is not None and first is not None and _kind(first) != _kind(other):
            raise TemplateError(
                f"{_inner(first)} and {_inner(other)} are of types that cannot be compared"
            )
    return first in others


def _less(first: Value, second: Value) -> bool:
    match first, second:
        case str(), str():
            return first < second
        case int() | float(), int() | float() if _kind(first) == _kind(second):
            return first < second
        case _:
            raise TemplateError(f"{_inner(first)} and {_inner(second)} have no order")


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _not_equal(first: Value, second: Value) -> bool:
    return not _equal(first, second)


def _not_less(first: Value, second: Value) -> bool:
    return not _less(first, second)


def _greater(first: Value, second: Value) -> bool:
    return _less(second, first)


def _not_greater(first: Value, second: Value) -> bool:
    return not _less(second, first)


def _is_false(value: Value) -> bool:
    return not is_true(value)


def _joined(values: Value, separator: Value) -> str:
    if not isinstance(values, list | tuple):
        raise TemplateError(f"{_inner(values)} is not a list")
    return _text(separator).join(_text(value) for value in cast("Sequence[Value]", values))


def _split(text: Value, separator: Value) -> list[str]:
    return _text(text).split(_text(separator)) if separator else list(_text(text))


def _pad(text: Value, before: Value, after: Value) -> str:
    """Docker's `pad`; nothing stays nothing."""
    return _text(text) and " " * _number(before) + _text(text) + " " * _number(after)


def _truncated(text: Value, width: Value) -> str:
    return _text(text)[: max(0, _number(width))]


def _lower(text: Value) -> str:
    return _text(text).lower()


def _upper(text: Value) -> str:
    return _text(text).upper()


def _titled(text: Value) -> str:
    return re.sub(r"\b[a-z]", lambda match: match[0].upper(), _text(text))


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "not": _is_false,
    "len": _length,
    "index": index,
    "slice": _slice,
    "print": printed,
    "printf": printf,
    "println": printed_line,
    "eq": _equal,
    "ne": _not_equal,
    "lt": _less,
    "le": _not_greater,
    "gt": _greater,
    "ge": _not_less,
    "json": to_json,
    "join": _joined,
    "split": _split,
    "lower": _lower,
    "upper": _upper,
    "title": _titled,
    "pad": _pad,
    "truncate": _truncated,
}
"""Go's own and docker's; `and` and `or`, which evaluate as few arguments as they can, aside."""
