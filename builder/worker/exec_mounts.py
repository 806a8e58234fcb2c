"""What RUN --mount asks for, made ready: entries for the sandbox, and what to undo after."""

from __future__ import annotations

import os
import secrets as randomness
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

from builder.errors import StepFailedError
from builder.graph.model import (
    BindMount,
    CacheMount,
    CopyOp,
    CopySource,
    ExecMount,
    ExecOp,
    InlineFile,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from builder.kernel.mount import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID, mount, unmount
from builder.kernel.paths import open_in_root
from builder.location import Span
from builder.sandbox.api import BindEntry, MountEntry, OverlayEntry, TmpfsEntry
from builder.worker.cache_mounts import CacheDirectories
from builder.worker.source_tree import SourceTree
from cache.filelock import GivenUp
from cache.snapshot.filecopy import copy_node
from cache.statedir import StateDir, remove_tree

SSH_SOCKET_VARIABLE = "SSH_AUTH_SOCK"
CopyOut = Callable[[CopyOp, SourceTree, str, Span | None], None]
"""Write what a COPY takes from a tree into an empty directory."""


class MountMaker:
    """Makes the mounts of one RUN. A `with` block: its end removes what was made for them.

    After use, `entries` are the mounts in order and `env` what they add to the environment.
    """

    def __init__(
        self,
        state: StateDir,
        *,
        trees: Mapping[int, SourceTree],  # by index into the vertex's inputs
        secrets: Mapping[str, bytes],
        agents: Mapping[str, str],
        copy_out: CopyOut,
        span: Span | None,
        given_up: GivenUp = lambda: False,
        may_mount: bool = True,
    ) -> None:
        self._state = state
        self._trees = trees
        self._secrets = secrets
        self._agents = agents
        self._copy_out = copy_out
        self._span = span
        self._stack = ExitStack()
        self._caches = CacheDirectories(state, self._stack, self._fill, given_up)
        self._may_mount = may_mount
        self._memory_dir = ""
        self.entries: list[MountEntry] = []
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make(self, operation: ExecOp) -> None:
        """All that the operation asks for; StepFailedError where something is missing."""
        try:
            self._caches.hold(one for one in operation.mounts if isinstance(one, CacheMount))
            for one in operation.mounts:
                self._make(one)
            for file in operation.inline_files:
                self._inline(file)
        except OSError as error:
            raise StepFailedError(
                f"a mount cannot be made: {error.strerror}", span=self._span
            ) from error

    def _make(self, one: ExecMount) -> None:
        match one:
            case BindMount():
                self._bind(one)
            case CacheMount():
                directory = self._caches.directory(one)
                self.entries.append(BindEntry(directory, one.target, readonly=one.readonly))
            case TmpfsMount(target=target, size_bytes=size_bytes):
                self.entries.append(TmpfsEntry(target, size_bytes))
            case SecretMount():
                self._secret(one)
            case SshMount():
                self._ssh(one)

    def _scratch(self, what: str) -> str:
        directory = self._state.scratch(what)
        self._stack.callback(remove_tree, directory)
        return directory

    def _open(self, root_dir: str, path: str) -> int:
        """An O_PATH descriptor of `path` below `root_dir`, links kept inside; closed at the end."""
        root_fd = os.open(root_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = open_in_root(root_fd, path.lstrip("/") or ".", os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise StepFailedError(
                f'mount source "{path}" : {error.strerror}: not found', span=self._span
            ) from error
        finally:
            os.close(root_fd)
        self._stack.callback(os.close, found)
        return found

    def _bind(self, one: BindMount) -> None:
        tree = self._trees[one.input_index]
        root_dir, path = tree.root_dir, one.source
        if tree.is_context:
            root_dir, path = self._copied_out(tree, one.source), "/"
            if not self._is_directory(tree, one.source):
                path = f"/{os.path.basename(one.source)}"
        source_fd = self._open(root_dir, path)
        source = f"/proc/self/fd/{source_fd}"
        if one.readonly:
            self.entries.append(BindEntry(source, one.target, readonly=True))
        elif stat.S_ISDIR(os.fstat(source_fd).st_mode):
            upper, work = self._scratch("bind"), self._scratch("bind-work")
            _copy_metadata(source, upper)
            self.entries.append(OverlayEntry(os.path.realpath(source), upper, work, one.target))
        else:
            if not stat.S_ISREG(os.fstat(source_fd).st_mode):
                raise StepFailedError(
                    f'"{one.source}" is no file or directory: it cannot be mounted writable',
                    span=self._span,
                    hint="leave rw out",
                )
            own = os.path.join(self._scratch("bind"), "file")
            copy_node(os.path.realpath(source), own, os.fstat(source_fd))
            self.entries.append(BindEntry(own, one.target))

    def _is_directory(self, tree: SourceTree, path: str) -> bool:
        return stat.S_ISDIR(os.fstat(self._open(tree.root_dir, path)).st_mode)

    def _copied_out(self, tree: SourceTree, source: str) -> str:
        """A context's files as a build sees them: root's, without what is ignored."""
        directory = self._scratch("context")
        self._copy_out(_taken(source), tree, directory, self._span)
        return directory

    def _fill(self, one: CacheMount, directory: str) -> None:
        """What a cache directory begins with: its source, where it has one."""
        if one.input_index is not None:
            tree = self._trees[one.input_index]
            if not self._is_directory(tree, one.source):
                raise StepFailedError(
                    f'cache mount source "{one.source}" is not a directory', span=self._span
                )
            self._copy_out(_taken(one.source), tree, directory, self._span)
        self._give(directory, one.uid, one.gid)
        os.chmod(directory, one.mode)

    def _give(self, path: str, uid: int, gid: int) -> None:
        try:
            os.chown(path, uid, gid)
        except OSError as error:
            raise StepFailedError(
                f"a mount cannot belong to {uid}:{gid}: {error.strerror}",
                span=self._span,
                hint="without root, only ids that /etc/subuid and /etc/subgid give can be used",
            ) from error

    def _memory(self) -> str:
        """A directory in memory: secrets never touch the disk. On it where nothing can be mounted.

        There the step's copy of a secret is on it anyway, until the step ends.
        """
        if not self._memory_dir:
            directory = self._scratch("memory")
            if self._may_mount:
                flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
                mount("tmpfs", directory, "tmpfs", flags, "mode=0755,size=64m")
                self._stack.callback(unmount, directory, MNT_DETACH)
            self._memory_dir = directory
        return self._memory_dir

    def _secret(self, one: SecretMount) -> None:
        value = self._secrets.get(one.secret_id)
        if value is None:
            if one.required:
                raise StepFailedError(
                    f"secret {one.secret_id}: not found",
                    span=self._span,
                    hint=f"give it with --secret id={one.secret_id},src=FILE",
                )
            return
        if one.env_name:
            if b"\0" in value:
                raise StepFailedError(
                    f"secret {one.secret_id}: a variable cannot hold its NUL byte",
                    span=self._span,
                    hint="mount it as a file: leave env= out",
                )
            self.env[one.env_name] = os.fsdecode(value)
        if one.target:
            path = self._file(self._memory(), value, one.mode)
            self._give(path, one.uid, one.gid)
            self.entries.append(BindEntry(path, one.target, readonly=True))

    def _file(self, directory: str, content: bytes, mode: int) -> str:
        path = os.path.join(directory, randomness.token_hex(8))
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
        return path

    def _inline(self, file: InlineFile) -> None:
        path = self._file(self._scratch("inline"), os.fsencode(file.content), file.mode)
        self.entries.append(BindEntry(path, file.name, readonly=True))

    def _ssh(self, one: SshMount) -> None:
        agent = self._agents.get(one.ssh_id)
        if agent is None:
            if one.required:
                raise StepFailedError(
                    f"ssh {one.ssh_id}: no agent was forwarded",
                    span=self._span,
                    hint=f"give one with --ssh {one.ssh_id}",
                )
            return
        path = os.path.join(self._memory(), randomness.token_hex(8))
        from builder.worker.agent_proxy import AgentProxy  # noqa: PLC0415 - sockets: few need them

        self._stack.callback(AgentProxy(path, agent).close)
        os.chmod(path, one.mode)
        self._give(path, one.uid, one.gid)
        self.entries.append(BindEntry(path, one.target))
        self.env.setdefault(SSH_SOCKET_VARIABLE, one.target)


def _taken(source: str) -> CopyOp:
    """The COPY that takes what a mount shows of a directory."""
    return CopyOp(
        sources=(CopySource(1, source, honours_ignorefile=True),), inline_files=(), dest="/"
    )


def _copy_metadata(source: str, target: str) -> None:
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
