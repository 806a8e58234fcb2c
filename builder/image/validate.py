"""What one document cannot know alone: that a manifest and its config tell of the same layers.

The bytes themselves are checked where they are read; see `cache.content` and `worker.image_step`.
"""

from __future__ import annotations

from builder.image.errors import InvalidImageError
from builder.image.model import ImageConfig, Manifest


def check_layers(manifest: Manifest, config: ImageConfig) -> None:
    """InvalidImageError where the number of layers and that of diff_ids differ."""
    if len(manifest.layers) != len(config.diff_ids):
        raise InvalidImageError(
            f"the manifest has {len(manifest.layers)} layers, "
            f"its config tells of {len(config.diff_ids)}"
        )


def check_history(config: ImageConfig) -> None:
    """InvalidImageError where the history tells of other layers than there are.

    Holds for images made here; those of others are taken as they come, with or without history.
    """
    layers = sum(not entry.empty_layer for entry in config.history)
    if layers != len(config.diff_ids):
        raise InvalidImageError(
            f"the history tells of {layers} layers, there are {len(config.diff_ids)}"
        )
