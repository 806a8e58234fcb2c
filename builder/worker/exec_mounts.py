"""What RUN --mount asks for, made ready: entries for the sandbox, and what to undo after."""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets as randomness
import shutil
import socket
import stat
import threading
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
from builder.worker.source_tree import SourceTree
from cache.statedir import StateDir

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
    ) -> None:
        self._state = state
        self._trees = trees
        self._secrets = secrets
        self._agents = agents
        self._copy_out = copy_out
        self._span = span
        self._stack = ExitStack()
        self._memory_dir = ""
        self.entries: list[MountEntry] = []
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make(self, operation: ExecOp) -> None:
        """All that the operation asks for; StepFailedError where something is missing."""
        for one in operation.mounts:
            self._make(one)
        for file in operation.inline_files:
            self._inline(file)

    def _make(self, one: ExecMount) -> None:
        match one:
            case BindMount():
                self._bind(one)
            case CacheMount():
                self._cache(one)
            case TmpfsMount(target=target, size_bytes=size_bytes):
                self.entries.append(TmpfsEntry(target, size_bytes))
            case SecretMount():
                self._secret(one)
            case SshMount():
                self._ssh(one)

    def _scratch(self, what: str) -> str:
        directory = self._state.scratch(what)
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
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
            own = os.path.join(self._scratch("bind"), "file")
            shutil.copyfile(source, own)
            _copy_metadata(source, own)
            self.entries.append(BindEntry(own, one.target))

    def _is_directory(self, tree: SourceTree, path: str) -> bool:
        return stat.S_ISDIR(os.fstat(self._open(tree.root_dir, path)).st_mode)

    def _copied_out(self, tree: SourceTree, source: str) -> str:
        """A context's files as a build sees them: root's, without what is ignored."""
        directory = self._scratch("context")
        operation = CopyOp(
            sources=(CopySource(1, source, honours_ignorefile=True),), inline_files=(), dest="/"
        )
        self._copy_out(operation, tree, directory, self._span)
        return directory

    def _cache(self, one: CacheMount) -> None:
        directory = self._state.cache_mount(one.cache_id)
        if one.sharing == "private":
            directory = self._private(directory)
        else:
            self._hold(directory, exclusive=one.sharing == "locked")
        if not os.path.isdir(directory):
            self._fill(one, directory)
        self.entries.append(BindEntry(directory, one.target, readonly=one.readonly))

    def _hold(self, directory: str, *, exclusive: bool, wait: bool = True) -> None:
        """Lock a cache directory for this RUN; BlockingIOError where others have it."""
        lock_fd = os.open(f"{directory}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._stack.callback(os.close, lock_fd)
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        fcntl.flock(lock_fd, how if wait else how | fcntl.LOCK_NB)

    def _private(self, directory: str) -> str:
        """The first of a row of directories that nobody has; now it is this RUN's."""
        for number in itertools.count():
            candidate = directory if not number else f"{directory}-{number}"
            try:
                self._hold(candidate, exclusive=True, wait=False)
            except BlockingIOError:
                continue
            return candidate
        raise AssertionError

    def _fill(self, one: CacheMount, directory: str) -> None:
        """Make the cache directory, from its source where it has one; whole or not at all."""
        aside = f"{directory}.{randomness.token_hex(6)}"
        os.mkdir(aside, 0o700)
        if one.input_index is not None:
            tree = self._trees[one.input_index]
            source_fd = self._open(tree.root_dir, one.source)
            shutil.copytree(
                f"/proc/self/fd/{source_fd}/.", aside, symlinks=True, dirs_exist_ok=True
            )
        os.chown(aside, one.uid, one.gid)
        os.chmod(aside, one.mode)
        try:
            os.rename(aside, directory)
        except OSError:  # another build was first
            shutil.rmtree(aside)

    def _memory(self) -> str:
        """A directory in memory: secrets never touch the disk."""
        if not self._memory_dir:
            directory = self._scratch("memory")
            mount(
                "tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64m"
            )
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
            self.env[one.env_name] = os.fsdecode(value)
        if one.target:
            path = self._file(self._memory(), value, one.mode)
            os.chown(path, one.uid, one.gid)
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
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stack.callback(listener.close)
        listener.bind(path)
        os.chmod(path, one.mode)
        os.chown(path, one.uid, one.gid)
        listener.listen(8)
        threading.Thread(target=_serve_agent, args=(listener, agent), daemon=True).start()
        self.entries.append(BindEntry(path, one.target))
        self.env.setdefault(SSH_SOCKET_VARIABLE, one.target)


def _copy_metadata(source: str, target: str) -> None:
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))


def _serve_agent(listener: socket.socket, agent_path: str) -> None:
    """Pass each connection on to the agent, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            agent.connect(agent_path)
        except OSError:
            client.close()
            agent.close()
            continue
        for source, target in ((client, agent), (agent, client)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                end.close()
