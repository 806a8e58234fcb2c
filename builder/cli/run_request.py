"""From the command line of `run`, as it was read, to what it asks for."""

from __future__ import annotations

import os

from builder.cli.run_options_attach import attached_of, detach_keys_of
from builder.cli.run_options_files import mounts_of, volumes_from_of
from builder.cli.run_options_life import (
    health_of,
    image_choice_of,
    labels_of,
    policies_of,
    stop_signal_of,
)
from builder.cli.run_options_limits import limits_of
from builder.cli.run_options_net import networking_of
from builder.cli.run_options_oci import runtime_of
from builder.cli.run_options_sec import security_of
from builder.cli.run_words import Line
from builder.commands.run import RunRequest
from builder.errors import UsageError
from builder.runtime import options
from builder.runtime.bundle import RunOptions
from builder.runtime.container import HostConfig
from builder.runtime.streams import CallerStreams


def request_of(line: Line) -> RunRequest:
    """What the line asks for. Errors as `builder.runtime.options` has them."""
    for name in ("name", "user", "shm-size"):
        if line.values.get(name) == "":
            raise UsageError(f"run: --{name} is empty")
    return RunRequest(
        image=line.image,
        options=_run_options(line),
        caller=CallerStreams(),
        choice=image_choice_of(line),
        cidfile=line.values.get("cidfile", ""),
        detached="detach" in line.switches,
        attached=attached_of(line),
        detach_keys=detach_keys_of(line),
        forward_signals="no-sig-proxy" not in line.switches,
    )


def _run_options(line: Line) -> RunOptions:
    entrypoint = line.values.get("entrypoint")
    return RunOptions(
        args=line.args,
        name=line.values.get("name", ""),
        env=_env(line),
        user=line.values.get("user"),
        working_dir=line.values.get("workdir", ""),
        entrypoint=None if entrypoint is None else tuple(filter(None, (entrypoint,))),
        labels=labels_of(line),
        stop_signal=stop_signal_of(line),
        health=health_of(line),
        host=_host_config(line),
        volumes_from=volumes_from_of(line),
    )


def _host_config(line: Line) -> HostConfig:
    return HostConfig(
        networking=networking_of(line),
        mounts=mounts_of(line),
        auto_remove="rm" in line.switches,
        terminal="tty" in line.switches,
        stdin_open="interactive" in line.switches,
        readonly_rootfs="read-only" in line.switches,
        security=security_of(line),
        limits=limits_of(line),
        policies=policies_of(line),
        runtime=runtime_of(line),
    )


def _env(line: Line) -> tuple[options.EnvEntry, ...]:
    """Those of the files first: `-e` wins."""
    entries: list[options.EnvEntry] = []
    for path in line.lists.get("env-file", ()):
        with open(path, encoding="utf-8") as file:
            entries += options.parse_env_file(file.read(), os.environ)
    entries += (options.parse_env(text, os.environ) for text in line.lists.get("env", ()))
    return tuple(entries)
