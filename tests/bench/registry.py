"""Measure pull and push beside podman, skopeo and buildah, and write a Markdown table.

    python tests/bench/registry.py [--n 3] [--write FILE] [--check]

Needs root, docker-registry, podman, buildah, skopeo and mmdebstrap. All stores, the registry's too,
lie on tmpfs: a disk would hide the software. Where the kernel groups processes by session, this
one's goes before others, so that a busy machine spoils less.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from support.debian import write_debian_tar  # noqa: E402 - the path is set above
from support.docker_registry import docker_registry  # noqa: E402
from support.peers import apart  # noqa: E402

PYBUILD = str(Path(sys.prefix) / "bin" / "pybuild")
MEMORY_LIMIT_MB = 120
BIG_BYTES = 2 << 30
PUSHED_BYTES = 170 << 20
_PRIORITY = "-15"


@dataclass(frozen=True)
class Row:
    """A measurement and its limit."""

    what: str
    times: dict[str, float]  # seconds by tool
    limit: str
    is_within: bool


class Bench:
    def __init__(self, work: Path, repetitions: int) -> None:
        self._work = work
        self._repetitions = repetitions
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        packages = [str(REPOSITORY / name) for name in ("builder", "cache")]
        subprocess.run([sys.executable, "-m", "compileall", "-q", *packages], check=True)
        self._debian = write_debian_tar(work / "debian.tar")

    def rows(self) -> Iterator[Row]:
        yield self._pull_row()
        yield self._push_row()
        yield self._memory_row()

    def _pull_row(self) -> Row:
        with self._registry() as host:
            image = f"{host}/debian:1"
            self._pybuild("maker", "import", self._debian, image)
            self._pybuild("maker", "push", "-q", image)
            commands = {
                "pybuild": lambda: self._pybuild("pulled", "pull", "-q", image),
                "podman": lambda: self._peer("podman", "pull", "-q", "--tls-verify=false", image),
                "skopeo": lambda: self._skopeo(image),
            }
            times = self._by_turns(commands)
        size = self._debian.stat().st_size >> 20
        return Row(
            f"pull of a Debian of {size} MiB, until it can be run",
            times,
            "half of podman's",
            times["pybuild"] <= 0.5 * times["podman"],
        )

    def _push_row(self) -> Row:
        """The layer is new and was never compressed: whoever pushes does that, too."""
        context = self._work / "context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nADD layer.tar /\n")
        _cut(self._debian, context / "layer.tar", PUSHED_BYTES)
        times: dict[str, list[float]] = {"pybuild": [], "buildah": []}
        for _ in range(self._repetitions):
            for tool, found in times.items():
                with self._registry() as host:
                    found.append(self._pushed(tool, context, f"{host}/new:1"))
        medians = {tool: statistics.median(found) for tool, found in times.items()}
        size = (context / "layer.tar").stat().st_size >> 20
        return Row(
            f"push of a new layer of {size} MiB, compressed on the way",
            medians,
            "0.4 of buildah's",
            medians["pybuild"] <= 0.4 * medians["buildah"],
        )

    def _pushed(self, tool: str, context: Path, image: str) -> float:
        self._clear("pushed", "buildah")
        if tool == "pybuild":
            self._pybuild("pushed", "build", "-q", "-t", image, context)
            return _seconds(lambda: self._pybuild("pushed", "push", "-q", image))
        self._peer("buildah", "bud", "-q", "--isolation=chroot", "-t", image, context)
        return _seconds(lambda: self._peer("buildah", "push", "-q", "--tls-verify=false", image))

    def _memory_row(self) -> Row:
        with self._registry() as host:
            image = f"{host}/big:1"
            layout = _write_big_layout(self._work / "big")
            self._run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false",
                       f"oci:{layout}:latest", f"docker://{image}"])  # fmt: skip
            shutil.rmtree(layout)
            log = self._work / "peak"
            script = Path(__file__).with_name("peak.py")
            argv = [sys.executable, str(script), str(log), PYBUILD, "pull", "-q", image]
            seconds = _seconds(lambda: self._run(argv, PYBUILD_ROOT=str(self._work / "big-store")))
        peak_mb = float(log.read_text())
        return Row(
            f"pull of one layer of {BIG_BYTES >> 30} GiB: {peak_mb:.0f} MB of memory at most",
            {"pybuild": seconds},
            f"{MEMORY_LIMIT_MB} MB",
            peak_mb <= MEMORY_LIMIT_MB,
        )

    def _by_turns(self, commands: dict[str, Callable[[], None]]) -> dict[str, float]:
        times: dict[str, list[float]] = {tool: [] for tool in commands}
        for _ in range(self._repetitions):
            for tool, command in commands.items():
                self._clear("pulled", "podman", "skopeo")
                times[tool].append(_seconds(command))
        return {tool: statistics.median(found) for tool, found in times.items()}

    @contextmanager
    def _registry(self) -> Iterator[str]:
        folder = self._work / "registry"
        with docker_registry(folder) as made:
            yield made.host
        shutil.rmtree(folder)

    def _clear(self, *names: str) -> None:
        for name in names:
            subprocess.run(apart(["rm", "-rf", self._work / name]), check=True)

    def _pybuild(self, store: str, *args: str | Path) -> None:
        self._run([PYBUILD, *map(str, args)], PYBUILD_ROOT=str(self._work / store))

    def _peer(self, tool: str, *args: str | Path) -> None:
        root = self._work / tool
        options = ["--root", root / "root", "--runroot", root / "run"]
        self._run(apart([tool, "--storage-driver", "overlay", *options, *args]))

    def _skopeo(self, image: str) -> None:
        options = ("-q", "--src-tls-verify=false")
        target = f"dir:{self._work / 'skopeo'}"
        self._run(["skopeo", "--insecure-policy", "copy", *options, f"docker://{image}", target])

    def _run(self, argv: Sequence[str], **environment: str) -> None:
        done = subprocess.run(
            argv, check=False, env={**os.environ, **environment}, capture_output=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')}")


def _seconds(command: Callable[[], None]) -> float:
    started = time.perf_counter()
    command()
    return time.perf_counter() - started


def _cut(source: Path, target: Path, size_bytes: int) -> None:
    """The archive's first members, as many as fit."""
    with tarfile.open(source) as whole, tarfile.open(target, "w") as part:
        for member in whole:
            if part.offset + member.size > size_bytes:
                break
            part.addfile(member, whole.extractfile(member) if member.isreg() else None)


def _write_big_layout(layout: Path) -> Path:
    """An OCI layout of one layer of 2 GiB that hardly compresses, written piece by piece."""
    from support.images import write_layout

    write_layout(layout, [b"\0" * 1024])  # the rest is of the same form
    import json

    piece = os.urandom(64 << 20)
    member = tarfile.TarInfo("big")
    member.size = BIG_BYTES
    blobs = layout / "blobs" / "sha256"
    plain = hashlib.sha256()
    aside = blobs / "aside"
    with gzip.GzipFile(aside, "wb", compresslevel=1, mtime=0) as layer:
        for data in (member.tobuf(), *[piece] * (BIG_BYTES // len(piece)), bytes(1024)):
            plain.update(data)
            layer.write(data)

    def put(path: Path) -> dict[str, object]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path.rename(blobs / digest)
        return {"digest": f"sha256:{digest}", "size": (blobs / digest).stat().st_size}

    def changed(entry: dict[str, str], change: Callable[[dict], None]) -> dict[str, object]:
        document = json.loads((blobs / entry["digest"][7:]).read_text())
        change(document)
        (blobs / "aside-document").write_text(json.dumps(document))
        return {**entry, **put(blobs / "aside-document")}

    layer_entry = put(aside)
    index = json.loads((layout / "index.json").read_text())

    def change_config(config: dict) -> None:
        config["rootfs"]["diff_ids"] = [f"sha256:{plain.hexdigest()}"]

    def change_manifest(manifest: dict) -> None:
        manifest["layers"] = [manifest["layers"][0] | layer_entry]
        manifest["config"] = changed(manifest["config"], change_config)

    index["manifests"] = [changed(index["manifests"][0], change_manifest)]
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def table(rows: Sequence[Row]) -> str:
    tools = ("pybuild", "podman", "buildah", "skopeo")
    lines = [
        f"| what | {' | '.join(f'{tool}, s' for tool in tools)} | limit | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row.times[tool]:.2f}" if tool in row.times else "" for tool in tools]
        verdict = "" if row.is_within else "over"
        lines.append(f"| {row.what} | {' | '.join(cells)} | {row.limit} | {verdict} |")
    return "\n".join(lines)


def page(rows: Sequence[Row]) -> str:
    date = time.strftime("%Y-%m-%d")
    versions = ", ".join(
        subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
        .stdout.strip()
        .partition(" (")[0]
        for tool in ("podman", "buildah", "skopeo")
    )
    return f"""\
# Benchmarks of pull and push

Measured by `python tests/bench/registry.py --write` on {date}: {os.cpu_count()} cores, Linux
{os.uname().release}, Debian's docker-registry on loopback, all stores on tmpfs, medians, the tools
by turns in one run, as root, each into an empty store. {versions}.

{table(rows)}

"Until it can be run": pybuild and podman unpack into their stores, skopeo only copies the blobs to
a directory. "At most" is the proportional set size of all of pybuild's processes together. What
counts is the ratio of two figures of one run, since machines differ.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=3, help="repetitions")
    parser.add_argument("--write", type=Path, nargs="?", help="write a page there",
                        const=REPOSITORY / "docs/explanation/benchmarks-registry.md")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="fail where a limit is passed")
    options = parser.parse_args()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(_PRIORITY)
    work = Path(tempfile.mkdtemp(prefix="pybuild-bench-", dir="/dev/shm"))
    try:
        rows = list(Bench(work, options.n).rows())
    finally:
        subprocess.run(apart(["rm", "-rf", work]), check=True)
    print(table(rows))
    if options.write:
        options.write.write_text(page(rows))
    return int(options.check and not all(row.is_within for row in rows))


if __name__ == "__main__":
    sys.exit(main())
