"""Making control groups: which hierarchies this system has, where a group may lie, what it gets.

A group lies below this process's own one, so that whatever limits this process limits what it
starts. Version 2 forbids processes in a group that hands controllers on; there the group goes to
the root of all instead where we may write to that, else this process's own group is cleared by
moving it aside, which takes a group that was delegated to it alone: `systemd-run --user --scope -p
Delegate=yes`. An ordinary user without delegation gets no group. Spec: cgroups(7), and the
kernel's admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress

from builder.errors import IsolationError, UsageError
from builder.kernel.cgroup import PREFIX, ControlGroup
from cache.record import record

_ASIDE = PREFIX + "command"  # where processes go that would be in the way
_COUNTING = frozenset({"cpuacct", "devices", "freezer"})  # version 2 has them without asking
_VERSION_2_NAMES = {"blkio": "io"}


@record
class Hierarchy:
    """A mounted tree of control groups that this process has a group in."""

    controllers: str  # of version 1, as /proc/PID/cgroup names them; "" for version 2
    mount_dir: str
    own_dir: str  # of the group that this process is in


def plan(
    name: str,
    controllers: Collection[str],
    *,
    required: Collection[str] = (),
    parent: str = "",
) -> ControlGroup:
    """The group `name` as it would lie; nothing is made. False where we may make none.

    `controllers` by their names in version 1. `parent`: a path below the roots of all hierarchies;
    "" for where this process is. To be written down before `make`, so that whoever finds a killed
    process's group knows it.
    """
    found = hierarchies(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"))
    return planned(found, name, controllers, required=required, parent=parent)


def planned(
    found: Iterable[Hierarchy],
    name: str,
    controllers: Collection[str],
    *,
    required: Collection[str] = (),
    parent: str = "",
) -> ControlGroup:
    """As `plan`, in these hierarchies; the best way to freeze and kill is always among them."""
    found = tuple(found)
    wanted = {*controllers, *required}
    if not any(item.controllers == "" for item in found):
        wanted.add("freezer")
    else:
        wanted.discard("freezer")
    directories: dict[str, str] = {}
    for item in found:
        if item.controllers and wanted.isdisjoint(item.controllers.split(",")):
            continue
        parent_dir = _parent_dir(item, wanted, parent)
        if parent_dir:
            directories[item.controllers] = os.path.join(parent_dir, PREFIX + name)
    return ControlGroup(directories)


def make(
    group: ControlGroup, controllers: Collection[str], *, required: Collection[str] = ()
) -> ControlGroup:
    """Make a planned group with these controllers; gives it as far as it could be made.

    One of that name which is still there was left by a killed process and is removed first: a group
    that was killed kills what joins it. `required` controllers are worth moving this process aside.
    """
    _remove_earlier(group)
    wanted = {*controllers, *required, "", "freezer"}
    try:
        return ControlGroup(
            {
                names: directory
                for names, directory in group.directories.items()
                if not wanted.isdisjoint(names.split(","))
                and _made(names, directory, wanted, required)
            }
        )
    except BaseException:
        group.remove()
        raise


def _remove_earlier(group: ControlGroup) -> None:
    try:
        group.remove()
    except OSError as error:
        raise IsolationError(
            f"the control group {error.filename} of an earlier start is still in use",
            hint="its processes are in the directory's file cgroup.procs",
        ) from error


def missing(group: ControlGroup, controllers: Iterable[str]) -> tuple[str, ...]:
    """Those of `controllers`, by their names in version 1, that the group has not got."""
    own = _words(f"{group.unified}/cgroup.controllers") if group.unified else []
    return tuple(
        controller
        for controller in controllers
        if not group.directory_of(controller)
        and _VERSION_2_NAMES.get(controller, controller) not in own
    )


def hierarchies(mountinfo: str, memberships: str) -> tuple[Hierarchy, ...]:
    """What both files of /proc/PID say together, the best first: version 2, then by name.

    A mount that doesn't show the process's own group is none. Spec: proc(5), cgroups(7).
    """
    own_paths = _own_paths(memberships)
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, fstype = before.split(), after.split()
        if len(fields) < 5 or len(fstype) < 3:
            continue
        names = _controllers_of(fstype[0], fstype[-1], own_paths)
        if names is None or names in found:
            continue
        mount_dir = _unescaped(fields[4])
        own_path = own_paths[names]
        relative = os.path.relpath(own_path, _unescaped(fields[3]))
        if ".." not in {relative.split("/")[0], own_path.split("/")[1]}:
            own_dir = os.path.normpath(os.path.join(mount_dir, relative))
            found[names] = Hierarchy(names, mount_dir, own_dir)
    return tuple(found[names] for names in sorted(found))


def _own_paths(memberships: str) -> dict[str, str]:
    paths: dict[str, str] = {}
    for line in memberships.splitlines():
        _, separator, rest = line.partition(":")
        names, second, path = rest.partition(":")
        if separator and second and path.startswith("/") and not names.startswith("name="):
            paths[names] = path
    return paths


def _controllers_of(fstype: str, options: str, own_paths: Iterable[str]) -> str | None:
    """By which name /proc/PID/cgroup knows the hierarchy of a mount; None where it doesn't."""
    match fstype:
        case "cgroup2":
            return "" if "" in own_paths else None
        case "cgroup":
            shown = set(options.split(","))
            return next((n for n in own_paths if n and shown.issuperset(n.split(","))), None)
        case _:
            return None


def _parent_dir(item: Hierarchy, controllers: Collection[str], parent: str) -> str:
    """Where the group goes in this hierarchy; "" where we may make none."""
    if parent:
        return _below(item.mount_dir, parent)
    own_dir = item.own_dir
    if os.path.basename(own_dir) == _ASIDE:
        own_dir = os.path.dirname(own_dir)
    places = [own_dir]
    if not item.controllers and _is_real_root(item.mount_dir):
        # whoever has processes may hand no controllers on, but for the root of all
        offered = _words(f"{item.mount_dir}/cgroup.controllers")
        needed = _in_version_2(controllers).intersection(offered)
        if not needed.issubset(_words(f"{own_dir}/cgroup.subtree_control")):
            places.insert(0, item.mount_dir)
    return next((place for place in places if os.access(place, os.W_OK | os.X_OK)), "")


def _below(mount_dir: str, parent: str) -> str:
    parts = [part for part in parent.split("/") if part]
    if ".." in parts or "." in parts or not parts:
        raise UsageError(
            f'--cgroup-parent "{parent}" is no path of a control group',
            hint="it is a path below /sys/fs/cgroup, without . and ..: /builds",
        )
    place = mount_dir
    for part in parts:
        if not os.path.isdir(os.path.join(place, part)):
            return os.path.join(mount_dir, *parts) if os.access(place, os.W_OK | os.X_OK) else ""
        place = os.path.join(place, part)
    return place if os.access(place, os.W_OK | os.X_OK) else ""


def _is_real_root(mount_dir: str) -> bool:
    return os.path.exists(f"{mount_dir}/cgroup.procs") and not os.path.exists(
        f"{mount_dir}/cgroup.type"
    )


def _made(
    names: str, directory: str, controllers: Collection[str], required: Collection[str]
) -> bool:
    parent_dir = os.path.dirname(directory)
    try:
        if not names:
            _hand_on(parent_dir, controllers, required)
        _make_directory(parent_dir, names)
        os.mkdir(directory)
    except OSError:  # EACCES, EROFS; who asked for a limit is told then what is missing
        return False
    if "cpuset" in names.split(","):
        _fill_cpuset(directory)
    return os.access(f"{directory}/cgroup.procs", os.W_OK)


def _make_directory(directory: str, names: str) -> None:
    """Make a parent that the user named; it stays, as it may have been given limits."""
    missing_dirs: list[str] = []
    while not os.path.isdir(directory):
        missing_dirs.append(directory)
        directory = os.path.dirname(directory)
    for place in reversed(missing_dirs):
        os.mkdir(place)
        if "cpuset" in names.split(","):
            _fill_cpuset(place)


def _fill_cpuset(directory: str) -> None:
    """Give it its parent's processors: version 1 lets nobody join a group without any."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not _read(f"{directory}/{file}").strip():
            text = _read(f"{os.path.dirname(directory)}/{file}").strip()
            _write(f"{directory}/{file}", text)


def _hand_on(parent_dir: str, controllers: Collection[str], required: Collection[str]) -> None:
    """Have version 2's groups give controllers to those below, from the lowest that has them."""
    needed, wanted = _in_version_2(required), _in_version_2(controllers)
    places = [parent_dir]
    while not needed.issubset(_words(f"{places[-1]}/cgroup.controllers")):
        above = os.path.dirname(places[-1])
        if not os.path.exists(f"{above}/cgroup.procs"):
            break
        places.append(above)
    for place in reversed(places):
        if not os.path.isdir(place):
            os.mkdir(place)
        offered = set(_words(f"{place}/cgroup.controllers"))
        shared = set(_words(f"{place}/cgroup.subtree_control"))
        for controller in sorted(offered & wanted - shared):
            _enable(place, controller, may_move=controller in needed)


def _enable(directory: str, controller: str, *, may_move: bool) -> None:
    path = f"{directory}/cgroup.subtree_control"
    try:
        _write(path, f"+{controller}")
    except OSError:
        if not (may_move and _moved_aside(directory)):
            return
        try:
            _write(path, f"+{controller}")
        except OSError:
            return


def _moved_aside(directory: str) -> bool:
    """Clear a group of processes, where it has only this one and those that this one began."""
    pids = tuple(map(int, _words(f"{directory}/cgroup.procs")))
    if not pids or not all(map(_is_own, pids)):
        return False
    aside = os.path.join(directory, _ASIDE)
    try:
        os.makedirs(aside, exist_ok=True)
        for pid in pids:
            _write(f"{aside}/cgroup.procs", str(pid))
    except OSError:
        return False
    return True


def _is_own(pid: int) -> bool:
    own = os.getpid()
    while pid > 1 and pid != own:
        stat = _read(f"/proc/{pid}/stat")
        pid = int(stat.rpartition(")")[2].split()[1]) if stat else 0
    return pid == own


def _in_version_2(controllers: Iterable[str]) -> set[str]:
    return {_VERSION_2_NAMES.get(name, name) for name in controllers} - _COUNTING


def _words(path: str) -> list[str]:
    return _read(path).split()


def _unescaped(field: str) -> str:
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def extend(group: ControlGroup, controllers: Collection[str]) -> ControlGroup:
    """Make those directories of a planned group that were not needed so far; processes move in."""
    made = group.existing()
    lacking = {
        names: directory
        for names, directory in group.directories.items()
        if names not in made.directories and not set(controllers).isdisjoint(names.split(","))
    }
    for names, directory in lacking.items():
        if _made(names, directory, controllers, controllers):
            _move_in(made, directory)
            made.directories[names] = directory
    if made.unified:
        _hand_on(os.path.dirname(made.unified), controllers, controllers)
    return made


def _move_in(group: ControlGroup, directory: str) -> None:
    """What a process begins meanwhile is where that process was: look until nothing is new."""
    moved: set[int] = set()
    while new := [pid for pid in group.processes() if pid not in moved]:
        for pid in new:
            with suppress(ProcessLookupError):
                _write(f"{directory}/cgroup.procs", str(pid))
        moved.update(new)
