"""RUN --mount: from what is asked for to mounts of a step and the inputs that they take from."""

from __future__ import annotations

import posixpath

from builder.frontend.goformat import quoted
from builder.frontend.inputs import source_vertex
from builder.frontend.instructions import Run
from builder.frontend.mounts import MountRequest, read_mount
from builder.frontend.paths import absolute
from builder.frontend.problems import WordProblemError
from builder.frontend.stagestate import StageState
from builder.graph.model import (
    BindMount,
    CacheMount,
    ExecMount,
    SecretMount,
    SshMount,
    TmpfsMount,
    VertexId,
)

_SECRETS_DIR = "/run/secrets"
_AGENT_SOCKET = "/run/buildkit/ssh_agent"


class MountInputs:
    """The mounts of one RUN; reading them collects the inputs after the root filesystem."""

    def __init__(self, state: StageState) -> None:
        self.vertices: list[VertexId] = []
        self._state = state
        self._agents = 0

    def read_all(self, run: Run) -> tuple[ExecMount, ...]:
        return tuple(self._read(run, value) for value in run.mounts)

    def _read(self, run: Run, value: str) -> ExecMount:
        request = read_mount(value, lambda word: self._state.expand(word, run.origin))
        match request.type:
            case "bind":
                return self._bind(request)
            case "cache":
                return self._cache(request)
            case "tmpfs":
                return TmpfsMount(self._target(request), request.size_bytes)
            case "secret":
                return self._secret(request)
            case "ssh":
                return self._ssh(request)

    def _target(self, request: MountRequest) -> str:
        target = absolute(request.target, self._state.workdir)
        if target == "/":
            raise WordProblemError(
                f"invalid mount target {quoted(target)}",
                word="--mount",
                hint="give the mount a target= other than the root",
            )
        return target

    def _input(self, from_name: str) -> int:
        """The number of the input that `from` names; the build context for ""."""
        vertex, _ = source_vertex(self._state, from_name)
        if vertex not in self.vertices:
            self.vertices.append(vertex)
        return self.vertices.index(vertex) + 1

    def _bind(self, request: MountRequest) -> BindMount:
        return BindMount(
            input_index=self._input(request.from_name),
            source=absolute(request.source, "/"),
            target=self._target(request),
            readonly=request.readonly is not False,
        )

    def _cache(self, request: MountRequest) -> CacheMount:
        """The target is the cache's identity where no id is given, as written."""
        namespace = self._state.planning.settings.cache_namespace
        cache_id = request.mount_id or posixpath.normpath(request.target)
        return CacheMount(
            cache_id=f"{namespace}/{cache_id}" if namespace else cache_id,
            input_index=self._input(request.from_name) if request.from_name else None,
            source=absolute(request.source, "/"),
            target=self._target(request),
            readonly=request.readonly is True,
            sharing=request.sharing or "shared",
            mode=0o755 if request.mode is None else request.mode,
            uid=request.uid or 0,
            gid=request.gid or 0,
        )

    def _secret(self, request: MountRequest) -> SecretMount:
        secret_id = request.source or request.mount_id or posixpath.basename(request.target)
        target = self._target(request) if request.target else ""
        if not target and request.env_name is None:
            target = f"{_SECRETS_DIR}/{posixpath.basename(secret_id)}"
        env_name = "" if request.env_name is None else request.env_name or secret_id
        return SecretMount(
            secret_id=secret_id,
            target=target,
            env_name=env_name,
            required=request.required,
            mode=0o400 if request.mode is None else request.mode,
            uid=request.uid or 0,
            gid=request.gid or 0,
        )

    def _ssh(self, request: MountRequest) -> SshMount:
        target = self._target(request) if request.target else f"{_AGENT_SOCKET}.{self._agents}"
        self._agents += 1
        return SshMount(
            ssh_id=request.mount_id or "default",
            target=target,
            required=request.required,
            mode=0o600 if request.mode is None else request.mode,
            uid=request.uid or 0,
            gid=request.gid or 0,
        )
