"""All about an image or a container, as the document that docker shows."""

from __future__ import annotations

from builder.commands.ps import inspect_container
from builder.engine import Engine
from builder.image.codec import JsonDict, container_dict
from builder.image.errors import InvalidReferenceError
from builder.image.model import Platform, StoredImage
from builder.image.reference import parse_reference

MAPS = frozenset({"Annotations", "Data", "ExposedPorts", "Labels", "Networks", "Ports", "Volumes"})
"""Objects of the documents whose keys are the user's: a template may ask for one that isn't there.
"""


def inspect(
    engine: Engine, text: str, *, kind: str = "", platform: Platform | None = None
) -> JsonDict | None:
    """The document about what `text` names, or None: `kind` is image, container, or "" for any.

    A container goes before an image of the same name, as with docker; with a `platform` only images
    are meant.
    """
    if kind in {"", "container"} and platform is None:
        document = inspect_container(engine, text)
        if document is not None:
            return document
    if kind in {"", "image"}:
        return inspect_image(engine, text, platform)
    return None


def inspect_image(engine: Engine, text: str, platform: Platform | None = None) -> JsonDict | None:
    """What `docker image inspect` shows; None where there is no such image."""
    try:
        find_for, find = engine.images.find_for, engine.images.find
        image = find_for(text, platform) if platform else find(text)
    except InvalidReferenceError:
        return None
    return None if image is None else image_document(image)


def image_document(image: StoredImage) -> JsonDict:
    """The image as docker's API describes it. Spec: Docker Engine API, ImageInspect."""
    config = image.config
    references = [parse_reference(name) for name in image.names]
    comment = config.history[-1].comment if config.history else ""
    return {
        "Id": image.image_id,
        "RepoTags": [one.familiar for one in references if one.digest is None],
        "RepoDigests": [one.familiar for one in references if one.digest is not None],
        "Comment": comment,
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": sum(image.layer_sizes),
        "Config": _config_document(image),
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
    }


def _config_document(image: StoredImage) -> JsonDict:
    """With the fields that templates ask for whether the image sets them or not."""
    document: JsonDict = {
        "User": "",
        "ExposedPorts": None,
        "Env": [],
        "Entrypoint": None,
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Labels": None,
        "StopSignal": "",
        "Healthcheck": None,
        "OnBuild": None,
        "Shell": None,
    }
    return document | container_dict(image.config.config)
