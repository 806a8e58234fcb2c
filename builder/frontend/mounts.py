"""RUN --mount: what its value means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

from builder.frontend.goformat import quoted, size_bytes, truth
from builder.frontend.problems import WordProblemError, did_you_mean
from builder.graph.model import Sharing

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Expand = Callable[[str], str]

_TYPES: tuple[MountType, ...] = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARINGS: tuple[Sharing, ...] = ("shared", "private", "locked")
_SYNONYMS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = (
    "type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required",
    "size", "mode", "uid", "gid", "env", *_SYNONYMS,
)  # fmt: skip
_NEEDS_NO_VALUE = frozenset({"readonly", "readwrite", "required"})
_ID_LIMIT = 1 << 32


class MountRequest:
    """One --mount, read; filled in key by key, since some keys depend on those before them."""

    def __init__(self) -> None:
        self.type: MountType = "bind"
        self.from_name = ""
        self.source = ""
        self.target = ""
        self.readonly: bool | None = None
        self.mount_id = ""
        self.sharing: Sharing | None = None
        self.required = False
        self.size_bytes = 0
        self.mode: int | None = None
        self.uid: int | None = None
        self.gid: int | None = None
        self.env_name: str | None = None


def mount_source(value: str) -> str:
    """The stage, context or image that `from` names, "" without one.

    What stages a stage needs must be known before anything is expanded, so no variable is allowed.
    """
    source = ""
    for field in split_csv(value):
        key, _, name = field.partition("=")
        if key.lower() != "from":
            continue
        check_is_constant("from", name)
        source = name
    return source


def check_is_constant(flag: str, name: str) -> None:
    """Refuse a variable in the name of a stage."""
    if "$" in name[:-1]:
        raise WordProblemError(
            f"'{flag}' doesn't support variable expansion, define alias stage instead",
            word=name,
            hint="name a stage with FROM ... AS, whose image may hold variables",
        )


def read_mount(value: str, expand: Expand) -> MountRequest:
    """What a mount asks for, with `expand` applied to each value."""
    request = MountRequest()
    for field in split_csv(value):
        key, equals, text = field.partition("=")
        name = _SYNONYMS.get(key.lower(), key.lower())
        if not equals and name not in _NEEDS_NO_VALUE:
            raise WordProblemError(f"invalid field '{field}' must be a key=value pair", word=field)
        setter = _SETTERS.get(name)
        if setter is None:
            raise WordProblemError(
                f"unexpected key '{key.lower()}' in '{field}'",
                word=field,
                hint=did_you_mean(key, _KEYS),
            )
        setter(request, name, expand(text) if equals else "true")
    _check(request)
    return request


def split_csv(text: str) -> list[str]:
    """Fields between commas, where a field in double quotes may hold commas."""
    if '"' not in text:
        return text.split(",")
    fields: list[str] = []
    pos = 0
    while pos <= len(text):
        field, pos = _quoted_field(text, pos) if text[pos : pos + 1] == '"' else _field(text, pos)
        fields.append(field)
        pos += 1
    return fields


def _field(text: str, pos: int) -> tuple[str, int]:
    end = text.find(",", pos)
    end = len(text) if end < 0 else end
    if '"' in text[pos:end]:
        raise WordProblemError(
            'failed to parse csv mounts: bare " in non-quoted field', word=text[pos:end]
        )
    return text[pos:end], end


def _quoted_field(text: str, pos: int) -> tuple[str, int]:
    start = pos + 1
    end = text.find('"', start)
    while end >= 0 and text[end + 1 : end + 2] == '"':
        end = text.find('"', end + 2)
    if end < 0 or text[end + 1 : end + 2] not in {"", ","}:
        raise WordProblemError(
            'failed to parse csv mounts: extraneous or missing " in quoted field', word=text[pos:]
        )
    return text[start:end].replace('""', '"'), end + 1


def _set_type(request: MountRequest, _name: str, value: str) -> None:
    if value.lower() not in _TYPES:
        raise WordProblemError(
            f"unsupported mount type {quoted(value)}", word=value, hint=did_you_mean(value, _TYPES)
        )
    request.type = cast("MountType", value.lower())


def _set_from(request: MountRequest, _name: str, value: str) -> None:
    request.from_name = value


def _set_source(request: MountRequest, _name: str, value: str) -> None:
    request.source = value


def _set_target(request: MountRequest, _name: str, value: str) -> None:
    request.target = value


def _set_access(request: MountRequest, name: str, value: str) -> None:
    request.readonly = _truth(name, value) == (name == "readonly")


def _set_id(request: MountRequest, _name: str, value: str) -> None:
    request.mount_id = value


def _set_sharing(request: MountRequest, _name: str, value: str) -> None:
    if value.lower() not in _SHARINGS:
        raise WordProblemError(
            f"unsupported sharing value {quoted(value)}",
            word=value,
            hint=did_you_mean(value, _SHARINGS) or "it is shared, private or locked",
        )
    request.sharing = cast("Sharing", value.lower())


def _set_required(request: MountRequest, name: str, value: str) -> None:
    _check_type(request, name, ("secret", "ssh"))
    request.required = _truth(name, value)


def _set_size(request: MountRequest, name: str, value: str) -> None:
    _check_type(request, name, ("tmpfs",))
    try:
        request.size_bytes = size_bytes(value)
    except ValueError as error:
        raise WordProblemError(f"invalid value for {name}: {value}", word=value) from error


def _set_mode(request: MountRequest, name: str, value: str) -> None:
    request.mode = _number(name, value, base=8)


def _set_uid(request: MountRequest, name: str, value: str) -> None:
    request.uid = _number(name, value)


def _set_gid(request: MountRequest, name: str, value: str) -> None:
    request.gid = _number(name, value)


def _set_env(request: MountRequest, _name: str, value: str) -> None:
    request.env_name = value


_SETTERS: Mapping[str, Callable[[MountRequest, str, str], None]] = {
    "type": _set_type,
    "from": _set_from,
    "source": _set_source,
    "target": _set_target,
    "readonly": _set_access,
    "readwrite": _set_access,
    "id": _set_id,
    "sharing": _set_sharing,
    "required": _set_required,
    "size": _set_size,
    "mode": _set_mode,
    "uid": _set_uid,
    "gid": _set_gid,
    "env": _set_env,
}


def _truth(name: str, value: str) -> bool:
    try:
        return truth(value)
    except ValueError as error:
        raise WordProblemError(f"invalid value for {name}: {value}", word=value) from error


def _number(name: str, value: str, base: int = 10) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or value.strip(digits) or int(value, base) >= _ID_LIMIT:
        raise WordProblemError(f"invalid value {value} for {name}", word=f"{name}={value}")
    return int(value, base)


def _check_type(request: MountRequest, name: str, types: tuple[MountType, ...]) -> None:
    if request.type not in types:
        raise WordProblemError(
            f"unexpected key '{name}' for mount type '{request.type}'",
            word=name,
            hint=f"it goes with type={' and type='.join(types)}, which must stand before it",
        )


def _check(request: MountRequest) -> None:
    """What doesn't go together."""
    if request.type in {"bind", "tmpfs"}:
        for name in ("mode", "uid", "gid"):
            if getattr(request, name) is not None:
                raise WordProblemError(
                    f"{name} not allowed for {quoted(request.type)} type mounts", word=name
                )
    if request.sharing and request.type != "cache":
        raise WordProblemError(
            f"invalid cache sharing set for {request.type} mount", word="sharing"
        )
    if request.env_name is not None and request.type != "secret":
        raise WordProblemError(f"unexpected key 'env' for mount type '{request.type}'", word="env")
    if request.type == "secret":
        _check_secret(request)
    if request.type == "ssh" and request.source:
        raise WordProblemError("ssh mount should not have a source", word=request.source)


def _check_secret(request: MountRequest) -> None:
    if request.from_name:
        raise WordProblemError("secret mount should not have a from", word="from")
    if not (request.source or request.target or request.mount_id):
        raise WordProblemError(
            "invalid secret mount. one of source, target required",
            word="type=secret",
            hint="write --mount=type=secret,id=NAME",
        )
    if request.source and request.mount_id:
        raise WordProblemError("both source and id can't be set", word=request.source)
