"""What a test needs of the machine, each need probed by trying it.

`@pytest.mark.needs("skopeo", "subids")` on a test; where one is lacking the test is skipped and
says why, but fails where CI promised it (CI=true).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from support.users import Person, current_person, ordinary_person

OVERLAY = 'mkdir l u w m && mount -t overlay -o "$1" overlay m && touch m/x && rm m/x && umount m'
OVERLAY_DIRS = "lowerdir=l,upperdir=u,workdir=w"


def promised() -> bool:
    return os.environ.get("CI") == "true"


@cache
def lacking(need: str) -> str:
    """Why this machine can't give `need`; "" where it can. A need without a probe is a program."""
    probe = PROBES.get(need)
    if probe is not None:
        return probe()
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return "" if shutil.which(need, path=path) else f"{need} is not installed"


def _fails(argv: list[str], what: str, *, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=120, cwd=cwd
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{what}: {error}"
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{what}: {said[-1] if said else f'status {done.returncode}'}"


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _namespaces() -> str:
    """Root's: a mount namespace of its own and an overlay in it."""
    return _root() or _overlay(current_person(), ["unshare", "--mount", "--pid", "--fork"], "")


def _subids() -> str:
    """An ordinary user's: subordinate ids, and an overlay in a user namespace over them."""
    person = ordinary_person()
    unshare = ["unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--pid", "--fork"]
    return _overlay(person, unshare, ",userxattr")


def _overlay(person: Person, unshare: list[str], options: str) -> str:
    with tempfile.TemporaryDirectory(prefix="pybuild-probe-", dir=scratch_parent()) as probe_dir:
        os.chown(probe_dir, person.uid, person.gid)
        argv = [*person.prefix(), *unshare, "sh", "-ec", OVERLAY, "sh", OVERLAY_DIRS + options]
        return _fails(argv, f"{person.name} cannot mount an overlay", cwd=probe_dir)


def _busybox() -> str:
    return _fails(["/bin/busybox", "true"], "busybox-static is not installed")


def _debian_mirror() -> str:
    """Debian's archive, by this machine's own apt; asked once, for one small file."""
    command = "apt-get download -qq hostname"
    with tempfile.TemporaryDirectory(prefix="pybuild-probe-") as probe_dir:
        Path(probe_dir).chmod(0o777)
        return _fails(["sh", "-c", command], "Debian's packages can't be had", cwd=probe_dir)


def _shared() -> str:
    return "" if shared_dir() else "no conformance cases: set PYBUILD_SHARED to their folder"


PROBES: dict[str, Callable[[], str]] = {
    "busybox": _busybox,
    "debian": _debian_mirror,
    "namespaces": _namespaces,
    "root": _root,
    "shared": _shared,
    "subids": _subids,
}


def scratch_parent() -> str:
    """Where the tests' stores are made: PYBUILD_TEST_DIR, else where temporary files go."""
    return os.environ.get("PYBUILD_TEST_DIR") or tempfile.gettempdir()


def shared_dir() -> Path | None:
    """The folder with conformance/ and bench/: PYBUILD_SHARED, else ../shared beside the clone."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("PYBUILD_SHARED") or beside)
    return path if (path / "conformance" / "run.py").is_file() else None
