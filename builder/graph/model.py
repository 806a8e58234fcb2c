"""The build graph: what is to be done, as frozen data that means the same on every machine.

A vertex names its inputs by id, and its id is a digest over its operation and those ids, so equal
steps of two stages are one vertex. Files of a context enter by name only; their digests join in
`solver.keys`. Paths inside a root filesystem are absolute, normalised, with "/" as separator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NewType

from builder.location import Span
from cache.digest import Digest
from cache.record import record

VertexId = NewType("VertexId", str)
Pairs = tuple[tuple[str, str], ...]
Sharing = Literal["shared", "private", "locked"]
NetworkMode = Literal["default", "host", "none"]
SecurityMode = Literal["sandbox", "insecure"]


@record
class ImageOp:
    """The root filesystem of an image that the store holds; no layers: FROM scratch. No inputs."""

    reference: str  # for people: as the Dockerfile has it
    diff_ids: tuple[Digest, ...]


@record
class ContextOp:
    """A directory that the user named; which of its files matter is the business of who reads it.

    `name` is "context" for the build context, else that of `--build-context`. No inputs.
    """

    name: str


@record
class HttpOp:
    """One file from a URL. No inputs. The result is a directory that holds `filename` alone."""

    url: str
    filename: str
    checksum: str  # "sha256:..." or ""


@record
class GitOp:
    """A directory of a Git repository at a commit. No inputs."""

    url: str  # without the fragment
    ref: str  # branch, tag, commit or ""
    subdir: str  # "" for the whole tree
    keep_git_dir: bool
    checksum: str  # the commit it must be, or ""


@record
class BindMount:
    """RUN --mount=type=bind: part of an input, seen by the process; writes are dropped."""

    input_index: int  # into the vertex's inputs
    source: str
    target: str
    readonly: bool


@record
class CacheMount:
    """RUN --mount=type=cache: a directory that outlives the build and is in no layer."""

    cache_id: str
    input_index: int | None  # where its first content comes from
    source: str
    target: str
    readonly: bool
    sharing: Sharing
    mode: int
    uid: int
    gid: int


@record
class TmpfsMount:
    """RUN --mount=type=tmpfs."""

    target: str
    size_bytes: int  # 0: no limit of its own


@record
class SecretMount:
    """RUN --mount=type=secret: a file, a variable, or both; the graph never has the value."""

    secret_id: str
    target: str  # "" where only `env_name` is wanted
    env_name: str  # "" where only a file is wanted
    required: bool
    mode: int
    uid: int
    gid: int


@record
class SshMount:
    """RUN --mount=type=ssh: a forwarded agent socket."""

    ssh_id: str
    target: str
    required: bool
    mode: int
    uid: int
    gid: int


@record
class InlineFile:
    """A file whose content stands in the Dockerfile: a heredoc of RUN or COPY."""

    name: str  # RUN: absolute path where it appears for the step; COPY: its base name
    content: str
    mode: int = 0o644


ExecMount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


@record
class ExecOp:
    """RUN. Input 0 is the root filesystem; the others are what the mounts take from."""

    args: tuple[str, ...]
    env: Pairs  # all that the process sees, in order, except `unkeyed_env`
    cwd: str
    user: str  # as USER has it: name, uid, with :group; "" for root
    mounts: tuple[ExecMount, ...] = ()
    inline_files: tuple[InlineFile, ...] = ()
    network: NetworkMode = "default"
    security: SecurityMode = "sandbox"
    unkeyed_env: Pairs = ()  # proxies: seen by the process, in no key and no history
    extra_hosts: Pairs = ()  # (name, address)
    hostname: str = ""
    epoch: int | None = None  # SOURCE_DATE_EPOCH: later mtimes are set to it


@record
class CopySource:
    """One source of COPY or ADD: paths in an input."""

    input_index: int  # into the vertex's inputs; 0 is the root filesystem written to
    pattern: str  # as written after expansion; may hold wildcards
    unpack: bool = False  # a local tar archive is unpacked (ADD); detected by content
    is_download: bool = False  # an HttpOp's file: mode 0600 unless --chmod
    honours_ignorefile: bool = False  # from the build context: .dockerignore applies


@record
class CopyOp:
    """COPY and ADD. Input 0 is the root filesystem written to, the others are copied from."""

    sources: tuple[CopySource, ...]
    inline_files: tuple[InlineFile, ...]  # heredocs, after the sources
    dest: str  # absolute; a "/" at its end is kept and means a directory
    chown: str = ""  # --chown as written after expansion; "" for 0:0
    chmod: str = ""  # --chmod as written after expansion, octal or symbolic
    link: bool = False  # the layer does not depend on input 0
    parents: bool = False
    exclude: tuple[str, ...] = ()
    keeps_owner: bool = False  # ADD of an archive without --chown keeps the members' owners
    epoch: int | None = None


@record
class WorkdirOp:
    """WORKDIR: a directory that is made where it is missing. Input 0 is the root filesystem."""

    dir: str
    user: str  # owner of the directories that are made, as USER has it
    epoch: int | None = None


Operation = ImageOp | ContextOp | HttpOp | GitOp | ExecOp | CopyOp | WorkdirOp


@record
class Vertex:
    """One step. Everything below `inputs` is for people and for scheduling, and is in no digest."""

    id: VertexId
    operation: Operation
    inputs: tuple[VertexId, ...]
    name: str  # "[build 2/4] RUN make"
    span: Span | None = None
    no_cache: bool = False  # run it even where its result is known


@record
class Graph:
    """All steps that the target needs, and which one gives the target's root filesystem."""

    vertices: Mapping[VertexId, Vertex]
    target: VertexId
    more_targets: tuple[VertexId, ...] = ()  # of other platforms, built along with it

    @property
    def targets(self) -> tuple[VertexId, ...]:
        """All of them."""
        return (self.target, *self.more_targets)
