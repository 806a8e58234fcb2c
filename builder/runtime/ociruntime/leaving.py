"""What another runtime leaves of a container that has ended, or could not be started."""

from __future__ import annotations

import os
from contextlib import suppress

from builder.runtime.ociruntime.paths import oci_paths
from cache.statedir import remove_tree

_TIMEOUT_S = 10


def leave(container_dir: str) -> None:
    """Have the runtime delete the container whose directory this is, and remove its own files.

    Idempotent. What a runtime that fails, or is gone, keeps elsewhere is control groups alone; the
    container's own is removed by whoever made it.
    """
    paths = oci_paths(container_dir)
    if not os.path.isdir(paths.directory):
        return
    words = _words(paths.program)
    container_id = os.path.basename(container_dir)
    if words and os.path.isdir(os.path.join(paths.state, container_id)):
        import subprocess  # noqa: PLC0415 - few containers have a runtime

        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*words, "delete", "--force", container_id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_S,
                check=False,
            )
    remove_tree(paths.directory)


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
