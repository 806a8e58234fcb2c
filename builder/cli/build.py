"""`pybuild build`, the default command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Unpack

import click

from builder.cli import build_options as options
from builder.cli.build_docker import BuildCommand, with_harmless_options
from builder.cli.build_limits import LimitOptions, step_limits, with_limit_options
from builder.cli.build_output import output_spec
from builder.cli.command import files
from builder.cli.registry_options import RegistryOptions, access_of, with_registry_options
from builder.cli.render.choose import renderer_for
from builder.cli.result_file import forget, write_result
from builder.commands.build import BuildRequest, BuiltImage, OutputSpec, build
from builder.errors import UsageError
from builder.frontend.plan import FrontendOptions
from builder.image.platform import host_platform, parse_platforms
from builder.settings import Settings, isolation_of, settings_from
from builder.wiring import open_engine
from builder.worker.contexts import MAIN_CONTEXT, BuildContexts, open_contexts
from cache.record import replace


class Arguments(RegistryOptions, LimitOptions):
    """The command's options as click hands them over."""

    context: str | None
    tags: tuple[str, ...]
    file: str | None
    build_args: tuple[str, ...]
    target: str
    no_cache: bool
    no_cache_filter: tuple[str, ...]
    platforms: tuple[str, ...]
    build_contexts: tuple[str, ...]
    labels: tuple[str, ...]
    network: str
    outputs: tuple[str, ...]
    progress: str
    iidfile: str | None
    metadata_file: str | None
    quiet: bool
    secrets: tuple[str, ...]
    ssh: tuple[str, ...]
    add_hosts: tuple[str, ...]
    allow: tuple[str, ...]
    isolation: str | None
    call: str
    check: bool
    format: str
    pull: bool
    push: bool


@click.command(cls=BuildCommand)
@click.argument("context", metavar="CONTEXT", required=False, shell_complete=files)
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the image.")
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    shell_complete=files,
    help="Dockerfile (default: CONTEXT/Dockerfile; - is stdin).",
)
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="K[=V]",
    help="Value of an ARG; K alone takes the environment's.",
)
@click.option("--target", default="", metavar="STAGE", help="Build this stage, by name or number.")
@click.option("--no-cache", is_flag=True, help="Run every step.")
@click.option(
    "--no-cache-filter", multiple=True, metavar="STAGE", help="Run every step of these stages."
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS/ARCH[/VARIANT],...",
    help="Platform of the image; of several, an image for each under one name.",
)
@click.option(
    "--build-context",
    "build_contexts",
    multiple=True,
    metavar="NAME=PLACE",
    help="DIR, oci-layout://DIR[:TAG] or docker-image://IMAGE under NAME.",
)
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label of the image.")
@click.option(
    "--network",
    default="default",
    metavar="default|host|none|NAME",
    help="Network of RUN steps (default: the host's).",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="type=T,dest=D",
    help="Write the image: type oci, docker, tar, local or registry; "
    "compression=gzip|zstd|uncompressed.",
)
@click.option("--push", is_flag=True, help="Short for --output type=registry.")
@click.option("--pull", is_flag=True, help="Ask the registries for images that are stored, too.")
@with_registry_options
@with_limit_options
@click.option(
    "--progress",
    default="auto",
    envvar="BUILDKIT_PROGRESS",
    type=click.Choice(["auto", "plain", "tty", "quiet", "rawjson"]),
    help="How progress is shown, on stderr.",
)
@click.option("--iidfile", metavar="FILE", help="Write the image id there.")
@click.option(
    "--metadata-file", metavar="FILE", help="Write the image's digests and names there, as JSON."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the image id alone.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="id=ID[,src=FILE|,env=VAR]",
    help="A secret for RUN --mount=type=secret.",
)
@click.option(
    "--ssh",
    multiple=True,
    metavar="default|ID[=SOCKET]",
    help="An ssh agent for RUN --mount=type=ssh.",
)
@click.option(
    "--add-host",
    "add_hosts",
    multiple=True,
    metavar="NAME:IP",
    help="A line of /etc/hosts in RUN steps.",
)
@click.option(
    "--isolation",
    metavar="namespaces|chroot",
    help="How RUN steps are kept apart; chroot, for containers that allow no namespaces, "
    "keeps apart files alone.",
)
@click.option(
    "--allow", multiple=True, metavar="ENTITLEMENT", help="security.insecure or network.host."
)
@click.option(
    "--call",
    default="build",
    metavar="build|check|outline|targets",
    help="Tell about the Dockerfile instead of building it.",
)
@click.option("--check", is_flag=True, help="Short for --call=check.")
@click.option(
    "--format", default="text", type=click.Choice(["text", "json"]), help="Of what --call prints."
)
@with_harmless_options
def command(**arguments: Unpack[Arguments]) -> int:
    """Build an image from a Dockerfile and the files in CONTEXT.

    CONTEXT is a directory, a tar archive, the URL of an archive, a Dockerfile or a Git repository
    (REPOSITORY.git#REF:DIRECTORY), or - for an archive or a Dockerfile on stdin.
    """  # fmt: skip
    if arguments["context"] is None:
        raise UsageError(
            "build needs a context: the directory that COPY takes files from",
            hint="mostly it is the present one: pybuild build .",
        )
    with ExitStack() as stack:
        contexts = stack.enter_context(
            open_contexts(
                arguments["context"],
                file=arguments["file"],
                named=options.key_values(arguments["build_contexts"], "build-context", None),
                keep_git_dir=options.keeps_git_dir(_build_args(arguments)),
            )
        )
        call = "check" if arguments["check"] else arguments["call"]
        if call != "build":
            from builder.cli.build_call import call_frontend

            return call_frontend(
                call, arguments["format"], contexts, frontend_options(arguments, contexts)
            )
        return _build(arguments, contexts)


def _build(arguments: Arguments, contexts: BuildContexts) -> int:
    quiet = arguments["quiet"] or arguments["progress"] == "quiet"
    progress = "quiet" if quiet else arguments["progress"]
    request = BuildRequest(
        dockerfile=contexts.dockerfile,
        contexts=contexts,
        options=frontend_options(arguments, contexts),
        platforms=parse_platforms(arguments["platforms"]),
        tags=arguments["tags"],
        outputs=outputs_of(arguments),
        secrets=options.secrets_of(arguments["secrets"], os.environ),
        ssh=options.ssh_of(arguments["ssh"], os.environ),
        limits=step_limits(arguments),
        network=options.network_name(arguments["network"]),
        pull=arguments["pull"],
    )
    for path in filter(None, (arguments["iidfile"], arguments["metadata_file"])):
        forget(path)
    access = access_of(arguments)
    renderer = renderer_for(progress, sys.stderr)
    settings = _settings(arguments)
    try:
        with open_engine(settings, emit=renderer, access=access) as engine:
            built = build(engine, request)
    finally:
        renderer.close()
    _tell(arguments, built, quiet=quiet, outputs=request.outputs)
    return 0


def _settings(arguments: Arguments) -> Settings:
    settings = settings_from(os.environ, euid=os.geteuid())
    isolation = arguments["isolation"]
    return settings if isolation is None else replace(settings, isolation=isolation_of(isolation))


def outputs_of(arguments: Arguments) -> tuple[OutputSpec, ...]:
    """Where the image goes, besides the store."""
    has_epoch = "SOURCE_DATE_EPOCH" in {*os.environ, *_build_args(arguments)}
    outputs = tuple(output_spec(text, has_epoch=has_epoch) for text in arguments["outputs"])
    if arguments["push"] and all(output.kind != "registry" for output in outputs):
        outputs += (OutputSpec("registry"),)
    named = all(
        output.names or arguments["tags"] for output in outputs if output.kind == "registry"
    )
    if not named:
        raise UsageError("a pushed image needs a name", hint="-t NAME says where it goes, too")
    return outputs


def frontend_options(arguments: Arguments, contexts: BuildContexts) -> FrontendOptions:
    """What the command line says about the meaning of the Dockerfile."""
    return FrontendOptions(
        build_args=_build_args(arguments),
        target=arguments["target"],
        labels=options.key_values(arguments["labels"], "label", None),
        platform=next(iter(parse_platforms(arguments["platforms"])), None),
        build_platform=host_platform(),
        directory_contexts=contexts.directory_names,
        image_contexts=contexts.images,
        network=options.network_mode(arguments["network"]),
        no_cache=arguments["no_cache"],
        no_cache_filter=frozenset(
            name for text in arguments["no_cache_filter"] for name in text.split(",")
        ),
        extra_hosts=options.hosts_of(arguments["add_hosts"]),
        allow=frozenset(arguments["allow"]),
        epoch=_epoch(os.environ),
        ignore=contexts.tree(MAIN_CONTEXT).ignore,
    )


def _build_args(arguments: Arguments) -> dict[str, str]:
    return options.key_values(arguments["build_args"], "build-arg", os.environ)


def _epoch(environment: Mapping[str, str]) -> int | None:
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdecimal():
        raise UsageError(
            f'SOURCE_DATE_EPOCH "{text}" is not a number', hint="seconds since 1970-01-01"
        )
    return int(text)


def _tell(
    arguments: Arguments, built: BuiltImage, *, quiet: bool, outputs: tuple[OutputSpec, ...]
) -> None:
    image_id = built.image.image_id
    if arguments["iidfile"]:
        write_result(arguments["iidfile"], image_id.encode())
    if arguments["metadata_file"]:
        _write_metadata(arguments["metadata_file"], arguments["tags"], built)
    if any(output.dest == "-" for output in outputs):
        return  # stdout is the archive's
    if quiet:
        click.echo(image_id)
        return
    for image in built.platforms or (built.image,):
        shown = f" for {image.config.platform}" if built.platforms else ""
        click.echo(f"image {image.image_id}{shown}", err=True)
    for tag in arguments["tags"]:
        click.echo(f"tagged {tag}", err=True)
    for output, exported in zip(outputs, built.exported, strict=True):
        if exported.dest:
            done = "pushed" if output.kind == "registry" else "wrote"
            click.echo(f"{done} {exported.dest}", err=True)


def _write_metadata(path: str, tags: tuple[str, ...], built: BuiltImage) -> None:
    import json

    digest = next((item.digest for item in built.exported if item.digest), "")
    metadata: dict[str, str] = {}
    if not built.platforms:  # an index has no config
        metadata["containerimage.config.digest"] = built.image.image_id
    if digest:
        metadata["containerimage.digest"] = digest
    if tags:
        metadata["image.name"] = ",".join(tags)
    write_result(path, f"{json.dumps(metadata, indent=2)}\n".encode())
