"""Starting a container through another runtime, in the charge of the same monitor.

The runtime makes the container (`create`), its first process becomes the sandbox server's, the
network is configured, and then it runs (`start`): runtime-spec, runtime.md (lifecycle).
"""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from builder.kernel.capabilities import CAP_SYS_RESOURCE, NAMES, get_sets
from builder.runtime.ociruntime.codec import encode_document
from builder.runtime.ociruntime.console import ConsoleSocket
from builder.runtime.ociruntime.devices import host_devices, named_devices
from builder.runtime.ociruntime.failures import RuntimeFailedError, failure, log_text
from builder.runtime.ociruntime.leaving import leave
from builder.runtime.ociruntime.paths import oci_paths
from builder.runtime.ociruntime.place import Place
from builder.runtime.ociruntime.programs import cgroup_place, global_options, program_path
from builder.runtime.ociruntime.spec import spec_document
from builder.sandbox.api import BindEntry, Hooks, MountEntry, OutsideProgram, Stdio
from cache.record import record, replace

if TYPE_CHECKING:
    from builder.kernel.cgroup import ControlGroup
    from builder.runtime.container import Container
    from builder.sandbox.api import ContainerExecutor, Process, ProcessSpec
    from builder.sandbox.devicerules import DeviceRule

_OWN_FD = "/proc/self/fd/"
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR")


@record
class Launcher:
    """One start of one container."""

    executor: ContainerExecutor
    container: Container
    container_dir: str
    group: ControlGroup
    device_rules: tuple[DeviceRule, ...]
    rootless: bool

    def start(self, spec: ProcessSpec, stdio: Stdio, hooks: Hooks) -> Process:
        """As `Executor.start`. RuntimeMissingError, RuntimeFailedError; nothing is left then."""
        program = program_path(self.container.host.runtime, os.environ)
        paths = oci_paths(self.container_dir)
        leave(self.container_dir)
        cgroups = cgroup_place(program, self.group, self.container.container_id)
        options = (
            *("--root", paths.state, "--log", paths.log, "--log-format", "json"),
            *global_options(program, rootless=self.rootless),
            *cgroups.options,
        )
        os.makedirs(paths.state, 0o700)
        with open(paths.program, "w", encoding="utf-8") as file:
            file.writelines(f"{word}\n" for word in (program, *options))
        with open(paths.config, "wb") as file:
            file.write(encode_document(self._document(spec, cgroups.path)))
        runtime = _Runtime(self.executor, (program, *options), paths.directory, cgroups.join_files)
        try:
            return self._started(runtime, spec, stdio, hooks)
        except BaseException:
            leave(self.container_dir)
            raise

    def _started(self, runtime: _Runtime, spec: ProcessSpec, stdio: Stdio, hooks: Hooks) -> Process:
        process = self._created(runtime, spec, stdio)
        try:
            if hooks.before_execute is not None:
                hooks.before_execute(process.pid)
            runtime.run(("start", self.container.container_id), Stdio(), wanted=spec.args[0])
        except BaseException:
            process.kill()
            process.wait()
            if process.terminal_fd is not None:
                os.close(process.terminal_fd)
            raise
        return process

    def _created(self, runtime: _Runtime, spec: ProcessSpec, stdio: Stdio) -> Process:
        paths = oci_paths(self.container_dir)
        words = ("create", "--bundle", paths.directory, "--pid-file", paths.pid)
        container_id = self.container.container_id
        if not spec.terminal:
            runtime.run((*words, container_id), stdio, wanted=spec.args[0])
            return self.executor.adopt(_pid_in(paths.pid), spec, terminal_fd=None)
        with ConsoleSocket(paths.directory) as console:
            through = ("--console-socket", console.path)
            runtime.run((*words, *through, container_id), stdio, wanted=spec.args[0])
            pid = _pid_in(paths.pid)
            return self.executor.adopt(pid, spec, terminal_fd=console.master())

    def _document(self, spec: ProcessSpec, cgroup_path: str) -> dict[str, object]:
        uname = os.uname()
        others = host_devices() if spec.privileged else ()
        place = Place(
            machine=uname.machine,
            release=uname.release,
            held=_held_capabilities(),
            rootless=self.rootless,
            devices=() if self.rootless else (*named_devices(spec.devices), *others),
            device_rules=self.device_rules,
            cgroup_path=cgroup_path,
        )
        whole = replace(
            spec,
            mounts=tuple(map(_by_any_process, spec.mounts)),
            rlimits=tuple(map(_clamped, spec.rlimits)),
        )
        return spec_document(whole, place, root_dir=spec.rootfs_dir)


@record
class _Runtime:
    """The runtime's program, as it is called for one container."""

    executor: ContainerExecutor
    words: tuple[str, ...]
    directory: str
    join_files: tuple[str, ...]

    def run(self, words: tuple[str, ...], stdio: Stdio, *, wanted: str) -> None:
        """Have it do one thing; its failure is an error with what it has said."""
        env = tuple(f"{name}={os.environ[name]}" for name in _PASSED_ON if name in os.environ)
        program = OutsideProgram((*self.words, *words), env, self.directory, self.join_files)
        if self.executor.run_outside(program, stdio):
            log = log_text(oci_paths(os.path.dirname(self.directory)).log)
            raise failure(self.words[0], words[0], log, wanted=wanted)


def _held_capabilities() -> frozenset[str]:
    """Those that this process may give: a runtime fails at others, the built-in sandbox doesn't."""
    permitted = get_sets()[1]
    return frozenset(name for number, name in enumerate(NAMES) if permitted >> number & 1)


def _pid_in(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError) as error:
        raise RuntimeFailedError("the runtime did not say which process it has made") from error


def _by_any_process(entry: MountEntry) -> MountEntry:
    """A source that is a descriptor of this process, named so that the runtime finds it too."""
    if isinstance(entry, BindEntry) and entry.source.startswith(_OWN_FD):
        number = entry.source.removeprefix(_OWN_FD)
        return replace(entry, source=f"/proc/{os.getpid()}/fd/{number}")
    return entry


def _clamped(limit: tuple[str, int, int]) -> tuple[str, int, int]:
    """At most what this process may ask for, as the built-in sandbox does it; -1 is no limit."""
    name, soft, hard = limit
    if get_sets()[0] & CAP_SYS_RESOURCE:
        return limit
    most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
    hard = _smaller(hard, most)
    return name, _smaller(soft, hard), hard


def _smaller(limit: int, other: int) -> int:
    if resource.RLIM_INFINITY in {limit, other}:
        return limit if other == resource.RLIM_INFINITY else other
    return min(limit, other)
