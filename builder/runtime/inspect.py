"""A container as `docker inspect` shows it, which scripts read fields of. Pure."""

from __future__ import annotations

from collections.abc import Callable

from builder.image.assemble import rfc3339
from builder.image.codec import container_dict
from builder.runtime.container import Container, ContainerReport
from builder.runtime.limits import inspect_fields
from builder.runtime.networkview import port_bindings
from builder.runtime.paths import ContainerPaths
from builder.runtime.policies import LogConfig
from builder.runtime.security import security_document
from builder.runtime.volumes_inspect import bind_texts, mount_documents, tmpfs_texts

_NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker shows for a moment that has not come."""

_Document = dict[str, object]


def inspect_document(
    report: ContainerReport,
    paths: ContainerPaths,
    *,
    lowerdirs: tuple[str, ...],
    volume_dir: Callable[[str], str],
    health: _Document | None,
    network: _Document,
) -> _Document:
    """The object that `docker inspect` prints for a container.

    `lowerdirs`: of its image; `health`: its State.Health; `network`: its NetworkSettings.
    """
    container = report.container
    args = container.args
    return {
        "Id": container.container_id,
        "Created": rfc3339(container.created),
        "Path": args[0] if args else "",
        "Args": list(args[1:]),
        "State": _state(report) | ({"Health": health} if health is not None else {}),
        "Image": container.image_id,
        "ResolvConfPath": paths.resolv_conf,
        "HostnamePath": paths.hostname,
        "HostsPath": paths.hosts,
        "LogPath": paths.log if container.host.policies.log.driver == "json-file" else "",
        "Name": f"/{container.name}",
        "RestartCount": report.state.restart_count,
        "Driver": "overlay2",
        "Platform": container.platform.os,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(container),
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {
                "LowerDir": ":".join(lowerdirs),
                "UpperDir": paths.upperdir,
                "WorkDir": paths.workdir,
                "MergedDir": paths.rootfs,
            },
        },
        "Mounts": mount_documents(container.host.mounts, volume_dir),
        "Config": _config(container),
        "NetworkSettings": network,
    }


def _state(report: ContainerReport) -> _Document:
    state = report.state
    return {
        "Status": report.status,
        "Running": report.is_running,
        "Paused": report.status == "paused",
        "Restarting": report.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid if report.status in {"running", "paused"} else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_at) if state.started_at else _NEVER,
        "FinishedAt": rfc3339(state.finished_at) if state.finished_at else _NEVER,
    }


def _host_config(container: Container) -> _Document:
    host = container.host
    return {
        "Binds": bind_texts(host.mounts) or None,
        "Tmpfs": tmpfs_texts(host.mounts) or None,
        "NetworkMode": container.network_mode,
        "PortBindings": port_bindings(container),
        "PublishAllPorts": host.networking.publish_all,
        "Dns": list(host.networking.dns),
        "DnsOptions": list(host.networking.dns_options),
        "DnsSearch": list(host.networking.dns_search),
        "AutoRemove": host.auto_remove,
        "ExtraHosts": [f"{name}:{address}" for name, address in host.networking.extra_hosts]
        or None,
        **security_document(host.security),
        "ReadonlyRootfs": host.readonly_rootfs,
        "Runtime": host.runtime or "pybuild",
        **inspect_fields(host.limits),
        "LogConfig": _log_config(host.policies.log),
        "Init": host.policies.init,
        "RestartPolicy": {
            "Name": host.policies.restart.name,
            "MaximumRetryCount": host.policies.restart.max_retries,
        },
    }


def _log_config(log: LogConfig) -> _Document:
    """As the options were given."""
    options: dict[str, str] = {}
    if log.max_size_bytes:
        options = {"max-size": str(log.max_size_bytes), "max-file": str(log.max_files)}
    for name, values in (("labels", log.labels), ("env", log.env)):
        if values:
            options[name] = ",".join(values)
    return {"Type": log.driver, "Config": options}


def _config(container: Container) -> _Document:
    """Docker always shows these, empty or not; the others only where they are set."""
    shown = container_dict(container.config)
    host = container.host
    timeout_s = host.policies.stop_timeout_s
    return {
        "Hostname": container.hostname,
        "Domainname": host.networking.domainname,
        "User": "",
        "AttachStdin": host.stdin_open,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": host.terminal,
        "OpenStdin": host.stdin_open,
        "StdinOnce": host.stdin_open,
        "Env": [],
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": {},
        **shown,
        **({} if timeout_s is None else {"StopTimeout": timeout_s}),
        "Image": container.image_name,
    }
