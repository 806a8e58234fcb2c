"""A control group as directories, one in each hierarchy that it has a part in: cgroups(7).

Version 1 has a hierarchy for each controller or a few of them, version 2 one for all, and a system
may have both. Which groups to make, and with what limits, is decided elsewhere: here they are
joined, held still, killed and removed, with whatever a container has made below its own group.
"""

from __future__ import annotations

import os
import time

PREFIX = "pybuild-"  # before the name of each group of ours

_SIGKILL = 9
_TIMEOUT_S = 10.0
_POLL_S = 0.002
_FREEZE_POLLS = 25  # after so many, what was forked meanwhile may need to be told again


class ControlGroup:
    """A group. One without directories is false: this system lets us make none."""

    __slots__ = ("directories", "rules_devices")

    def __init__(self, directories: dict[str, str]) -> None:
        # by the controllers of the hierarchy, as /proc/PID/cgroup names them: "memory",
        # "cpu,cpuacct"; "" for version 2
        self.directories = directories
        self.rules_devices = False  # whether it says which devices its processes may open

    def __bool__(self) -> bool:
        return bool(self.directories)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ControlGroup) and self.directories == other.directories

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return f"ControlGroup({self.directories!r})"

    @classmethod
    def of_texts(cls, texts: tuple[str, ...]) -> ControlGroup:
        """The group that `texts` are of."""
        pairs = (text.partition(":") for text in texts)
        return cls({controllers: directory for controllers, _, directory in pairs})

    @property
    def texts(self) -> tuple[str, ...]:
        """The group in writing, `CONTROLLERS:DIRECTORY` each."""
        return tuple(f"{names}:{directory}" for names, directory in self.directories.items())

    @property
    def join_files(self) -> tuple[str, ...]:
        """Whoever writes "0" into each of these joins."""
        return tuple(map(_procs, self.existing().directories.values()))

    @property
    def unified(self) -> str:
        """Its directory in version 2's hierarchy, or ""."""
        return self.directories.get("", "")

    def directory_of(self, controller: str) -> str:
        """Where a controller of version 1 is, or ""."""
        for names, directory in self.directories.items():
            if controller in names.split(","):
                return directory
        return ""

    def existing(self) -> ControlGroup:
        """The part of it that is there."""
        there = {k: path for k, path in self.directories.items() if os.path.isdir(path)}
        return ControlGroup(there)

    @property
    def can_freeze(self) -> bool:
        """Whether its processes can be held still; else signals have to do."""
        return bool(self.unified or self.directory_of("freezer"))

    def freeze(self) -> None:
        """Hold all its processes still; returns when they are. TimeoutError after a while."""
        self._set_frozen(frozen=True)

    def thaw(self) -> None:
        """Let them go on."""
        self._set_frozen(frozen=False)

    @property
    def frozen(self) -> bool:
        """Whether all its processes are held still."""
        if self.unified:
            return "frozen 1" in _read(f"{self.unified}/cgroup.events").splitlines()
        directory = self.directory_of("freezer")
        return bool(directory) and _read(f"{directory}/freezer.state").strip() == "FROZEN"

    def kill_all(self) -> None:
        """SIGKILL to all processes; returns when none is left. TimeoutError after a while.

        The group is of no more use then: the kernel may kill what joins it later as well.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        at_once = self._kill_at_once()
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pids[0]} of {self._any_directory} cannot be killed")
            if not at_once:
                self._kill_by_signals()
            time.sleep(_POLL_S)

    def processes(self) -> tuple[int, ...]:
        """All in the group and in those that were made below it."""
        found: list[int] = []
        for directory in _tree(self._any_directory):
            found += map(int, _read_or_nothing(_procs(directory)).split())
        return tuple(found)

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because memory ran out."""
        directory = self.directory_of("memory")
        if not directory:  # version 2 counts those of the groups below as well
            return _counter(_read_or_nothing(f"{self.unified}/memory.events"), "oom_kill")
        files = (f"{below}/memory.oom_control" for below in _tree(directory))
        return sum(_counter(_read_or_nothing(file), "oom_kill") for file in files)

    def remove(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Remove it with all below; its processes have ended. What is gone already is no error."""
        deadline = time.monotonic() + timeout_s
        for directory in self.directories.values():
            for below in reversed(_tree(directory)):
                _remove_directory(below, deadline)

    @property
    def _any_directory(self) -> str:
        return next((path for path in self.directories.values() if os.path.isdir(path)), "")

    def _set_frozen(self, *, frozen: bool) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        self._tell_frozen(frozen=frozen)
        polls = 0
        while self.frozen is not frozen:
            if time.monotonic() > deadline:
                self._tell_frozen(frozen=False)
                raise TimeoutError(f"the processes of {self._any_directory} cannot be paused")
            time.sleep(_POLL_S)
            polls += 1
            if polls % _FREEZE_POLLS == 0:
                self._tell_frozen(frozen=frozen)

    def _tell_frozen(self, *, frozen: bool) -> None:
        if self.unified:
            _write(f"{self.unified}/cgroup.freeze", "1" if frozen else "0")
        else:
            state = "FROZEN" if frozen else "THAWED"
            _write(f"{self.directory_of('freezer')}/freezer.state", state)

    def _kill_at_once(self) -> bool:
        try:
            fd = os.open(f"{self.unified}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:  # version 1, Linux before 5.14, or the group is gone
            return False
        try:
            os.write(fd, b"1")
        finally:
            os.close(fd)
        return True

    def _kill_by_signals(self) -> None:
        """What is held still forks no more; SIGKILL does its work when it goes on."""
        if self.can_freeze:
            self.freeze()
        try:
            for pid in self.processes():
                try:
                    os.kill(pid, _SIGKILL)
                except ProcessLookupError:
                    continue
        finally:
            if self.can_freeze:
                self.thaw()


def _procs(directory: str) -> str:
    return f"{directory}/cgroup.procs"


def _tree(directory: str) -> list[str]:
    """The directory and all below, each before those in it; nothing where it is gone."""
    found = [directory] if directory and os.path.isdir(directory) else []
    for known in found:
        try:
            with os.scandir(known) as entries:
                found += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            continue
    return found


def _remove_directory(directory: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError:  # EBUSY: the last process is not reaped yet
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return


def _counter(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _read_or_nothing(path: str) -> str:
    try:
        return _read(path)
    except OSError:  # ENOENT, ENODEV: removed meanwhile, or without this controller
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
