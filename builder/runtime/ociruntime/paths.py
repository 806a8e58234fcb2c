"""Where what another runtime needs of a container lies, below the container's own directory.

oci/
  config.json     the bundle's; its root filesystem is the container's rootfs/
  state/          the runtime's own (--root)
  program         the runtime's program and the options before its commands, a word a line
  log             what the runtime says went wrong, a JSON object a line
  pid             of the first process, as the runtime wrote it down
  console         the socket that the terminal comes through, while the container starts
"""

from __future__ import annotations

import os

from builder.runtime.paths import ContainerPaths
from cache.record import record


@record
class OciPaths:
    """The paths below a container's oci/."""

    directory: str

    @property
    def config(self) -> str:
        return os.path.join(self.directory, "config.json")

    @property
    def state(self) -> str:
        return os.path.join(self.directory, "state")

    @property
    def program(self) -> str:
        return os.path.join(self.directory, "program")

    @property
    def log(self) -> str:
        return os.path.join(self.directory, "log")

    @property
    def pid(self) -> str:
        return os.path.join(self.directory, "pid")


def oci_paths(container_dir: str) -> OciPaths:
    """Those of the container whose directory it is."""
    return OciPaths(ContainerPaths(container_dir).oci)
