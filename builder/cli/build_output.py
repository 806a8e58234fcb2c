"""The value of `--output`: text in, data out; wrong text is a UsageError."""

from __future__ import annotations

from builder.cli.build_options import fields_of, number, truth_of
from builder.commands.build import OutputSpec
from builder.errors import UsageError
from builder.export.api import Compression
from cache.record import replace

OUTPUT_KINDS = ("oci", "docker", "tar", "local", "image", "registry")
_TREES = frozenset({"tar", "local"})
_STORED = frozenset({"image", "registry"})
_ALWAYS = {
    "oci-mediatypes": ("true", "only OCI's media types are written"),
    "store": ("true", "images always go to the store; --output type=oci,dest=FILE leaves it there"),
    "unpack": ("true", "what is built is always unpacked"),
    "registry.insecure": ("false", "--tls-verify=false, or `insecure` in registries.toml"),
}
"""BuildKit's options with one value here, and why there is no other."""


def output_spec(text: str, *, has_epoch: bool = False) -> OutputSpec:
    """`type=oci,dest=FILE,...`; a path alone is type=local, `-` is a tar on stdout.

    `has_epoch`: SOURCE_DATE_EPOCH is given.
    """
    if text == "-":
        return OutputSpec("tar", dest="-")
    if "=" not in text:
        return OutputSpec("local", dest=text)
    fields = fields_of(text, "output")
    kind = fields.pop("type", "")
    if kind not in OUTPUT_KINDS:
        raise UsageError(
            f'--output type "{kind}" is not known', hint=f"one of {', '.join(OUTPUT_KINDS)}"
        )
    spec = _spec(kind, fields, has_epoch=has_epoch)
    for key, (value, why) in _ALWAYS.items():
        if kind not in _TREES and truth_of(fields.pop(key, value)) != (value == "true"):
            raise UsageError(f"--output {key}={_other(value)} is not supported", hint=why)
    if spec.kind == "registry" and spec.dest:
        raise UsageError("--output type=registry has no dest=", hint="name=NAME says where to")
    if fields:
        raise UsageError(f"--output type={kind} has no option {', '.join(sorted(fields))}")
    return spec


def _spec(kind: str, fields: dict[str, str], *, has_epoch: bool) -> OutputSpec:
    """What the fields say that are known; they are taken out."""
    name = fields.pop("name", "")
    annotations = _annotations(fields, "annotation.", "annotation-manifest.")
    spec = OutputSpec(
        kind=kind,
        dest=fields.pop("dest", ""),
        names=tuple(name.split(",")) if name else (),
        compression=_compression(fields.pop("compression", "")),
        compression_level=number(fields.pop("compression-level", ""), "compression-level"),
        force_compression=truth_of(fields.pop("force-compression", "false")),
        annotations=annotations,
        index_annotations=_annotations(fields, "annotation-index."),
    )
    _check_timestamps(fields, has_epoch=has_epoch)
    if kind in _TREES and "platform-split" in fields:
        spec = replace(spec, platform_split=truth_of(fields.pop("platform-split")))
    if kind in _STORED:
        by_digest = truth_of(fields.pop("push-by-digest", "false"))
        fields.pop("name-canonical", "")  # a pushed image always gets its name with the digest
        spec = replace(spec, push_by_digest=by_digest)
        if truth_of(fields.pop("push", "false")):
            spec = replace(spec, kind="registry")
    if kind == "docker" and not spec.dest:  # into the daemon, with docker: here, into the store
        spec = replace(spec, kind="image")
    if kind == "oci" and not truth_of(fields.pop("tar", "true")):
        spec = replace(spec, kind="oci-dir")
    return spec


def _check_timestamps(fields: dict[str, str], *, has_epoch: bool) -> None:
    """With SOURCE_DATE_EPOCH no file of a new layer is later, asked or not; without, nothing is."""
    if truth_of(fields.pop("rewrite-timestamp", "false")) and not has_epoch:
        raise UsageError(
            "--output rewrite-timestamp=true needs a time",
            hint="set SOURCE_DATE_EPOCH, in the environment or as a --build-arg",
        )


def _annotations(fields: dict[str, str], *prefixes: str) -> tuple[tuple[str, str], ...]:
    """Take those out whose key has one of the prefixes."""
    found = [
        (key.removeprefix(prefix), key)
        for key in fields
        for prefix in prefixes
        if key.startswith(prefix)
    ]
    return tuple((name, fields.pop(key)) for name, key in found)


def _compression(text: str) -> Compression | None:
    match text:
        case "":
            return None
        case "gzip" | "zstd" | "uncompressed":
            return text
        case _:
            raise UsageError(
                f'compression "{text}" is not known', hint="one of gzip, zstd, uncompressed"
            )


def _other(value: str) -> str:
    return "false" if value == "true" else "true"
