"""Files that a command leaves its results in, for scripts: `--iidfile`, `--metadata-file`."""

from __future__ import annotations

import os
from contextlib import suppress

from cache.statedir import write_atomically

_MODE = 0o666
"""Less the umask, as any file that a command writes for its caller."""


def forget(path: str) -> None:
    """Remove what an earlier run has left: a script must not take it for this one's."""
    if os.path.isfile(path):
        with suppress(OSError):
            os.unlink(path)


def write_result(path: str, content: bytes) -> None:
    """Whole or not at all; straight into what is no file, like /dev/stdout or a pipe."""
    if os.path.isfile(path) or not os.path.exists(path):
        write_atomically(path, content, mode=_MODE, durable=False)
        return
    with open(path, "wb") as file:
        file.write(content)
