"""Other people's tools, run so that they work in most places."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.commands import Finished, run
from support.trees import Node, tree_of_directory
from support.users import Person, current_person

HYBRID_CGROUP = Path("/sys/fs/cgroup/unified")
LIMITS = ("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096")


def apart(argv: Sequence[str | Path]) -> list[str]:
    """`argv` in a mount namespace of its own: podman and buildah leave mounts behind.

    podman and crun refuse a cgroup2 tree beside cgroup v1's, so it is hidden from them.
    """
    words = ["unshare", "--mount"]
    if HYBRID_CGROUP.is_dir():
        words += ["sh", "-c", f'umount {HYBRID_CGROUP}; exec "$@"', "sh"]
    return [*words, *map(str, argv)]


def skopeo_inspect(reference: str) -> dict[str, Any]:
    """What skopeo says of a reference such as oci-archive:FILE."""
    found: dict[str, Any] = json.loads(run(["skopeo", "inspect", reference]).ok().stdout)
    return found


def skopeo_copy(source: str, target: str) -> None:
    run(["skopeo", "copy", "--insecure-policy", "--quiet", source, target]).ok()


def layout_of(archive: Path, layout: Path) -> Path:
    """The OCI layout in `layout`, tagged latest, of an OCI archive's or docker archive's image."""
    with_index = run(["tar", "-xOf", archive, "./oci-layout"]).status == 0
    with_index = with_index or run(["tar", "-xOf", archive, "oci-layout"]).status == 0
    skopeo_copy(f"{'oci' if with_index else 'docker'}-archive:{archive}", f"oci:{layout}:latest")
    return layout


class Bundle:
    """A runtime bundle that umoci unpacked."""

    def __init__(self, layout: Path, bundle: Path) -> None:
        run(["umoci", "unpack", "--image", f"{layout}:latest", bundle]).ok()
        self.path = bundle
        self._config = json.loads((bundle / "config.json").read_text())

    def tree(self) -> dict[str, Node]:
        return tree_of_directory(self.path / "rootfs")

    def run_with(self, runtime: str, args: Sequence[str] = ()) -> Finished:
        """Run the image's own command, or `args`, by runc or crun."""
        process = self._config["process"] | {"terminal": False}
        process.pop("rlimits", None)  # raising one needs a capability that containers lack
        if args:
            process["args"] = list(args)
        (self.path / "config.json").write_text(json.dumps(self._config | {"process": process}))
        name = f"pybuild-peer-{self.path.parent.name}"
        state = ["--root", str(self.path.parent / f"{runtime}-state")]
        argv = [runtime, *state, "run", "--bundle", str(self.path), name]
        return run(apart(argv) if runtime == "crun" else argv)


class Podman:
    """podman with a store of its own in `folder`, as `user`."""

    def __init__(self, folder: Path, user: Person | None = None) -> None:
        self._folder = folder
        self._user = user or current_person()
        self._options = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
        self._options += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]

    def __call__(self, *args: str | Path) -> Finished:
        return run(self.argv(*args), env=self.environment())

    def argv(self, *args: str | Path) -> list[str]:
        return apart([*self._user.prefix(), "podman", *self._options, *args])

    def environment(self) -> dict[str, str]:
        """An ordinary user's podman keeps its process that holds the namespace in `folder`."""
        own = {"XDG_RUNTIME_DIR": str(self._folder), "HOME": str(self._folder)}
        return self._user.environment() | ({} if self._user.is_root else own)

    def run(self, image: str, *args: str) -> Finished:
        return self("run", *LIMITS, "--rm", "--network", "none", image, *args)

    def end(self) -> None:
        """End the process that holds an ordinary user's namespace."""
        for path in self._folder.rglob("pause.pid"):
            os.kill(int(path.read_text()), signal.SIGKILL)


class Buildah:
    """buildah with a store of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._options = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
        self._options += ["--storage-driver", "overlay"]

    def __call__(self, *args: str | Path) -> Finished:
        return run(apart(["buildah", *self._options, *args]))
