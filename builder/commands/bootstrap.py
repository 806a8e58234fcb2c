"""Bootstrap: a base image out of this machine's own programs, with nothing from a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from builder.commands.hosttree import HostEntry, HostTree, find_program, has_program
from builder.commands.store_layer import keep_as_image
from builder.engine import Engine
from builder.image.assemble import rfc3339
from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import new_name

DEFAULT_NAME = "host-tools"

COREUTILS = """
    [ arch b2sum base32 base64 basename basenc cat chgrp chmod chown chroot cksum comm cp csplit cut
    date dd df dir dirname du echo env expand expr factor false fmt fold groups head id install join
    link ln ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pr
    printenv printf ptx pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum sha384sum
    sha512sum shred shuf sleep sort split stat stty sum sync tac tail tee test timeout touch tr true
    truncate tsort tty uname unexpand uniq unlink vdir wc whoami yes
"""
OTHER_TOOLS = "grep sed awk find xargs tar gzip"
"""What nearly every Dockerfile uses besides; whichever of both lists the machine has is taken."""

_DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
"""The image's own accounts: the machine's are nobody's business."""

_NAME_SERVICES = ("libnss_files.so.2", "libnss_dns.so.2")
"""Loaded by name, not linked: programs of a glibc before 2.34 need them to read the files above."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class BootstrapRequest:
    """`programs` are names or absolute paths, of directories too."""

    name: str = DEFAULT_NAME
    programs: tuple[str, ...] = ()


def bootstrap(engine: Engine, request: BootstrapRequest) -> StoredImage:
    """Make and tag the image. The same machine gives the same image."""
    name = new_name(request.name)
    tree = collect(request.programs)
    made_at = max((entry.mtime_ns for entry in tree if entry.kind == "file"), default=0) // 10**9
    config = ImageConfig(
        platform=host_platform(),
        config=ContainerConfig(env=(("PATH", _PATH),), cmd=("/bin/sh",)),
        history=(HistoryEntry(created=rfc3339(made_at), created_by="pybuild bootstrap"),),
        created=rfc3339(made_at),
    )
    return keep_as_image(engine, config, name, lambda active: write_tree(tree, active.upperdir))


def collect(programs: Sequence[str]) -> tuple[HostEntry, ...]:
    """The files of a shell, of the tools that the machine has, and of `programs`."""
    tree = HostTree()
    tree.add("/bin/sh")
    for name in (*COREUTILS.split(), *OTHER_TOOLS.split()):
        if has_program(name):
            tree.add(find_program(name))
    for name in programs:
        tree.add(find_program(name))
    for path in _name_services(tree.entries):
        tree.add(path)
    return tree.entries


def _name_services(entries: Sequence[HostEntry]) -> list[str]:
    for entry in entries:
        if os.path.basename(entry.path) == "libc.so.6":
            with open(entry.path, "rb") as file:
                if b"_nss_files_getpwnam_r" in file.read():
                    return []  # has them within
            nearby = (os.path.join(os.path.dirname(entry.path), name) for name in _NAME_SERVICES)
            return [path for path in nearby if os.path.exists(path)]
    return []


def write_tree(entries: Sequence[HostEntry], directory: str) -> None:
    """Write the entries and the image's own files below `directory`, all owned by root.

    Directories have no time of their own: the machine's change with every package.
    """
    own = {f"/{name}": mode for name, mode in _DIRECTORIES.items()}
    tree = {path: HostEntry(path, "directory", mode, 0) for path, mode in own.items()}
    tree |= {entry.path: entry for entry in entries}
    for path in sorted(tree):
        _write_entry(tree[path], directory + path)
    for name, text in _FILES.items():
        path = os.path.join(directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        _finish(path, 0o644, 0)
    for parent, _, _ in os.walk(directory, topdown=False):
        os.utime(parent, ns=(0, 0))


def _write_entry(entry: HostEntry, target: str) -> None:
    match entry.kind:
        case "directory":
            os.mkdir(target)
            _finish(target, entry.mode, 0)
        case "link":
            os.symlink(entry.link_target, target)
            os.chown(target, 0, 0, follow_symlinks=False)
            times = (entry.mtime_ns, entry.mtime_ns)
            os.utime(target, ns=times, follow_symlinks=False)
        case "file":
            shutil.copyfile(entry.path, target)
            _finish(target, entry.mode, entry.mtime_ns)


def _finish(target: str, mode: int, mtime_ns: int) -> None:
    os.chown(target, 0, 0)  # first: it takes setuid bits away
    os.chmod(target, mode)
    os.utime(target, ns=(mtime_ns, mtime_ns))
