"""The health of a container, as its monitor writes it down: docker's State.Health."""

from __future__ import annotations

import json
from typing import cast

from builder.runtime.container import ContainerReport
from builder.runtime.paths import ContainerPaths
from builder.runtime.policies import health_check

STATUSES = ("starting", "healthy", "unhealthy", "none")


def health_document(report: ContainerReport, paths: ContainerPaths) -> dict[str, object] | None:
    """What is known of the health of a container that has a health check; None for others."""
    if health_check(report.container.config) is None:
        return None
    try:
        with open(paths.health, "rb") as file:
            document: object = json.loads(file.read())
    except (OSError, ValueError):
        document = None
    found = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    if not report.is_running and found:
        found = {**found, "Status": "unhealthy"}  # docker's word for one that has ended
    return {"Status": "starting", "FailingStreak": 0, "Log": [], **found}


def health_status(report: ContainerReport, paths: ContainerPaths) -> str:
    """One of STATUSES: none for a container without a health check, or that doesn't run."""
    document = health_document(report, paths) if report.is_running else None
    return "none" if document is None else str(document["Status"])
