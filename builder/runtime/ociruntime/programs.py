"""The programs that containers can run through, and how each is told where its control group is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from builder.errors import UnsupportedError
from builder.kernel.cgroup import PREFIX, ControlGroup
from cache.errors import PybuildError
from cache.record import record

BUILT_IN = "pybuild"
KNOWN = ("runc", "crun", "runsc")

_ALSO = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where runc is, and not on every user's PATH


class RuntimeMissingError(PybuildError):
    """The program that a container is to run through is not there."""

    code: ClassVar[str] = "runtime-missing"


@record
class CgroupPlace:
    """How a runtime's container gets into its control group."""

    options: tuple[str, ...] = ()  # of the runtime's command line
    path: str = ""  # cgroupsPath
    join_files: tuple[str, ...] = ()  # cgroup.procs of the groups that the runtime starts in


def checked_runtime(text: str) -> str:
    """`--runtime` as a container's record has it: "" for pybuild itself, a name, a path."""
    if text == BUILT_IN:
        return ""
    if text in KNOWN or text.startswith("/"):
        return text
    raise UnsupportedError(
        f"--runtime {text[:100]} is not supported",
        hint=f"{', '.join(KNOWN)}, {BUILT_IN} and a program by its absolute path are",
    )


def program_path(runtime: str, environment: Mapping[str, str]) -> str:
    """The program's file. RuntimeMissingError where it is not there or may not be executed."""
    if runtime.startswith("/"):
        if not _is_program(runtime):
            raise RuntimeMissingError(f"the runtime {runtime} is no program that can be executed")
        return runtime
    directories = environment.get("PATH", os.defpath).split(os.pathsep)
    for directory in (*filter(os.path.isabs, directories), *_ALSO):
        path = os.path.join(directory, runtime)
        if _is_program(path):
            return path
    raise RuntimeMissingError(
        f"the runtime {runtime} is not installed",
        hint="install it, or leave --runtime out: pybuild runs containers by itself",
    )


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def cgroup_place(program: str, group: ControlGroup, container_id: str) -> CgroupPlace:
    """Where the runtime is to put the container, so that it is in the group with its limits.

    crun can leave it in the group that it was started in. Others make one of their own: in
    version 2, whose groups hold either processes or groups, that is the group itself; in
    version 1, where a relative path begins at the runtime's own group, one below it.
    """
    if group and set(group.directories) == {""}:
        return CgroupPlace(path=_below_root(group.unified))
    if _is_crun(program):
        return CgroupPlace(options=("--cgroup-manager=disabled",), join_files=group.join_files)
    if not group:
        return CgroupPlace()
    return CgroupPlace(path=PREFIX + container_id, join_files=group.join_files)


def has_own_device_rules(runtime: str) -> bool:
    """Whether a runtime sets rules for devices itself, which may not be more than ours would be."""
    return bool(runtime) and not _is_crun(runtime)


def _is_crun(runtime: str) -> bool:
    return os.path.basename(runtime).startswith("crun")


def _below_root(directory: str) -> str:
    """The group's path in its hierarchy, which is mounted at the usual place."""
    return directory.removeprefix("/sys/fs/cgroup")


def global_options(program: str, *, rootless: bool) -> tuple[str, ...]:
    """Options before the command. runc cannot tell a user namespace's root from the machine's."""
    is_runc = os.path.basename(program).startswith("runc")
    return ("--rootless=true",) if is_runc and rootless else ()
