"""Measure pybuild beside its peers in one run and print a Markdown table with the budgets.

    python tests/bench/run.py [--only W1,W5] [--n 3] [--write FILE] [--check]

Needs root, buildah, podman, skopeo, mmdebstrap, and the workloads in bench/peers.py of the shared
folder (PYBUILD_SHARED, else ../shared). The stores lie on tmpfs: a disk would hide the software.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.debian import write_debian_tar  # noqa: E402 - the path is set above
from support.images import write_busybox_layout  # noqa: E402
from support.needs import shared_dir  # noqa: E402
from support.peers import LIMITS, apart, skopeo_copy  # noqa: E402

PYBUILD = str(Path(sys.prefix) / "bin" / "pybuild")
BUILDAH = "/usr/bin/buildah"
MEMORY_LIMIT_MB = 120
REPETITIONS = 20  # of what takes milliseconds


@dataclass(frozen=True)
class Budget:
    """Seconds: what was set out for, and what has to hold from the first step on."""

    about: str
    goal_s: float
    first_s: float


BUDGETS = {
    "W1": Budget("all cached, 12 steps, 2,000 files", 0.06, 0.12),
    "W2": Budget("20 times RUN true", 0.30, 0.6),
    "W3": Budget("COPY 20,000 files (111 MB)", 0.9, 1.8),
    "W4": Budget("COPY 1 GiB", 1.2, 2.5),
    "W5": Budget("four stages that sleep 1 s", 1.08, 1.2),
    "W6": Budget("layer of a Debian's /usr to an OCI tar, gzip", 1.0, 1.8),
    "W7": Budget("the same, zstd", 0.9, 1.6),
    "W8": Budget("one of 20,000 files changed", 0.5, 1.5),
    "W9": Budget("RUN that touches and removes thousands of files", 0.9, 1.8),
    "run": Budget("`run --rm --network none IMG true`", 0.045, 0.09),
    "version": Budget("`pybuild --version`", 0.06, 0.06),
}


@dataclass(frozen=True)
class Row:
    """One workload's medians."""

    name: str
    peer: str
    peer_s: float
    pybuild_s: float
    peak_mb: float  # NaN where it wasn't measured

    @property
    def within(self) -> bool:
        fast = self.pybuild_s <= BUDGETS[self.name].first_s
        return fast and (math.isnan(self.peak_mb) or self.peak_mb <= MEMORY_LIMIT_MB)


class Bench:
    """The measurements, over stores in `work`."""

    def __init__(self, work: Path, *, only: Sequence[str], repetitions: int) -> None:
        self._work = work
        self._only = only
        self._repetitions = repetitions
        # As installed: a machine that keeps no bytecode would compile the program at each start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        packages = [str(REPOSITORY / name) for name in ("builder", "cache")]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)
        os.environ["PYBUILD_ROOT"] = str(work / "pybuild")

    def rows(self) -> list[Row]:
        names = [name for name in BUDGETS if not self._only or name in self._only]
        workloads = [name for name in names if name.startswith("W")]
        found = self._workload_rows(workloads) if workloads else []
        single = {"run": self._run_row, "version": self._version_row}
        return found + [measure() for name, measure in single.items() if name in names]

    def _workload_rows(self, names: Sequence[str]) -> list[Row]:
        write_debian_tar(self._work / "debian.tar")
        timed = self._peers(names, self._repetitions, f"buildah={BUILDAH}", f"pybuild={PYBUILD}")
        peaks = self._peaks(names)
        return [
            Row(
                name,
                "buildah",
                _median(timed[name]["buildah"]),
                _median(timed[name]["pybuild"]),
                peaks[name],
            )
            for name in names
        ]

    def _peers(
        self, names: Sequence[str], repetitions: int, *builders: str
    ) -> dict[str, dict[str, list[tuple[float, float]]]]:
        """Workload → builder → (seconds, MB) of each repetition."""
        shared = shared_dir()
        assert shared, "no bench/peers.py: set PYBUILD_SHARED to its folder"
        report = self._work / "report.json"
        argv = [sys.executable, str(shared / "bench" / "peers.py"), "--work", str(self._work)]
        argv += ["--only", ",".join(names), "--n", str(repetitions), "--json", str(report)]
        subprocess.run(apart([*argv, *builders]), check=True, stdout=sys.stderr)
        results = json.loads(report.read_text())
        return {workload.partition("-")[0]: found for workload, found in results.items()}

    def _peaks(self, names: Sequence[str]) -> dict[str, float]:
        """Workload → the most memory that all of pybuild's processes had together."""
        script = Path(__file__).with_name("peak.py")
        peaks = {}
        for name in names:
            log = self._work / f"peak-{name}"
            wrapper = self._work / f"pybuild-{name}"
            wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {script} {log} {PYBUILD} "$@"\n')
            wrapper.chmod(0o755)
            self._peers([name], 1, f"pybuild={wrapper}")
            peaks[name] = max(map(float, log.read_text().split()))
        return peaks

    def _run_row(self) -> Row:
        layout = write_busybox_layout(self._work / "busybox")
        context = self._work / "run"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM base\n")
        base = f"base=oci-layout://{layout}:latest"
        build = [PYBUILD, "build", "-q", "-t", "bench", "--build-context", base, str(context)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        archive = self._work / "bench.tar"
        skopeo_copy(f"oci:{layout}:latest", f"docker-archive:{archive}:bench:latest")
        podman = [
            "podman",
            "--root",
            f"{self._work}/podman",
            "--runroot",
            f"{self._work}/podman-run",
        ]
        podman += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]
        load = apart([*podman, "load", "-q", "-i", str(archive)])
        subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
        ours = [PYBUILD, "run", "--rm", "--network", "none", "bench", "true"]
        theirs = [*podman, "run", *LIMITS, "--rm", "--network", "none", "bench", "true"]
        return Row("run", "podman", _timed(apart(theirs)), _timed(ours), math.nan)

    def _version_row(self) -> Row:
        return Row(
            "version",
            "buildah",
            _timed([BUILDAH, "--version"]),
            _timed([PYBUILD, "--version"]),
            math.nan,
        )


def _median(measured: Sequence[Sequence[float]]) -> float:
    return statistics.median(seconds for seconds, _ in measured)


def _timed(argv: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> float:
    """The median duration of a short command."""
    durations = []
    for _ in range(REPETITIONS):
        started = clock()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        durations.append(clock() - started)
    return statistics.median(durations)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| | workload | peer | its s | pybuild s | faster | goal s | first step s | peak MB | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        budget = BUDGETS[row.name]
        peak = "" if math.isnan(row.peak_mb) else f"{row.peak_mb:.0f}"
        lines.append(
            f"| {row.name} | {budget.about} | {row.peer} | {row.peer_s:.3f} | {row.pybuild_s:.3f} "
            f"| {row.peer_s / row.pybuild_s:.1f} | {budget.goal_s} | {budget.first_s} | {peak} "
            f"| {'' if row.within else 'over'} |"
        )
    return "\n".join(lines)


def page(rows: Sequence[Row]) -> str:
    """docs/explanation/benchmarks.md."""
    version = subprocess.run([BUILDAH, "--version"], capture_output=True, text=True, check=True)
    return f"""\
# Benchmarks

Measured by `make bench` on {time.strftime("%Y-%m-%d", time.gmtime())}: {os.cpu_count()} cores,
Linux {os.uname().release}, all stores on tmpfs, medians, the builders by turns in one run, as root;
peer: {version.stdout.strip()}. Each build runs without its cache, but for W1 and W8, which
measure it. What counts is the ratio of two figures of one run, since machines differ.

"Peak MB" is the most memory that all of pybuild's processes had together (proportional set size);
at most {MEMORY_LIMIT_MB} is allowed. "First step" is the limit that holds now, "goal" is where it
should go.

{table(rows)}
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help=f"some of {','.join(BUDGETS)}")
    parser.add_argument("--n", type=int, default=3, help="repetitions of a workload")
    parser.add_argument("--write", type=Path, help="write the page of the documentation there")
    parser.add_argument("--check", action="store_true", help="fail where a budget is exceeded")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    only = [name for name in arguments.only.split(",") if name]
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=parent) as work:
        bench = Bench(Path(work), only=only, repetitions=arguments.n)
        rows = bench.rows()
    print(table(rows))
    if arguments.write:
        arguments.write.write_text(page(rows))
    return 1 if arguments.check and not all(row.within for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
