"""`--mount KEY=VALUE,...`: text to a record. Pure; the keys are Docker's, then podman's."""

from __future__ import annotations

from collections.abc import Callable

from builder.errors import UnsupportedError
from builder.runtime.errors import InvalidOptionError
from builder.runtime.options import clean_path
from builder.runtime.volumes import (
    PROPAGATIONS,
    HostBind,
    HostMount,
    ImageMount,
    Propagation,
    Relabel,
    TmpfsMount,
    VolumeMount,
)
from builder.runtime.volumes_names import checked_volume_name
from builder.runtime.volumes_options import checked_target, tmpfs_mode, tmpfs_of, tmpfs_size

_TRUE = frozenset({"true", "1", "t", "yes"})
_FALSE = frozenset({"false", "0", "f", "no"})
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "nocopy": "volume-nocopy",
    "subpath": "subpath",
    "volume-subpath": "subpath",
    "image-subpath": "subpath",
    "size": "tmpfs-size",
    "mode": "tmpfs-mode",
    "u": "chown",
    "readwrite": "rw",
}
_COMMON = {"type", "target", "readonly", "rw", "consistency"}
_KEYS = {
    "bind": _COMMON
    | {"source", "bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src"}
    | {"relabel", "chown"},
    "volume": _COMMON | {"source", "volume-nocopy", "volume-label", "subpath", "chown"},
    "tmpfs": _COMMON | {"tmpfs-size", "tmpfs-mode", "tmpfs-options"},
    "image": _COMMON | {"source", "subpath"},
}
_CONSISTENCIES = {"default", "consistent", "cached", "delegated"}


class _Fields:
    """The keys of one --mount, each with the values it has; read once, then asked for."""

    def __init__(self, text: str) -> None:
        self.option = f'--mount "{text}"'
        self._values: dict[str, list[str]] = {}
        for word in _words(text, self.option):
            key, equals, value = word.partition("=")
            name = key.strip().lower()
            self._values.setdefault(_ALIASES.get(name, name), []).append(value if equals else "\0")

    def kind(self) -> str:
        kind = self.text("type") or "volume"
        if kind not in _KEYS:
            raise UnsupportedError(
                f'{self.option}: there is no mount of type "{kind[:40]}"',
                hint=f"there are {', '.join(_KEYS)}",
            )
        for name in self._values:
            if name not in _KEYS[kind]:
                raise UnsupportedError(
                    f'{self.option}: "{name[:60]}" is not supported for type={kind}',
                    hint=f"there are {', '.join(sorted(_KEYS[kind]))}",
                )
        return kind

    def text(self, name: str) -> str:
        """The value; "" where it isn't there. InvalidOptionError for two, or a key alone."""
        values = self._values.get(name, [])
        if not values:
            return ""
        if len(values) > 1 or values[0] in {"", "\0"}:
            raise InvalidOptionError(f"{self.option}: {name} needs one value: {name}=VALUE")
        return values[0]

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._values.get(name, [])
        if "\0" in values or "" in values:
            raise InvalidOptionError(f"{self.option}: {name} needs a value: {name}=VALUE")
        return tuple(values)

    def truth(self, name: str, *, default: bool = False) -> bool:
        """Of a key alone, or with true or false."""
        if name not in self._values:
            return default
        value = self._values[name][-1].lower()
        if value == "\0" or value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise InvalidOptionError(f'{self.option}: {name} is neither true nor false: "{value}"')

    def target(self) -> str:
        text = self.text("target")
        if not text:
            raise InvalidOptionError(f"{self.option} has no target", hint="add target=/path")
        return checked_target(text, self.option)

    def readonly(self, *, default: bool = False) -> bool:
        """`readonly` and podman's `rw`, which says the opposite."""
        if "rw" in self._values and "readonly" in self._values:
            raise InvalidOptionError(f"{self.option} has both readonly and rw")
        if "rw" in self._values:
            return not self.truth("rw")
        return self.truth("readonly", default=default)


def parse_mount(text: str, *, working_dir: str) -> HostMount:
    """The mount that the option's value asks for; a relative bind source is below `working_dir`."""
    fields = _Fields(text)
    makers: dict[str, Callable[[], HostMount]] = {
        "bind": lambda: _bind(fields, working_dir),
        "volume": lambda: _volume(fields),
        "tmpfs": lambda: _tmpfs(fields),
        "image": lambda: _image(fields),
    }
    make = makers[fields.kind()]
    consistency = fields.text("consistency") or "default"
    if consistency not in _CONSISTENCIES:
        raise InvalidOptionError(f'{fields.option}: there is no consistency "{consistency[:40]}"')
    return make()


def _bind(fields: _Fields, working_dir: str) -> HostBind:
    source = fields.text("source")
    if not source:
        raise InvalidOptionError(f"{fields.option} has no source", hint="add source=/path")
    if not source.startswith("/"):
        source = f"{working_dir}/{source}"
    recursive = fields.text("bind-recursive") or "enabled"
    if recursive not in {"enabled", "disabled", "writable", "readonly"}:
        raise InvalidOptionError(f'{fields.option}: there is no bind-recursive "{recursive[:40]}"')
    readonly = fields.readonly()
    if recursive == "readonly" and not readonly:
        raise InvalidOptionError(f"{fields.option}: bind-recursive=readonly needs readonly")
    if recursive == "writable" and readonly:
        raise UnsupportedError(
            f"{fields.option}: bind-recursive=writable is not supported",
            hint="what is mounted inside a read-only directory is read-only as well",
        )
    return HostBind(
        source=clean_path(source),
        target=fields.target(),
        readonly=readonly,
        propagation=_propagation(fields),
        recursive=recursive != "disabled" and not fields.truth("bind-nonrecursive"),
        make_source=fields.truth("bind-create-src"),
        chown=fields.truth("chown"),
        relabel=_relabel(fields),
    )


def _propagation(fields: _Fields) -> Propagation:
    text = fields.text("bind-propagation") or "rprivate"
    for name in PROPAGATIONS:
        if text == name:
            return name
    raise InvalidOptionError(
        f'{fields.option}: there is no bind-propagation "{text[:40]}"',
        hint=f"there are {', '.join(PROPAGATIONS)}",
    )


def _relabel(fields: _Fields) -> Relabel:
    match fields.text("relabel"):
        case "" | "shared" | "private" as text:
            return text
        case _:
            raise InvalidOptionError(f"{fields.option}: relabel is shared or private")


def _volume(fields: _Fields) -> VolumeMount:
    name = fields.text("source")
    if name:
        checked_volume_name(name, option=fields.option)
    labels: dict[str, str] = {}
    for label in fields.texts("volume-label"):
        key, _, value = label.partition("=")
        labels[key] = value
    return VolumeMount(
        name=name,
        target=fields.target(),
        readonly=fields.readonly(),
        anonymous=not name,
        nocopy=fields.truth("volume-nocopy"),
        subpath=_subpath(fields),
        chown=fields.truth("chown"),
        labels=tuple(sorted(labels.items())),
    )


def _tmpfs(fields: _Fields) -> TmpfsMount:
    words = [word for text in fields.texts("tmpfs-options") for word in text.split(",")]
    if size := fields.text("tmpfs-size"):
        words.append(f"size={tmpfs_size(size, fields.option)}")
    if mode := fields.text("tmpfs-mode"):
        words.append(f"mode={tmpfs_mode(mode, fields.option)}")
    words += ["ro"] * fields.readonly()
    return tmpfs_of(fields.target(), words, fields.option)


def _image(fields: _Fields) -> ImageMount:
    source = fields.text("source")
    if not source:
        raise InvalidOptionError(f"{fields.option} has no source", hint="add source=IMAGE")
    return ImageMount(
        image_name=source,
        target=fields.target(),
        readonly=fields.readonly(default=True),
        subpath=_subpath(fields),
    )


def _subpath(fields: _Fields) -> str:
    text = fields.text("subpath")
    if text.startswith("/") or ".." in text.split("/"):
        raise InvalidOptionError(f'{fields.option}: the subpath "{text[:80]}" is not relative')
    return clean_path(text).lstrip("/") if text else ""


def _words(text: str, option: str) -> list[str]:
    """The comma-separated words; one in quotes may hold a comma, and a quote doubled: CSV."""
    words: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            word, rest = _quoted(rest, option)
        else:
            end = rest.find(",")
            word, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
        if not word.strip("="):
            raise InvalidOptionError(f"{option} has an empty part")
        words.append(word)
        if not rest:
            return words
        rest = rest[1:]


def _quoted(text: str, option: str) -> tuple[str, str]:
    """The word in quotes that `text` begins with, and what follows, which begins with a comma."""
    at, word = 1, ""
    while True:
        end = text.find('"', at)
        if end < 0:
            raise InvalidOptionError(f"{option}: a quote is not closed")
        word += text[at:end]
        if text[end + 1 : end + 2] != '"':
            rest = text[end + 1 :]
            if rest and not rest.startswith(","):
                raise InvalidOptionError(f"{option}: text follows a closing quote")
            return word, rest
        word, at = f'{word}"', end + 2
