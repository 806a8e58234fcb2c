"""Platforms: their names, and which manifest of an index serves one. Spec: image-index.md."""

from __future__ import annotations

import os
from collections.abc import Iterable

from builder.image.errors import InvalidImageError, UnsupportedImageError
from builder.image.model import Index, IndexEntry, Platform
from cache.descriptor import Descriptor

_GO_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
}
"""The kernel's names and users' habits as Go's GOARCH and variant."""

_DEFAULT_VARIANTS = {("arm64", "v8"), ("amd64", "v1")}
"""Variants that go without saying."""

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")


def host_platform() -> Platform:
    """The platform of the running kernel."""
    machine = os.uname().machine
    architecture, variant = _GO_ARCHITECTURES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def parse_platform(text: str) -> Platform:
    """The platform that `os/arch[/variant]`, `os` or `arch` stands for; the rest is the host's."""
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise InvalidImageError(
            f'"{text[:100]}" is not a platform', hint="write it as linux/amd64 or linux/arm/v7"
        )
    if len(parts) == 1:
        host = host_platform()
        if parts[0] == host.os:
            return host
        parts.insert(0, host.os)
    architecture, variant = _GO_ARCHITECTURES.get(parts[1], (parts[1], ""))
    return normalised(Platform(parts[0], architecture, parts[2] if len(parts) == 3 else variant))


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """A command line's: each text is a platform, or several with commas between. Each once."""
    words = (word.strip() for text in texts for word in text.split(","))
    return tuple(dict.fromkeys(map(parse_platform, filter(None, words))))


def normalised(platform: Platform) -> Platform:
    """Equal platforms as equal values: arm64/v8 is arm64, arm alone is arm/v7."""
    variant = platform.variant
    if (platform.architecture, variant) in _DEFAULT_VARIANTS:
        variant = ""
    if platform.architecture == "arm" and not variant:
        variant = "v7"
    return Platform(platform.os, platform.architecture, variant)


def serves(offered: Platform, wanted: Platform) -> bool:
    """Whether an image for `offered` runs on `wanted`: the same, or an older variant of it."""
    return _distance(offered, wanted) is not None


def choose_manifest(index: Index, wanted: Platform) -> Descriptor:
    """The manifest of `index` that serves `wanted` best; UnsupportedImageError where none does.

    Attestations are no images and are passed over. A lone manifest that doesn't say its platform
    is taken: its config says it.
    """
    images = [entry for entry in index.manifests if not _is_attestation(entry)]
    if len(images) == 1 and images[0].platform is None:
        return images[0].descriptor
    ranked = [
        (distance, number)
        for number, entry in enumerate(images)
        if entry.platform and (distance := _distance(entry.platform, wanted)) is not None
    ]
    if not ranked:
        offered = ", ".join(sorted({str(entry.platform) for entry in images if entry.platform}))
        raise UnsupportedImageError(
            f"the image has no manifest for {wanted}",
            hint=f"it has: {offered}" if offered else "its index names no platform",
        )
    return images[min(ranked)[1]].descriptor


def offered_platforms(index: Index) -> tuple[Platform, ...]:
    """What the index has images for, in its order."""
    images = (entry for entry in index.manifests if not _is_attestation(entry))
    return tuple(dict.fromkeys(normalised(entry.platform) for entry in images if entry.platform))


def _is_attestation(entry: IndexEntry) -> bool:
    unknown = entry.platform is not None and entry.platform.os == "unknown"
    return unknown or _ATTESTATION in entry.descriptor.annotations


def _distance(offered: Platform, wanted: Platform) -> int | None:
    """How many variants `offered` is behind; None where it doesn't run there."""
    offered, wanted = normalised(offered), normalised(wanted)
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return None
    if offered.variant == wanted.variant:
        return 0
    offered_number, wanted_number = _variant_number(offered), _variant_number(wanted)
    if offered_number is None or wanted_number is None or offered_number > wanted_number:
        return None
    return wanted_number - offered_number


def _variant_number(platform: Platform) -> int | None:
    """v7 is 7; no variant is the first, which all machines of the architecture run."""
    if not platform.variant:
        return 0
    digits = platform.variant.removeprefix("v")
    return int(digits) if digits.isdecimal() and len(digits) < 4 else None
