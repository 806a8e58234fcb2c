"""The JSON schemas in fixtures/schemas."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "schemas"


@cache
def schema(name: str) -> dict[str, Any]:
    """By name: config, manifest, index, layout, docker-archive, runtime-config."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found
