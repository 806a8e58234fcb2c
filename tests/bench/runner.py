"""Measure containers beside podman (with crun) in one run and print a Markdown table.

    python tests/bench/runner.py [--n 20] [--containers 20] [--write FILE]

Needs root, podman, crun, skopeo, nsenter. The stores lie on tmpfs: a disk would hide the software.
Both run by turns in a mount and a network namespace of the measurement's own, so that bridges,
rules and mounts are gone with it.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.images import write_busybox_layout  # noqa: E402 - the path is set above
from support.peers import LIMITS, apart, skopeo_copy  # noqa: E402

PYBUILD = str(Path(sys.prefix) / "bin" / "pybuild")
IMAGE = "bench"
FILES = 10_000
MAKE_FILES = f"mkdir /new; i=0; while [ $i -lt {FILES} ]; do echo $i > /new/$i; i=$((i+1)); done"
COMMITS = 3


@dataclass(frozen=True)
class Row:
    """One figure of both; less is better where it is of seconds or of memory."""

    about: str
    unit: str
    theirs: float
    ours: float
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.more_is_better else self.theirs / self.ours


@dataclass(frozen=True)
class Runner:
    """One of the two: how it is called, and what belongs to a container beside its processes."""

    prefix: tuple[str, ...]
    options: tuple[str, ...]  # of `run`

    def call(self, *args: str) -> str:
        done = subprocess.run(
            [*self.prefix, *args],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"{args}: {done.stderr}")
        return done.stdout

    def run(self, *args: str) -> str:
        return self.call("run", *self.options, *args)


@contextmanager
def namespaces() -> Iterator[tuple[str, ...]]:
    """The words that run a command in namespaces which are there as long as the block."""
    with subprocess.Popen(
        ["unshare", "--net", *apart(["sh", "-c", "ip link set lo up; echo ready; exec sleep 1d"])],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        try:
            yield ("nsenter", "--mount", "--net", "-t", str(holder.pid))
        finally:
            holder.send_signal(signal.SIGKILL)


class Bench:
    """The measurements; both runners have the same image."""

    def __init__(self, work: Path, inside: tuple[str, ...], *, repetitions: int) -> None:
        self._work = work
        self._repetitions = repetitions
        self._holder = int(inside[-1])
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed
        packages = [str(REPOSITORY / name) for name in ("builder", "cache")]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)
        os.environ["PYBUILD_ROOT"] = str(work / "pybuild")
        podman = ("podman", "--root", f"{work}/podman", "--runroot", f"{work}/podman-run")
        podman += ("--storage-driver", "overlay", "--cgroup-manager", "cgroupfs")
        self.ours = Runner((*inside, PYBUILD), ())
        self.theirs = Runner((*inside, *podman), LIMITS)
        self._supply_image()

    def _supply_image(self) -> None:
        layout = write_busybox_layout(self._work / "busybox")
        archive = str(self._work / "bench.tar")
        skopeo_copy(f"oci:{layout}:latest", f"docker-archive:{archive}:{IMAGE}:latest")
        for runner in (self.ours, self.theirs):
            runner.call("load", "-q", "-i", archive)

    def rows(self, containers: int) -> list[Row]:
        return [
            self._once("`run --rm --network none IMG true`", 0.045, "--network", "none"),
            self._once("`run --rm IMG true`, on a bridge", 0.08),
            self._exec(),
            self._commit(),
            *self._density(containers),
        ]

    def _by_turns(
        self, measure: Callable[[Runner], float], repetitions: int
    ) -> tuple[float, float]:
        """The medians of theirs and ours; what else the machine does hits both."""
        found = [(measure(self.theirs), measure(self.ours)) for _ in range(repetitions)]
        theirs, ours = zip(*found, strict=True)
        return statistics.median(theirs), statistics.median(ours)

    def _once(self, about: str, goal: float, *options: str) -> Row:
        def measure(runner: Runner) -> float:
            return timed(lambda: runner.run("--rm", *options, IMAGE, "true"))

        return Row(about, "s", *self._by_turns(measure, self._repetitions), goal)

    def _exec(self) -> Row:
        for runner in (self.ours, self.theirs):
            runner.run("-d", "--name", "target", "--network", "none", IMAGE, "sleep", "1000")

        def measure(runner: Runner) -> float:
            return timed(lambda: runner.call("exec", "target", "true"))

        row = Row("`exec CTR true`", "s", *self._by_turns(measure, self._repetitions), 0.04)
        for runner in (self.ours, self.theirs):
            runner.call("rm", "-f", "target")
        return row

    def _commit(self) -> Row:
        for runner in (self.ours, self.theirs):
            runner.run("--name", "changed", "--network", "none", IMAGE, "sh", "-c", MAKE_FILES)

        def measure(runner: Runner) -> float:
            return timed(lambda: runner.call("commit", "changed", "committed"))

        row = Row(f"`commit`, {FILES:,} new files", "s", *self._by_turns(measure, COMMITS))
        for runner in (self.ours, self.theirs):
            runner.call("rm", "changed")
        return row

    def _density(self, containers: int) -> list[Row]:
        theirs, ours = (self._many(runner, containers) for runner in (self.theirs, self.ours))
        return [
            Row(
                f"starts of {containers} detached containers",
                "1/s",
                theirs.starts,
                ours.starts,
                more_is_better=True,
            ),
            Row("memory beside each container's own (PSS)", "MB", theirs.memory_mb, ours.memory_mb),
            Row(f"`ps` with {containers} containers", "s", theirs.ps_s, ours.ps_s),
        ]

    def _processes(self) -> list[int]:
        """Those of the measurement's network namespace: what containers need, not the machine."""
        namespace = network_of(self._holder)
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid in pids if network_of(pid) == namespace]

    def _many(self, runner: Runner, containers: int) -> Density:
        names = [f"many-{number}" for number in range(containers)]
        started = time.perf_counter()
        for name in names:
            runner.run("-d", "--name", name, "--network", "none", IMAGE, "sleep", "1000")
        starts = containers / (time.perf_counter() - started)
        beside = [pid for pid in self._processes() if "sleep 1" not in command_of(pid)[:8]]
        memory_mb = sum(map(proportional_set_mb, beside)) / containers
        ps_s = statistics.median(timed(lambda: runner.call("ps")) for _ in range(5))
        runner.call("rm", "-f", *names)
        return Density(starts, memory_mb, ps_s)


@dataclass(frozen=True)
class Density:
    """Many containers that do nothing."""

    starts: float  # a second
    memory_mb: float  # a container
    ps_s: float


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def network_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def command_of(pid: int) -> str:
    """The words of its command line; "" for the kernel's own threads and what has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    except (OSError, UnicodeDecodeError):
        return ""


def proportional_set_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| | unit | podman | pybuild | better by | goal |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.about} | {row.unit} | {row.theirs:.3f} | {row.ours:.3f} | {row.ratio:.1f} "
            f"| {'' if row.goal is None else row.goal} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


def page(rows: Sequence[Row], containers: int) -> str:
    """docs/explanation/benchmarks-runner.md."""
    versions = [
        subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
        for name in ("podman", "crun")
    ]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    podman, crun = (text.splitlines()[0] for text in versions)
    return f"""\
# Benchmarks of containers

Measured by `python tests/bench/runner.py` on {day}: {os.cpu_count()} cores,
Linux {os.uname().release}, all stores on tmpfs, medians, both by turns in one run, as root, in
namespaces of the measurement's own; peer: {podman} with {crun}. What counts is the ratio
of two figures of one run, since machines differ.

{table(rows)}

Memory is what the {containers} containers need beside the processes that were asked for: pybuild's
monitors, podman's conmon. It is the proportional set size, so that what they share counts once.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=20, help="repetitions of short commands")
    parser.add_argument("--containers", type=int, default=20, help="for density")
    parser.add_argument("--write", type=Path, help="write the page of the documentation there")
    arguments = parser.parse_args()
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=parent) as work,
        namespaces() as inside,
    ):
        bench = Bench(Path(work), inside, repetitions=arguments.n)
        rows = bench.rows(arguments.containers)
    print(table(rows))
    if arguments.write:
        arguments.write.write_text(page(rows, arguments.containers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
