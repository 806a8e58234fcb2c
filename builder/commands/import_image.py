"""Import: the tar of a root filesystem as an image of one layer.

The layer is packed anew from the unpacked tree: the same tree gives the same layer, whichever tool
made the tar, and no second copy of it is kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from builder.commands.load import STDIN, open_input
from builder.commands.store_layer import keep_as_image
from builder.engine import Engine
from builder.errors import UnsupportedError
from builder.frontend.rewrite import apply_changes
from builder.image.assemble import rfc3339
from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import new_name
from builder.layer.apply import unpack_blob
from builder.worker.layer_unpack import warn_of_losses
from cache.snapshot.api import ActiveSnapshot

_REMOTE = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """`changes` are Dockerfile instructions for the image's configuration."""

    path: str  # "-" for stdin
    name: str = ""  # "": the image gets none
    changes: tuple[str, ...] = ()
    message: str = ""
    platform: Platform | None = None
    epoch: int | None = None  # the image is not later than this


def import_image(engine: Engine, request: ImportRequest) -> StoredImage:
    """Make the image, and tag it if a name is asked for."""
    if request.path.startswith(_REMOTE):
        raise UnsupportedError(
            "import takes files, no URLs", hint=f"curl -sL {request.path} | pybuild import - NAME"
        )
    name = new_name(request.name) if request.name else ""
    config = _config(request, engine.now())

    def fill(active: ActiveSnapshot) -> None:
        with open_input(request.path) as file:
            mount = active.mount
            unpacked = unpack_blob(
                file,
                active.upperdir,
                userxattr=mount.userxattr,
                limit_bytes=engine.settings.unpack_limit_bytes,
            )
        warn_of_losses(unpacked.losses, engine.emit)

    return keep_as_image(engine, config, name, fill)


def _config(request: ImportRequest, now: float) -> ImageConfig:
    created = rfc3339(now if request.epoch is None else min(now, request.epoch))
    source = "-" if request.path == STDIN else os.path.basename(request.path)
    comment = request.message or f"Imported from {source}"
    return ImageConfig(
        platform=request.platform or host_platform(),
        config=apply_changes(ContainerConfig(), request.changes),
        history=(HistoryEntry(created=created, comment=comment),),
        created=created,
    )
