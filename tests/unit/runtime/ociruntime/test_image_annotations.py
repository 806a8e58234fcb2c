"""An image's config as a bundle's annotations."""

from __future__ import annotations

from builder.image.model import ContainerConfig, ImageConfig, Platform
from builder.runtime.ociruntime.annotations import image_annotations

CONFIG = ContainerConfig(exposed_ports=("443/tcp", "80/tcp"), stop_signal="SIGUSR1")


def test_fields_without_a_place_of_their_own_become_annotations():
    image = ImageConfig(Platform("linux", "arm", "v7"), author="me", created="2020-01-01T00:00:00Z")
    assert dict(image_annotations(image, CONFIG)) == {
        "org.opencontainers.image.architecture": "arm",
        "org.opencontainers.image.author": "me",
        "org.opencontainers.image.created": "2020-01-01T00:00:00Z",
        "org.opencontainers.image.exposedPorts": "443/tcp,80/tcp",
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.stopSignal": "SIGUSR1",
        "org.opencontainers.image.variant": "v7",
    }


def test_labels_are_annotations_and_win():
    labels = (("org.opencontainers.image.os", "mine"), ("k", "v"))
    found = dict(image_annotations(ImageConfig(Platform("linux", "amd64")),
                                   ContainerConfig(labels=labels)))  # fmt: skip
    assert found["k"] == "v"
    assert found["org.opencontainers.image.os"] == "mine"
