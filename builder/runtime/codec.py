"""A container's config.json and state.json as bytes and back. Times are kept in microseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from builder.image.codec import container_dict, container_of, platform_dict, platform_of
from builder.image.errors import InvalidImageError
from builder.image.jsonobject import JsonObject, parse_object
from builder.image.model import ContainerConfig, Platform
from builder.runtime.container import (
    Container,
    ContainerState,
    HostConfig,
)
from builder.runtime.errors import BrokenContainerError
from builder.runtime.limits import limits_dict, limits_of
from builder.runtime.networking import networking_dict, networking_from
from builder.runtime.policies import policies_dict, policies_of
from builder.runtime.security import security_dict, security_of
from builder.runtime.volumes import mounts_dict, mounts_of
from cache.digest import parse_digest
from cache.errors import InvalidDigestError

if TYPE_CHECKING:
    from builder.sandbox.monitor.statefile import Json

FORMAT_VERSION = 1

_HINT = "pybuild rm -f removes the container"


def encode_container(container: Container) -> bytes:
    """config.json."""
    document: dict[str, object] = {
        "format": FORMAT_VERSION,
        "id": container.container_id,
        "name": container.name,
        "created_us": _microseconds(container.created),
        "image_id": container.image_id,
        "image_name": container.image_name,
        "platform": platform_dict(container.platform),
        "diff_ids": list(container.diff_ids),
        "config": container_dict(container.config),
        "host": _host_dict(container.host),
    }
    return _encode(document)


def decode_container(blob: bytes) -> Container:
    """The container of a config.json; BrokenContainerError for anything else."""
    try:
        return _container_of(parse_object(blob, what="container's record"))
    except (InvalidImageError, InvalidDigestError) as error:
        raise BrokenContainerError(error.message, hint=_HINT) from error


def encode_state(state: ContainerState) -> bytes:
    """state.json."""
    return _encode(state_document(state))


def state_document(state: ContainerState) -> dict[str, Json]:
    """The object of a state.json, which a monitor writes as well."""
    return {
        "pid": state.pid,
        "pid_started": state.pid_started,
        "boot_id": state.boot_id,
        "cgroup": list(state.cgroup),
        "started_us": _microseconds(state.started_at),
        "finished_us": _microseconds(state.finished_at),
        "exit_code": state.exit_code,
        "error": state.error,
        "paused": state.paused,
        "restarting": state.restarting,
        "restart_count": state.restart_count,
        "oom_killed": state.oom_killed,
        "restart_delay_ms": state.restart_delay_ms,
        "stopped_by_user": state.stopped_by_user,
    }


def decode_state(blob: bytes) -> ContainerState:
    """The state of a state.json; BrokenContainerError for anything else."""
    try:
        document = parse_object(blob, what="container's state")
        return ContainerState(
            pid=document.integer("pid"),
            pid_started=document.integer("pid_started"),
            boot_id=document.text("boot_id"),
            cgroup=document.texts("cgroup") or (),
            started_at=_seconds(document, "started_us"),
            finished_at=_seconds(document, "finished_us"),
            exit_code=document.integer("exit_code"),
            error=document.text("error"),
            paused=document.boolean("paused"),
            restarting=document.boolean("restarting"),
            restart_count=document.integer("restart_count"),
            oom_killed=document.boolean("oom_killed"),
            restart_delay_ms=document.integer("restart_delay_ms"),
            stopped_by_user=document.boolean("stopped_by_user"),
        )
    except InvalidImageError as error:
        raise BrokenContainerError(error.message, hint=_HINT) from error


def _encode(document: Mapping[str, object]) -> bytes:
    # arguments may hold bytes that are no UTF-8: the process gets them, the record a "?" each
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _seconds(document: JsonObject, name: str) -> float:
    return document.integer(name) / 1_000_000


def _container_of(document: JsonObject) -> Container:
    if document.integer("format", required=True) != FORMAT_VERSION:
        raise document.error("format", f"is not {FORMAT_VERSION}")
    config, host, platform = (document.child(name) for name in ("config", "host", "platform"))
    return Container(
        container_id=document.text("id", required=True),
        name=document.text("name", required=True),
        created=_seconds(document, "created_us"),
        image_id=document.digest("image_id"),
        image_name=document.text("image_name"),
        platform=platform_of(platform) if platform else Platform("", ""),
        diff_ids=tuple(parse_digest(text) for text in document.texts("diff_ids") or ()),
        config=container_of(config) if config else ContainerConfig(),
        host=_host_of(host) if host else HostConfig(),
    )


def _host_dict(host: HostConfig) -> dict[str, object]:
    return {
        "networking": networking_dict(host.networking),
        "mounts": mounts_dict(host.mounts),
        "auto_remove": host.auto_remove,
        "terminal": host.terminal,
        "stdin_open": host.stdin_open,
        "readonly_rootfs": host.readonly_rootfs,
        "security": security_dict(host.security),
        "limits": limits_dict(host.limits),
        "policies": policies_dict(host.policies),
        "runtime": host.runtime,
    }


def _host_of(document: JsonObject) -> HostConfig:
    return HostConfig(
        networking=networking_from(document.child("networking")),
        mounts=mounts_of(document.child("mounts")),
        auto_remove=document.boolean("auto_remove"),
        terminal=document.boolean("terminal"),
        stdin_open=document.boolean("stdin_open"),
        readonly_rootfs=document.boolean("readonly_rootfs"),
        security=security_of(document.child("security") or document),
        limits=limits_of(document.child("limits")),
        policies=policies_of(document.child("policies")),
        runtime=document.text("runtime"),
    )
