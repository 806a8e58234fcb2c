"""A sandbox over a tiny root filesystem, for tests; `sandbox_driver` runs the processes."""

from __future__ import annotations

import atexit
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.images import BUSYBOX
from support.installation import REPOSITORY
from support.needs import scratch_parent
from support.users import Person

DRIVER = Path(__file__).with_name("sandbox_driver.py")
SINGLE_USER = "pybuild-single"
PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:100:101::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:101:\naudio:x:29:app\n"
APPLETS = (
    "cat chmod chown dd echo env false grep hostname id kill ln ls mkdir mknod mount nc ps pwd rm",
    "readlink setsid sh sleep sort stat stty su test touch trap true tty umask unshare wc",
)


@dataclass(frozen=True)
class Ran:
    """How a process ended, or why it did not start."""

    code: int = -1
    signal: int = 0
    output: str = ""
    error: str = ""  # the error's stable code
    message: str = ""
    status: int = 0  # the error's exit status

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Sandbox:
    """The driver, running."""

    def __init__(self, driver: subprocess.Popen, directory: Path, greeting: dict) -> None:
        self.driver = driver
        self.directory = directory
        self.upperdir = directory / "upper"
        self.lowerdir = directory / "lower"
        self.warnings = greeting["warnings"]
        self.one_id = greeting["one_id"]

    def call(self, name: str, *arguments):
        self.driver.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        assert line, "the driver has ended: its error is on this test's stderr"
        return json.loads(line)

    def run(self, *args: str, **spec) -> Ran:
        return Ran(**self.call("run", {"args": args, **spec}))

    def shell(self, script: str, **spec) -> Ran:
        return self.run("sh", "-c", script, **spec)

    def shells(self, scripts: Sequence[str], **spec) -> list[Ran]:
        """All at once."""
        requests = [{"args": ["sh", "-c", script], **spec} for script in scripts]
        return [Ran(**answer) for answer in self.call("run_many", requests)]

    def start(self, script: str, **spec) -> int:
        return self.call("start", {"args": ["sh", "-c", script], **spec})

    def finish(self) -> None:
        """End the driver, and with it the mounts: then the upperdir is as a step leaves it."""
        self.driver.stdin.close()
        self.driver.wait(timeout=30)


def make_rootfs(directory: Path) -> None:
    """A root filesystem of a static busybox and two users; no mount points."""
    for name in ("bin", "etc", "tmp"):
        (directory / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin" / "busybox")
    for applet in " ".join(APPLETS).split():
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc" / "passwd").write_text(PASSWD)
    (directory / "etc" / "group").write_text(GROUP)
    (directory / "tmp").chmod(0o1777)


@contextmanager
def sandbox_of(
    person: Person,
    *,
    change=lambda rootfs: None,
    layer=None,
    overlay: bool = True,
    points: Sequence[tuple[str, bool]] = (),
    around: Sequence[str] = (),
    packages_dir: Path | None = None,
    keys: Sequence[str] = (),
) -> Iterator[Sandbox]:
    """A sandbox run by `person`, `around` being the words before the command that does it.

    `change` may alter the image before it is mounted, `layer` fills a second layer above it.
    Without an overlay the image itself is the tree that is written to. `packages_dir` has the code
    that runs, in place of `packages`; `keys` are names of keys that the driver's session has.
    """
    directory = Path(tempfile.mkdtemp(prefix="pybuild-sandbox-", dir=scratch_parent()))
    try:
        setup = _prepare(person, directory, change, layer, overlay=overlay)
        setup |= {"points": points, "keys": keys}
        with _driven(person, directory, setup, around, packages_dir or packages()) as sandbox:
            yield sandbox
    finally:
        subprocess.run(["rm", "-rf", directory], check=True)


def _prepare(person: Person, directory: Path, change, layer, *, overlay: bool) -> dict:
    make_rootfs(directory / "lower")
    change(directory / "lower")
    for name in ("upper", "work", "second"):
        (directory / name).mkdir()
    if layer:
        layer(directory / "second")
    subprocess.run(["chown", "-hR", f"{person.uid}:{person.gid}", directory], check=True)
    lowerdirs = [directory / "second"] * bool(layer) + [directory / "lower"]
    return {
        "store": str(directory / "store"),
        "lowerdirs": list(map(str, lowerdirs)) if overlay else [],
        "upperdir": str(directory / ("upper" if overlay else "lower")),
        "workdir": str(directory / "work") if overlay else None,
    }


@contextmanager
def _driven(
    person: Person, directory: Path, setup: dict, around: Sequence[str], packages_dir: Path
) -> Iterator[Sandbox]:
    program = f"import sys; sys.path.append({str(packages_dir)!r}); import sandbox_driver"
    with subprocess.Popen(
        [*around, *honest_prefix(person), interpreter(person), "-I", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=person.environment(),
        cwd="/",
    ) as driver:
        driver.stdin.write(json.dumps(setup) + "\n")
        driver.stdin.flush()
        greeting = driver.stdout.readline()
        assert greeting, "the driver did not start: its error is on this test's stderr"
        sandbox = Sandbox(driver, directory, json.loads(greeting))
        try:
            yield sandbox
        finally:
            sandbox.finish()


def honest_prefix(person: Person) -> list[str]:
    """As `Person.prefix`, the last exec by the person too: setpriv's own is with root's rights."""
    return [*person.prefix(), "sh", "-c", 'exec "$@"', "sh"] if person.prefix() else []


@cache
def interpreter(person: Person) -> str:
    """A Python, new enough, that `person` may execute."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        argv = [*honest_prefix(person), path, "-I", "-c", check]
        if subprocess.run(argv, cwd="/", capture_output=True, check=False).returncode == 0:
            return path
    raise AssertionError(f"no Python 3.11 or newer that {person.name} may run")


def packages() -> Path:
    """A copy of the packages that everyone may read, for as long as the tests run."""
    return changed_packages(())


@cache
def changed_packages(changes: tuple[tuple[str, str, str], ...]) -> Path:
    """As `packages`, with changes: (path of a module, what stands there, what is to stand there).

    Each text stands there exactly once, else the test that changes it has become stale.
    """
    directory = Path(tempfile.mkdtemp(prefix="pybuild-packages-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    for name in ("builder", "cache"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, directory / name, ignore=ignored)
    shutil.copy(DRIVER, directory)
    for path, old, new in changes:
        module = directory / path
        text = module.read_text()
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        module.write_text(text.replace(old, new))
    return directory


def person_without_subids() -> Person:
    """A user made for the tests who has one id only."""
    try:
        entry = pwd.getpwnam(SINGLE_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "-m", "-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", SINGLE_USER],
            check=True,
        )
        entry = pwd.getpwnam(SINGLE_USER)
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
