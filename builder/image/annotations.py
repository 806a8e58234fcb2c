"""Annotations of a layout's index entries, by which tools find an image. Spec: annotations.md."""

from __future__ import annotations

REF_NAME = "org.opencontainers.image.ref.name"
"""The tag, for skopeo and umoci; some write the whole name here."""

IMAGE_NAME = "io.containerd.image.name"
"""The whole name, for containerd, BuildKit and docker."""
