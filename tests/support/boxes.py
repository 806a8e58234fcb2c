"""An image to run containers of: busybox, a few users, and files to change."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.images import Entry, busybox_root, directory, layer_tar, symlink
from support.pybuild import Pybuild, pybuild_of
from support.users import Person

FILES = {
    "data": directory(0o750),
    "data/file": Entry(b"from the image\n", 0o640, uid=1000, gid=1000),
    "data/sub": directory(),
    "data/sub/link": symlink("../file"),
    "etc/keep": Entry(b"kept\n"),
    "etc/gone": Entry(b"gone\n"),
    "tree": directory(),
    "tree/leaf": Entry(b"leaf\n"),
    "plain.txt": Entry(b"not a program\n"),
    "broken": Entry(b"\x7fELF nothing", 0o755),
}


@contextmanager
def box_of(person: Person) -> Iterator[Pybuild]:
    """A `Pybuild` whose store has the images `box` and `volumes`, which declares /data one."""
    with pybuild_of(person) as pybuild:
        fill_box(pybuild)
        yield pybuild


def fill_box(pybuild: Pybuild) -> None:
    """Make the images."""
    tar = pybuild.folder / "box.tar"
    tar.write_bytes(layer_tar(busybox_root() | FILES))
    changes = ("ENV PATH=/bin", "ENV FROM_IMAGE=yes", 'CMD ["echo", "the default"]')
    options = [word for change in changes for word in ("-c", change)]
    pybuild("import", tar, "box", *options).ok()
    pybuild("import", tar, "volumes", *options, "-c", "VOLUME /data /fresh").ok()


@contextmanager
def running(
    pybuild: Pybuild, *args: str, until: bytes = b"ready\n", **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """`pybuild run ARGS` from when it has printed `until`; ended with the block."""
    process = pybuild.start("run", *args, **options)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line == until, (line, process.stderr and process.stderr.read())
        yield process
    finally:
        if process.poll() is None:
            end_all(pybuild)
            process.kill()
        process.communicate()


def end_all(pybuild: Pybuild, *, every: bool = False) -> None:
    """Remove the containers that run, or `every` one."""
    which = "-aq" if every else "-q"
    for container_id in pybuild("ps", which, "--no-trunc").ok().stdout.split():
        pybuild("rm", "-f", container_id).ok()


def wait_until(condition: Callable[[], bool], what: str = "", timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"
