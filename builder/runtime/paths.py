"""Where each thing of one container lies; no other module joins these paths.

containers/ID/
  config.json     what it was asked to be; never changes
  state.json      how far it has come; missing until it is started
  lock            flocked by the pybuild that runs it
  control         that pybuild's socket, see builder.runtime.control
  fs/             the overlay's upperdir: the container's own layer
  work/           the overlay's workdir
  rootfs/         where that pybuild, and nobody else, sees the root filesystem
  stubs/          mount points that the image lacks
  images/N/       an image that is mounted, and the changes to it
  traces.json     what was made in fs/ for mounts, for whoever undoes it at the end
  health.json     how its last health checks went: builder.sandbox.monitor.health
  container.log   its output: builder.sandbox.monitor.log
  hosts, hostname, resolv.conf      bound over the container's own in /etc
  oci/            of a container that runs through another program: builder.runtime.ociruntime
  resolver        for its name server: "upstream ADDRESS" and "names FILE" lines
"""

from __future__ import annotations

import os

from cache.record import record


@record
class ImagePaths:
    """The paths of one tree that is mounted with changes of its own."""

    directory: str

    @property
    def rootfs(self) -> str:
        return os.path.join(self.directory, "rootfs")

    @property
    def upperdir(self) -> str:
        return os.path.join(self.directory, "fs")

    @property
    def workdir(self) -> str:
        return os.path.join(self.directory, "work")


@record
class ContainerPaths:
    """The paths below a container's directory."""

    container_dir: str

    @property
    def config(self) -> str:
        return os.path.join(self.container_dir, "config.json")

    @property
    def state(self) -> str:
        return os.path.join(self.container_dir, "state.json")

    @property
    def oci(self) -> str:
        return os.path.join(self.container_dir, "oci")

    @property
    def lock(self) -> str:
        return os.path.join(self.container_dir, "lock")

    @property
    def control(self) -> str:
        return os.path.join(self.container_dir, "control")

    @property
    def upperdir(self) -> str:
        return os.path.join(self.container_dir, "fs")

    @property
    def workdir(self) -> str:
        return os.path.join(self.container_dir, "work")

    @property
    def shifted(self) -> str:
        return os.path.join(self.container_dir, "shifted")  # the image with other owners

    @property
    def rootfs(self) -> str:
        return os.path.join(self.container_dir, "rootfs")

    @property
    def stubs(self) -> str:
        return os.path.join(self.container_dir, "stubs")

    @property
    def images(self) -> str:
        return os.path.join(self.container_dir, "images")

    def image_mount(self, number: int) -> ImagePaths:
        """Of the n-th mount, which is an image or whose changes stay apart."""
        return ImagePaths(os.path.join(self.images, str(number)))

    @property
    def traces(self) -> str:
        return os.path.join(self.container_dir, "traces.json")

    @property
    def log(self) -> str:
        return os.path.join(self.container_dir, "container.log")

    @property
    def health(self) -> str:
        return os.path.join(self.container_dir, "health.json")

    @property
    def hosts(self) -> str:
        return os.path.join(self.container_dir, "hosts")

    @property
    def hostname(self) -> str:
        return os.path.join(self.container_dir, "hostname")

    @property
    def resolv_conf(self) -> str:
        return os.path.join(self.container_dir, "resolv.conf")

    @property
    def resolver(self) -> str:
        return os.path.join(self.container_dir, "resolver")
