"""Small JSON files that are replaced as a whole: the container's state.json and health.json.

Written by hand: `json` would double what a monitor needs of memory. `builder.runtime.codec` reads
them.
"""

from __future__ import annotations

import os
from _json import encode_basestring

_FLAGS = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = bool | int | str | list["Json"] | tuple["Json", ...] | dict[str, "Json"]


def json_text(value: Json) -> str:
    """JSON of it."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return encode_basestring(value)
        case list() | tuple():
            return f"[{','.join(map(json_text, value))}]"
        case dict():
            pairs = (f"{encode_basestring(name)}:{json_text(each)}" for name, each in value.items())
            return f"{{{','.join(pairs)}}}"


def replace_file(dir_fd: int, name: str, document: Mapping[str, Json]) -> None:
    """Readers see the old content or the new. Not durable: a boot outdates it."""
    aside = f"{name}.new"  # one writer alone: whoever has the container's lock
    fd = os.open(aside, _FLAGS, 0o600, dir_fd=dir_fd)
    try:
        os.write(fd, json_text(dict(document)).encode("utf-8", "replace"))
    finally:
        os.close(fd)
    os.rename(aside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


class StateFile:
    """state.json: the document that the command began, and what has changed since."""

    NAME = "state.json"

    def __init__(self, dir_fd: int, fields: dict[str, Json]) -> None:
        self.fields = fields
        self._dir_fd = dir_fd

    def update(self, **changes: bool | int | str) -> None:
        """Set fields and write the file. A full disk must not end the container."""
        self.fields.update(changes)
        try:
            replace_file(self._dir_fd, self.NAME, self.fields)
        except OSError:
            return
