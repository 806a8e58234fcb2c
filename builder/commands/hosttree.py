"""Which files of this machine a program needs to run: its libraries, its loader, links on the way.

A `HostTree` is a list of paths as they are on the host, symbolic links kept (a /bin that is a link
to usr/bin stays one), closed under what its programs need.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from builder.commands.elf import Elf, read_elf, read_loader_cache
from cache.errors import PybuildError

PROGRAM_DIRS = (
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
)
"""Where programs are looked for: what the system came with first."""

LOADER_CACHE = "/etc/ld.so.cache"
_LINK_LIMIT = 40
_TRIPLETS = {
    3: "i386-linux-gnu",
    21: "powerpc64le-linux-gnu",
    22: "s390x-linux-gnu",
    40: "arm-linux-gnueabihf",
    62: "x86_64-linux-gnu",
    183: "aarch64-linux-gnu",
    243: "riscv64-linux-gnu",
}
"""ELF machine → the name of Debian's library directories."""

_DEFAULT_LIBRARY_DIRS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")


class HostProgramError(PybuildError):
    """A program, or what it needs, that this machine doesn't have."""

    code: ClassVar[str] = "host-program"


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One path of the tree."""

    path: str  # absolute
    kind: Literal["directory", "link", "file"]
    mode: int  # permission bits
    mtime_ns: int
    link_target: str = ""


def find_program(name: str) -> str:
    """The program's path, HostProgramError where there is none. A path stands for itself."""
    if name.startswith("/"):
        if os.path.exists(name):
            return name
    elif "/" not in name:
        for directory in PROGRAM_DIRS:
            path = os.path.join(directory, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    raise HostProgramError(
        f'this machine has no program "{name}"',
        hint=f"it is looked for in {', '.join(PROGRAM_DIRS)}; give an absolute path for others",
    )


def has_program(name: str) -> bool:
    """Whether `find_program` finds it."""
    try:
        find_program(name)
    except HostProgramError:
        return False
    return True


class HostTree:
    """Grows by `add`; `entries` has parents before what is in them."""

    def __init__(self) -> None:
        self._entries: dict[str, HostEntry] = {}
        self._finished: set[str] = set()  # files and directories whose needs were looked at
        self._libraries = _Libraries(read_loader_cache(LOADER_CACHE))

    @property
    def entries(self) -> tuple[HostEntry, ...]:
        """Sorted by path."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def add(self, path: str) -> None:
        """Add a program, a library, a directory with all that is in it, and what those need.

        Of scripts in a directory nobody knows which will be run: their interpreters stay out.
        """
        waiting = [(path, False)]
        while waiting:
            one, is_member = waiting.pop()
            real_path = self._add_path(one)
            if real_path is None or real_path in self._finished:
                continue
            self._finished.add(real_path)
            if self._entries[real_path].kind == "directory":
                waiting += [(member, True) for member in self._add_members(real_path)]
            else:
                needs = self._needs_of(real_path, is_member=is_member)
                waiting += [(need, False) for need in needs]

    def _add_members(self, directory: str) -> list[str]:
        """Those that are to be added in full; a link to elsewhere takes no directory along."""
        paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
        for path in paths:
            entry = _entry(path)
            if entry is not None:
                self._entries[path] = entry
        return [path for path in paths if os.path.isfile(path) or not os.path.islink(path)]

    def _add_path(self, path: str) -> str | None:
        """Add `path`, links and directories on the way too; the file or directory it leads to.

        None where that is the root, or a device or the like.
        """
        current, links = "/", 0
        remaining = path.split("/")[::-1]
        while remaining:
            name = remaining.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                current = os.path.dirname(current)
                continue
            current = os.path.join(current, name)
            entry = self._entries.get(current) or _entry(current)
            if entry is None:
                return None
            self._entries[current] = entry
            if entry.kind == "link":
                links += 1
                if links > _LINK_LIMIT:
                    raise HostProgramError(f"{path} has too many symbolic links")
                remaining += entry.link_target.split("/")[::-1]
                start_over = entry.link_target.startswith("/")
                current = "/" if start_over else os.path.dirname(current)
        return None if current == "/" else current

    def _needs_of(self, path: str, *, is_member: bool) -> list[str]:
        elf = read_elf(path)
        if elf is None:
            return [] if is_member else _script_needs(path)
        needs = [self._libraries.find(name, elf, path) for name in elf.needed]
        if elf.interpreter:
            needs.append(elf.interpreter)
        if self._libraries.used_cache:
            needs.append(LOADER_CACHE)
        return needs


class _Libraries:
    """Finds shared libraries as ld.so does, by the same order of places."""

    def __init__(self, cache: Mapping[str, Sequence[str]]) -> None:
        self._cache = cache
        self.used_cache = False  # for a library that ld.so wouldn't find without its cache

    def find(self, name: str, user: Elf, user_path: str) -> str:
        """The path of the library `name` that `user` needs."""
        if "/" in name:
            return name
        origin = os.path.dirname(user_path)
        own = [_expanded(place, origin) for place in user.search_dirs]
        triplet = _TRIPLETS.get(user.kind[2], "")
        system = [f"/lib/{triplet}", f"/usr/lib/{triplet}", *_DEFAULT_LIBRARY_DIRS]
        for path in self._candidates(name, own, system):
            if os.path.isfile(path):
                elf = read_elf(path)
                if elf is not None and elf.kind == user.kind:
                    self.used_cache |= os.path.dirname(path) not in {*own, *system}
                    return path
        raise HostProgramError(
            f"{user_path} needs the library {name}, which this machine doesn't have"
        )

    def _candidates(self, name: str, own: Sequence[str], system: Sequence[str]) -> list[str]:
        return [
            *(os.path.join(directory, name) for directory in own),
            *self._cache.get(name, ()),
            *(os.path.join(directory, name) for directory in system),
        ]


def _expanded(search_dir: str, origin: str) -> str:
    for mark in ("${ORIGIN}", "$ORIGIN"):
        search_dir = search_dir.replace(mark, origin)
    return os.path.normpath(search_dir)


def _script_needs(path: str) -> list[str]:
    """A script's interpreter, and with `env` the program that it looks for."""
    with open(path, "rb") as file:
        first_line = file.read(256).split(b"\n")[0]
    if not first_line.startswith(b"#!"):
        return []
    words = os.fsdecode(first_line[2:]).split()
    if not words:
        return []
    needs = [words[0]]
    arguments = [word for word in words[1:] if not word.startswith("-")]
    if os.path.basename(words[0]) == "env" and arguments:
        needs.append(find_program(arguments[0]))
    return needs


def _entry(path: str) -> HostEntry | None:
    """The path as it is on the host; None for what no image needs: devices, sockets, pipes."""
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        raise HostProgramError(f"this machine has no {path}") from error
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return HostEntry(path, "directory", mode, status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        return HostEntry(path, "link", mode, status.st_mtime_ns, os.readlink(path))
    if stat.S_ISREG(status.st_mode):
        return HostEntry(path, "file", mode, status.st_mtime_ns)
    return None
