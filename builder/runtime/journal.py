"""The journal: what has happened in the store, as docker's event stream tells it.

One JSON object a line, each written at one stroke to the end of the file; a file that is long
enough gets another name, and the one before it goes. Losing a line costs nobody anything, so a
command never fails for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, cast

from cache.record import record

if TYPE_CHECKING:
    from builder.runtime.container import Container
    from cache.statedir import StateDir

EventKind = Literal["container", "image", "volume", "network"]
KINDS: tuple[EventKind, ...] = ("container", "image", "volume", "network")

_BY_NAME: dict[str, EventKind] = {kind: kind for kind in KINDS}

MAX_BYTES = 1 << 20
"""Of a file: some thousand events."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@record
class Event:
    """Something that happened to something."""

    kind: EventKind
    action: str  # "start", "die", "exec_start: ls"
    actor_id: str  # a container's id, an image's id or name, a volume's name
    attributes: tuple[tuple[str, str], ...]  # sorted
    time_ns: int


class Journal:
    """Writes; safe from several processes."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    @property
    def path(self) -> str:
        """The file that is written."""
        return self._state.journal

    def note(self, kind: EventKind, action: str, actor_id: str, **attributes: str) -> None:
        """Something happens now."""
        self._append(Event(kind, action, actor_id, _sorted(attributes), time.time_ns()))

    def note_container(self, container: Container, action: str, **attributes: str) -> None:
        """Something happens to a container: its name, image and labels are told, too."""
        found = _sorted({**event_attributes(container), **attributes})
        self._append(Event("container", action, container.container_id, found, time.time_ns()))

    def _append(self, event: Event) -> None:
        path = self._state.journal
        with suppress(OSError):
            try:
                fd = os.open(path, _FLAGS, 0o600)
            except FileNotFoundError:
                os.makedirs(self._state.journal_dir, mode=0o700, exist_ok=True)
                fd = os.open(path, _FLAGS, 0o600)
            try:
                os.write(fd, encode_event(event))
                if os.fstat(fd).st_size > MAX_BYTES:
                    _rotate(fd, path)
            finally:
                os.close(fd)


def _rotate(fd: int, path: str) -> None:
    """Give the file its other name, unless somebody else just did or does."""
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            os.rename(path, f"{path}.1")


def event_attributes(container: Container) -> dict[str, str]:
    """What each event tells of the container it happens to."""
    about = {"image": container.image_name, "name": container.name}
    return {**dict(container.config.labels), **about}


def encode_event(event: Event) -> bytes:
    """The line. Spec: Docker Engine API, SystemEvents."""
    text = json.dumps(event_document(event), ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".encode("utf-8", "replace")


def event_document(event: Event) -> dict[str, object]:
    """The event as docker's API has it."""
    document: dict[str, object] = {}
    attributes = dict(event.attributes)
    if event.kind in {"container", "image"}:  # what docker's first versions called them
        document = {"status": event.action, "id": event.actor_id}
        if event.kind == "container":
            document["from"] = attributes.get("image", "")
    return {
        **document,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": attributes},
        "scope": "local",
        "time": event.time_ns // 1_000_000_000,
        "timeNano": event.time_ns,
    }


def event_of(line: bytes) -> Event | None:
    """The event of a line; None where it is damaged."""
    try:
        document: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    fields = cast("dict[str, object]", document)
    actor = fields.get("Actor")
    action, time_ns = fields.get("Action"), fields.get("timeNano")
    kind = _BY_NAME.get(str(fields.get("Type")))
    if not isinstance(actor, dict) or not isinstance(action, str) or not isinstance(time_ns, int):
        return None
    found = cast("dict[str, object]", actor)
    attributes = found.get("Attributes")
    if kind is None or not isinstance(attributes, dict):
        return None
    pairs = cast("dict[str, object]", attributes)
    return Event(
        kind,
        action,
        str(found.get("ID", "")),
        _sorted({name: str(value) for name, value in pairs.items()}),
        time_ns,
    )


def _sorted(attributes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(attributes.items()))


@record
class EventFilter:
    """`NAME=VALUE`s: of one name any will do, and each name must have one that does."""

    entries: tuple[tuple[str, str], ...] = ()

    def allows(self, event: Event) -> bool:
        names = {name for name, _ in self.entries}
        return all(
            any(_means(event, name, value) for known, value in self.entries if known == name)
            for name in names
        )


FILTERS = ("container", "event", "image", "label", "network", "type", "volume")


def _means(event: Event, name: str, value: str) -> bool:
    attributes = dict(event.attributes)
    match name:
        case "event":
            return event.action == value or event.action.startswith(f"{value}: ")
        case "type":
            return event.kind == value
        case "label":
            key, equals, wanted = value.partition("=")
            return key in attributes and (not equals or attributes[key] == wanted)
        case "image":
            known = [attributes.get("image", "")]
            if event.kind == "image":
                known += [event.actor_id, attributes.get("name", "")]
            return _names_image(value, known)
        case _:
            is_named = attributes.get("name") == value or event.actor_id.startswith(value)
            return event.kind == name and is_named


def _names_image(value: str, known: Iterable[str]) -> bool:
    """With its tag or without."""
    return any(one == value or one.startswith(f"{value}:") for one in known)
