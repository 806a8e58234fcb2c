"""What happens to the container, told to the store's journal: builder.runtime.journal reads it."""

from __future__ import annotations

import os
import time

from builder.sandbox.monitor.statefile import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.sandbox.monitor.statefile import Json

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class Journal:
    """Appends lines. That one can't be written costs nobody anything."""

    def __init__(self, path: str, container_id: str, about: dict[str, str]) -> None:
        """`about`: the attributes of each event, the name of the image among them."""
        self._path = path
        self._container_id = container_id
        self._about = about

    def note(self, action: str, **attributes: str) -> None:
        """It happens now."""
        now_ns = time.time_ns()
        found: dict[str, Json] = {**self._about, **attributes}
        document: dict[str, Json] = {
            "status": action,
            "id": self._container_id,
            "from": self._about.get("image", ""),
            "Type": "container",
            "Action": action,
            "Actor": {"ID": self._container_id, "Attributes": dict(sorted(found.items()))},
            "scope": "local",
            "time": now_ns // 1_000_000_000,
            "timeNano": now_ns,
        }
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, _FLAGS, 0o600)
        except OSError:
            return
        try:
            os.write(fd, f"{json_text(document)}\n".encode("utf-8", "replace"))
        except OSError:
            return
        finally:
            os.close(fd)
