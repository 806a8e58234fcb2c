"""Operations as JSON and back, and the digest that names a vertex.

The canonical form has sorted keys, no blanks and only ASCII, so it is the same on every machine;
`FORMAT` changes with anything that changes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from builder.graph.errors import InvalidOperationError
from builder.graph.fields import Fields
from builder.graph.model import (
    BindMount,
    CacheMount,
    ContextOp,
    CopyOp,
    CopySource,
    ExecMount,
    ExecOp,
    GitOp,
    HttpOp,
    ImageOp,
    InlineFile,
    Operation,
    SecretMount,
    SshMount,
    TmpfsMount,
    VertexId,
    WorkdirOp,
)

FORMAT = "pybuild.operation.v1"

_KINDS: Mapping[type, str] = {
    ImageOp: "image",
    ContextOp: "context",
    HttpOp: "http",
    GitOp: "git",
    ExecOp: "exec",
    CopyOp: "copy",
    WorkdirOp: "workdir",
    BindMount: "bind",
    CacheMount: "cache",
    TmpfsMount: "tmpfs",
    SecretMount: "secret",
    SshMount: "ssh",
}
_FIELD_NAMES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(cast("Iterable[str]", kind.__slots__))  # type: ignore[attr-defined]
    for kind in (*_KINDS, CopySource, InlineFile)
}
_UNKEYED: Mapping[type, tuple[str, ...]] = {ImageOp: ("reference",), ExecOp: ("unkeyed_env",)}
"""What tells people or the process something and does not decide what a step gives."""


def vertex_id(operation: Operation, inputs: tuple[VertexId, ...]) -> VertexId:
    """The name of the step: a digest over what decides its result and over its inputs' names."""
    content = {"format": FORMAT, "inputs": inputs, "operation": operation_to_json(operation)}
    return VertexId("sha256:" + hashlib.sha256(canonical_json(content)).hexdigest())


def operation_to_json(operation: Operation) -> dict[str, object]:
    """The operation as JSON values for a key: without what does not decide its result."""
    encoded = _encoded_record(operation)
    for name in _UNKEYED.get(type(operation), ()):
        del encoded[name]
    return encoded


def encode_operation(operation: Operation) -> str:
    """The whole operation as canonical JSON."""
    return canonical_json(_encoded_record(operation)).decode("ascii")


def canonical_json(value: object) -> bytes:
    """JSON in the one form that digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode_operation(text: str) -> Operation:
    """The operation that `encode_operation` wrote; InvalidOperationError for anything else."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidOperationError("an operation is not written as JSON") from error
    return Fields.of(value).finished(_operation)


def _encoded_record(record: object) -> dict[str, object]:
    kind = type(record)
    encoded = {name: _encoded(getattr(record, name)) for name in _FIELD_NAMES[kind]}
    if kind in _KINDS:
        encoded["kind"] = _KINDS[kind]
    return encoded


def _encoded(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, tuple):
        return [_encoded(item) for item in cast("tuple[object, ...]", value)]
    return _encoded_record(value)


def _operation(fields: Fields) -> Operation:
    kind = fields.text("kind")
    reader = _READERS.get(kind)
    if reader is None:
        raise InvalidOperationError(f'no operation is called "{kind[:100]}"')
    return reader(fields)


def _image(fields: Fields) -> ImageOp:
    return ImageOp(fields.text("reference"), diff_ids=fields.digests("diff_ids"))


def _context(fields: Fields) -> ContextOp:
    return ContextOp(fields.text("name"))


def _http(fields: Fields) -> HttpOp:
    return HttpOp(fields.text("url"), fields.text("filename"), fields.text("checksum"))


def _workdir(fields: Fields) -> WorkdirOp:
    return WorkdirOp(fields.text("dir"), fields.text("user"), fields.optional("epoch"))


def _git(fields: Fields) -> GitOp:
    return GitOp(
        url=fields.text("url"),
        ref=fields.text("ref"),
        subdir=fields.text("subdir"),
        keep_git_dir=fields.truth("keep_git_dir"),
        checksum=fields.text("checksum"),
    )


def _exec(fields: Fields) -> ExecOp:
    return ExecOp(
        args=fields.texts("args"),
        env=fields.pairs("env"),
        cwd=fields.text("cwd"),
        user=fields.text("user"),
        mounts=fields.records("mounts", _mount),
        inline_files=fields.records("inline_files", _inline_file),
        network=fields.one_of("network", ("default", "host", "none")),
        security=fields.one_of("security", ("sandbox", "insecure")),
        unkeyed_env=fields.pairs("unkeyed_env"),
        extra_hosts=fields.pairs("extra_hosts"),
        hostname=fields.text("hostname"),
        epoch=fields.optional("epoch"),
    )


def _copy(fields: Fields) -> CopyOp:
    return CopyOp(
        sources=fields.records("sources", _copy_source),
        inline_files=fields.records("inline_files", _inline_file),
        dest=fields.text("dest"),
        chown=fields.text("chown"),
        chmod=fields.text("chmod"),
        link=fields.truth("link"),
        parents=fields.truth("parents"),
        exclude=fields.texts("exclude"),
        keeps_owner=fields.truth("keeps_owner"),
        epoch=fields.optional("epoch"),
    )


def _copy_source(fields: Fields) -> CopySource:
    return CopySource(
        input_index=fields.number("input_index"),
        pattern=fields.text("pattern"),
        unpack=fields.truth("unpack"),
        is_download=fields.truth("is_download"),
        honours_ignorefile=fields.truth("honours_ignorefile"),
    )


def _inline_file(fields: Fields) -> InlineFile:
    return InlineFile(fields.text("name"), fields.text("content"), fields.number("mode"))


def _mount(fields: Fields) -> ExecMount:
    kind = fields.text("kind")
    reader = _MOUNT_READERS.get(kind)
    if reader is None:
        raise InvalidOperationError(f'no mount is called "{kind[:100]}"')
    return reader(fields)


def _bind_mount(fields: Fields) -> BindMount:
    return BindMount(
        input_index=fields.number("input_index"),
        source=fields.text("source"),
        target=fields.text("target"),
        readonly=fields.truth("readonly"),
    )


def _tmpfs_mount(fields: Fields) -> TmpfsMount:
    return TmpfsMount(fields.text("target"), fields.number("size_bytes"))


def _cache_mount(fields: Fields) -> CacheMount:
    return CacheMount(
        cache_id=fields.text("cache_id"),
        input_index=fields.optional("input_index"),
        source=fields.text("source"),
        target=fields.text("target"),
        readonly=fields.truth("readonly"),
        sharing=fields.one_of("sharing", ("shared", "private", "locked")),
        mode=fields.number("mode"),
        uid=fields.number("uid"),
        gid=fields.number("gid"),
    )


def _secret_mount(fields: Fields) -> SecretMount:
    return SecretMount(
        secret_id=fields.text("secret_id"),
        target=fields.text("target"),
        env_name=fields.text("env_name"),
        required=fields.truth("required"),
        mode=fields.number("mode"),
        uid=fields.number("uid"),
        gid=fields.number("gid"),
    )


def _ssh_mount(fields: Fields) -> SshMount:
    return SshMount(
        ssh_id=fields.text("ssh_id"),
        target=fields.text("target"),
        required=fields.truth("required"),
        mode=fields.number("mode"),
        uid=fields.number("uid"),
        gid=fields.number("gid"),
    )


_READERS: Mapping[str, Callable[[Fields], Operation]] = {
    "image": _image,
    "context": _context,
    "http": _http,
    "git": _git,
    "exec": _exec,
    "copy": _copy,
    "workdir": _workdir,
}
_MOUNT_READERS: Mapping[str, Callable[[Fields], ExecMount]] = {
    "bind": _bind_mount,
    "cache": _cache_mount,
    "tmpfs": _tmpfs_mount,
    "secret": _secret_mount,
    "ssh": _ssh_mount,
}
