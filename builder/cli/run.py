"""`pybuild run`."""

from __future__ import annotations

import os
from typing import TypedDict, Unpack

import click

from builder.cli.run_options import RunCommand
from builder.cli.warn import warn
from builder.commands.run import RunRequest, run
from builder.errors import UnsupportedError, UsageError
from builder.runtime import options
from builder.runtime.bundle import RunOptions
from builder.runtime.container import DEFAULT_SHM_BYTES, HostConfig, NetworkMode
from builder.runtime.streams import CallerStreams
from builder.settings import settings_from
from builder.wiring import open_engine


class Arguments(TypedDict):
    """The command's options as click hands them over."""

    image: str
    args: tuple[str, ...]
    rm: bool
    interactive: bool
    tty: bool
    env: tuple[str, ...]
    env_file: tuple[str, ...]
    workdir: str
    user: str | None
    volumes: tuple[str, ...]
    name: str | None
    entrypoint: str | None
    network: str
    hostname: str | None
    add_hosts: tuple[str, ...]
    read_only: bool
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    privileged: bool
    security_opt: tuple[str, ...]
    ulimits: tuple[str, ...]
    shm_size: str | None
    labels: tuple[str, ...]
    cidfile: str


@click.command(cls=RunCommand, context_settings={"help_option_names": ["--help"]})
@click.argument("image")
@click.argument("args", nargs=-1, metavar="[COMMAND] [ARG]...", type=click.UNPROCESSED)
@click.option("--rm", is_flag=True, help="Remove the container and its volumes when it ends.")
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.option("-t", "--tty", is_flag=True, help="Give the container a terminal.")
@click.option("-e", "--env", multiple=True, metavar="K[=V]", help="A variable; K: the caller's.")
@click.option("--env-file", multiple=True, metavar="FILE", help="A file of variables, K=V a line.")
@click.option(
    "-w", "--workdir", default="", metavar="DIR", help="Working directory; made if missing."
)
@click.option("-u", "--user", metavar="USER[:GROUP]", help="User and group, by name or number.")
@click.option(
    "-v",
    "--volume",
    "volumes",
    multiple=True,
    metavar="SRC:DST[:ro]",
    help="SRC of this machine at DST; DST alone: a new volume.",
)
@click.option("--name", metavar="NAME", help="Name of the container.")
@click.option(
    "--entrypoint", metavar="PROGRAM", help='Instead of the image\'s entrypoint; "" takes it away.'
)
@click.option(
    "--network",
    "--net",
    default="default",
    metavar="host|none",
    help="The network (default: the host's).",
)
@click.option("-h", "--hostname", metavar="NAME", help="Host name (default: the container's id).")
@click.option(
    "--add-host", "add_hosts", multiple=True, metavar="NAME:IP", help="A line of /etc/hosts."
)
@click.option("--read-only", is_flag=True, help="Forbid changes of the root file system.")
@click.option("--cap-add", multiple=True, metavar="CAP", help="A capability more, or ALL.")
@click.option("--cap-drop", multiple=True, metavar="CAP", help="A capability less, or ALL.")
@click.option("--privileged", is_flag=True, help="All capabilities; nothing masked, no seccomp.")
@click.option(
    "--security-opt", multiple=True, metavar="OPTION", help="no-new-privileges, seccomp=unconfined."
)
@click.option(
    "--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A resource limit."
)
@click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm (64m).")
@click.option(
    "-l", "--label", "labels", multiple=True, metavar="K=V", help="A label of the container."
)
@click.option(
    "--cidfile", default="", metavar="FILE", help="Write the container's id to a new FILE."
)
def command(**arguments: Unpack[Arguments]) -> int:
    """Run COMMAND in a new container of IMAGE; its exit status is this program's.

    125: the container was not started; 126: COMMAND can't be executed; 127: there is no such
    COMMAND; 128 + n: signal n ended it. Options stand before IMAGE.
    """
    request = RunRequest(
        image=arguments["image"],
        options=_run_options(arguments),
        caller=CallerStreams(),
        cidfile=arguments["cidfile"],
    )
    settings = settings_from(os.environ, euid=os.geteuid())
    with open_engine(settings, emit=warn) as engine:
        return run(engine, request)


def _run_options(arguments: Arguments) -> RunOptions:
    entrypoint = arguments["entrypoint"]
    return RunOptions(
        args=arguments["args"],
        name=_not_empty(arguments["name"], "name") or "",
        env=_env(arguments),
        user=_not_empty(arguments["user"], "user"),
        working_dir=arguments["workdir"],
        entrypoint=None if entrypoint is None else tuple(filter(None, (entrypoint,))),
        labels=options.parse_pairs(arguments["labels"], option="--label"),
        host=_host_config(arguments),
    )


def _host_config(arguments: Arguments) -> HostConfig:
    security = options.parse_security_options(arguments["security_opt"])
    hostname, shm_size = arguments["hostname"], arguments["shm_size"]
    return HostConfig(
        network=_network(arguments["network"]),
        hostname="" if hostname is None else options.parse_hostname(hostname),
        extra_hosts=tuple(map(options.parse_extra_host, arguments["add_hosts"])),
        volumes=tuple(
            options.parse_volume(text, working_dir=os.getcwd()) for text in arguments["volumes"]
        ),
        auto_remove=arguments["rm"],
        terminal=arguments["tty"],
        stdin_open=arguments["interactive"],
        readonly_rootfs=arguments["read_only"],
        privileged=arguments["privileged"],
        cap_add=tuple(map(options.parse_capability, arguments["cap_add"])),
        cap_drop=tuple(map(options.parse_capability, arguments["cap_drop"])),
        no_new_privileges=security.no_new_privileges,
        seccomp=security.seccomp,
        rlimits=tuple(map(options.parse_ulimit, arguments["ulimits"])),
        shm_size_bytes=(
            options.parse_size(shm_size, option="--shm-size") if shm_size else DEFAULT_SHM_BYTES
        ),
    )


def _env(arguments: Arguments) -> tuple[options.EnvEntry, ...]:
    """Those of the files first: `-e` wins."""
    entries: list[options.EnvEntry] = []
    for path in arguments["env_file"]:
        with open(path, encoding="utf-8") as file:
            entries += options.parse_env_file(file.read(), os.environ)
    entries += (options.parse_env(text, os.environ) for text in arguments["env"])
    return tuple(entries)


def _network(text: str) -> NetworkMode:
    match text:
        case "default" | "host" | "none":
            return text
        case _:
            raise UnsupportedError(
                f"run: --network {text} is not supported", hint="host and none are"
            )


def _not_empty(text: str | None, option: str) -> str | None:
    if text == "":
        raise UsageError(f"--{option} is empty")
    return text
