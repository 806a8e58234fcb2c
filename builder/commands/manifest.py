"""Look at what a registry has under a name, without taking it."""

from __future__ import annotations

import json
from typing import cast

from builder.engine import Engine
from builder.image.codec import JsonDict
from builder.image.jsonobject import parse_object
from builder.image.reference import parse_reference
from builder.registry.referrers import referrers


def inspect_manifest(engine: Engine, name: str) -> JsonDict:
    """The manifest or index as the registry has it."""
    reference = parse_reference(name)
    *_, repository = engine.registries().for_reading(reference)
    blob = repository.manifest(reference.digest or reference.tag).blob
    parse_object(blob, what="manifest")  # refuses what readers would understand differently
    return cast("JsonDict", json.loads(blob))


def inspect_referrers(engine: Engine, name: str, artifact_type: str = "") -> list[JsonDict]:
    """The descriptors of what is attached to the image: signatures, SBOMs, attestations."""
    reference = parse_reference(name)
    *_, repository = engine.registries().for_reading(reference)
    digest = reference.digest or repository.manifest(reference.tag).descriptor.digest
    return [dict(one.document) for one in referrers(repository, digest, artifact_type)]
