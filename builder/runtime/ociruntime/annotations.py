"""What an image's config says besides how its process runs, as annotations. Pure.

Spec: OCI image-spec conversion.md.
"""

from __future__ import annotations

from builder.image.model import ContainerConfig, ImageConfig

_PREFIX = "org.opencontainers.image."


def image_annotations(image: ImageConfig, config: ContainerConfig) -> tuple[tuple[str, str], ...]:
    """Sorted; `config` is the image's own with what the command line said. Labels win."""
    platform = image.platform
    implied = {
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "author": image.author,
        "created": image.created,
        "stopSignal": config.stop_signal,
        "exposedPorts": ",".join(config.exposed_ports),
    }
    found = {f"{_PREFIX}{name}": text for name, text in implied.items() if text}
    return tuple(sorted((found | dict(config.labels)).items()))
