"""`pybuild` as one person uses it, in a folder and with a store of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from support.commands import TIMEOUT_S, Finished, pybuild_argv, pybuild_environment, run_pybuild
from support.images import write_busybox_layout
from support.leaks import unfinished_in
from support.needs import scratch_parent
from support.users import Person, as_namespace_root


class Pybuild:
    """Calls the console script as `user`; everything it writes lies below `folder`."""

    def __init__(self, user: Person, folder: Path) -> None:
        self.user = user
        self.folder = folder
        self.root = folder / "store"
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        self.give(folder)

    @property
    def is_rootless(self) -> bool:
        return not self.user.is_root

    def __call__(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | bytes | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Finished:
        """Run `pybuild ARGS` to its end."""
        return run_pybuild(
            args,
            user=self.user,
            root=self.root,
            env=env,
            cwd=cwd or self.folder,
            stdin=stdin,
            tmp=self.tmp,
            timeout_s=timeout_s,
        )

    def start(
        self, *args: str | Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start `pybuild ARGS`; the caller waits for it."""
        environment = pybuild_environment(user=self.user, root=self.root, tmp=self.tmp)
        channels: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            pybuild_argv(args, user=self.user),
            env=environment | dict(env or {}),
            cwd=self.folder,
            **(channels | options),
        )

    def build(self, context: Path, *args: str | Path, **options: Any) -> Finished:
        """Build `context` with FROM base as the busybox image; raises where that fails."""
        base = f"base=oci-layout://{self.busybox()}:latest"
        return self("build", "--build-context", base, *args, context, **options).ok()

    def busybox(self) -> Path:
        """The OCI layout of a busybox image."""
        layout = self.folder / "busybox"
        return layout if layout.exists() else write_busybox_layout(layout)

    def context(self, files: Mapping[str, str | bytes], name: str = "context") -> Path:
        """A build context that the user owns. A name that ends in .sh is executable."""
        context = self.folder / name
        context.mkdir(exist_ok=True)
        for relative, content in files.items():
            path = context / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if relative.endswith(".sh") else 0o644)
        return self.give(context)

    def give(self, path: Path) -> Path:
        """Make the user the owner of `path` and all below it."""
        if os.geteuid() == 0 and self.is_rootless:
            for each in (path, *path.rglob("*")):
                os.lchown(each, self.user.uid, self.user.gid)
        return path

    def inspect(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("inspect", name).ok().stdout)
        return found[0]

    def image_id(self, name: str) -> str:
        return str(self.inspect(name)["Id"])

    def leftovers(self) -> list[str]:
        """Locks and unfinished files, which there are none of while nothing runs."""
        return [*unfinished_in(self.root), *map(str, self.tmp.iterdir())]


_Made = TypeVar("_Made", bound=Pybuild)


@contextmanager
def pybuild_of(
    user: Person,
    made: Callable[[Person, Path], _Made] = Pybuild,  # type: ignore[assignment] # mypy/3737
) -> Iterator[_Made]:
    """A `Pybuild` whose folder is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="pybuild-test-", dir=scratch_parent()))
    folder.chmod(0o755)
    try:
        yield made(user, folder)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a tree whose files may be of the user's subordinate ids."""
    if os.geteuid() != 0:
        argv: Sequence[str] = [*as_namespace_root(), "rm", "-rf", "--", str(folder)]
        subprocess.run(argv, check=True, capture_output=True)
    else:
        shutil.rmtree(folder)
