"""What can be wrong with containers, their names and their options."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class UnknownContainerError(PybuildError):
    """No container has this name or an id that begins so."""

    code: ClassVar[str] = "unknown-container"

    def __init__(self, text: str) -> None:
        super().__init__(f"No such container: {text[:200]}", hint="pybuild ps -a lists all of them")


class AmbiguousContainerError(PybuildError):
    """The beginning of an id that several containers have."""

    code: ClassVar[str] = "ambiguous-container"


class InvalidContainerNameError(PybuildError):
    """Text that a container cannot be called."""

    code: ClassVar[str] = "invalid-container-name"


class ContainerNameTakenError(PybuildError):
    """Another container has the name."""

    code: ClassVar[str] = "container-name-taken"


class ContainerRunningError(PybuildError):
    """Not possible while the container runs."""

    code: ClassVar[str] = "container-running"


class ContainerNotRunningError(PybuildError):
    """Not possible while the container doesn't run."""

    code: ClassVar[str] = "container-not-running"


class BrokenContainerError(PybuildError):
    """The container's record cannot be read."""

    code: ClassVar[str] = "broken-container"


class InvalidOptionError(PybuildError):
    """An option of `run` whose value makes no sense."""

    code: ClassVar[str] = "invalid-option"


class TerminalError(PybuildError):
    """A terminal was asked for where there is none."""

    code: ClassVar[str] = "no-terminal"


class InvalidVolumeNameError(PybuildError):
    """Text that a volume cannot be called."""

    code: ClassVar[str] = "invalid-volume-name"


class UnknownVolumeError(PybuildError):
    """No volume has this name."""

    code: ClassVar[str] = "unknown-volume"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"No such volume: {text[:200]}", hint="pybuild volume ls lists all of them"
        )


class VolumeInUseError(PybuildError):
    """A container needs the volume."""

    code: ClassVar[str] = "volume-in-use"


class VolumeExistsError(PybuildError):
    """The volume is there, and is another one than was asked for."""

    code: ClassVar[str] = "volume-exists"


class MountSourceError(PybuildError):
    """What is to be mounted is missing, or cannot be mounted so."""

    code: ClassVar[str] = "mount-source"


class BundleError(PybuildError):
    """A bundle that cannot be written."""

    code: ClassVar[str] = "bundle"
