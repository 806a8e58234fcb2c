"""Build: Dockerfile text to a stored image; each line of `build` is a folder of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.engine import Engine
from builder.errors import UsageError
from builder.events import Warned
from builder.export.api import Compression, Exported, ExportRequest
from builder.frontend.lower import plan
from builder.frontend.plan import CheckWarning, FrontendOptions, Plan
from builder.graph.model import Graph
from builder.graph.order import merged, stack_of
from builder.image.assemble import assemble, seconds_of
from builder.image.codec import encode_config
from builder.image.imagestore import best_for
from builder.image.model import ImageConfig, Platform, StoredImage
from builder.image.platform import host_platform
from builder.image.reference import new_name
from builder.location import SourceFile
from builder.sandbox.steplimits import StepLimits
from builder.solver.api import Result
from builder.solver.solve import Solving, solve_all
from builder.worker.contexts import BuildContexts
from builder.worker.image_step import PullsImages, StoreResolver
from builder.worker.local import LocalWorker
from builder.worker.parts import LayerSinks, StepInputs
from cache.digest import sha256_digest
from cache.leases import Lease
from cache.record import field, record, replace

COMPRESSED_OUTPUTS = frozenset({"oci", "oci-dir", "registry"})
"""Outputs whose layers are compressed by default."""

STORED_OUTPUTS = frozenset({"image", "registry"})
"""Outputs that have a name instead of a file."""


@record
class OutputSpec:
    """One `--output`."""

    kind: str  # oci, docker, tar, local, image, registry
    dest: str = ""
    names: tuple[str, ...] = ()  # as given; normalised here
    compression: Compression | None = None
    compression_level: int | None = None
    force_compression: bool = False
    annotations: tuple[tuple[str, str], ...] = ()
    index_annotations: tuple[tuple[str, str], ...] = ()
    push_by_digest: bool = False  # under no tag: names say the repository
    platform_split: bool | None = None  # of trees: a directory a platform; None: of several


@record
class BuildRequest:
    """All that a build is asked for."""

    dockerfile: SourceFile
    contexts: BuildContexts
    options: FrontendOptions
    tags: tuple[str, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    ssh: Mapping[str, str] = field(default_factory=dict[str, str])  # id → socket
    limits: StepLimits = field(default_factory=StepLimits)
    network: str = ""  # of `pybuild network`, for RUN steps; "": as the steps say
    pull: bool = False  # ask the registries for images that the store has, too
    platforms: tuple[Platform, ...] = ()  # several: an image for each; `options` has the first


@record
class BuiltImage:
    """What a build gave; `image` is the only one, or the one that the names mean first."""

    image: StoredImage
    platforms: tuple[StoredImage, ...]  # where it was built for several: all
    exported: tuple[Exported, ...]
    warnings: tuple[CheckWarning, ...]


def build(engine: Engine, request: BuildRequest) -> BuiltImage:
    """Turn Dockerfile text into a stored image, tag it and export it."""
    check_outputs(request.outputs)  # before anything is built
    _check_platforms(request)
    if request.network:
        from builder.commands.network_choice import check_build_network  # noqa: PLC0415 - few do

        check_build_network(engine, request.network)
    tags = _tags(request)
    with engine.leases.hold() as lease:
        resolver = resolver_of(engine, lease, always=request.pull)
        plans = [plan(request.dockerfile, options, resolver) for options in _options(request)]
        announce(engine, plans[0])
        inputs = StepInputs(
            request.contexts, request.secrets, request.ssh, request.limits, request.network
        )
        sinks = _sinks(engine, [planned.graph for planned in plans], request.outputs)
        with LocalWorker(engine, lease, inputs, sinks=sinks) as worker:
            solving = Solving(
                worker=worker,
                index=engine.index,
                emit=engine.emit,
                lock=lambda name: engine.state.lock(name, given_up=worker.is_cancelled),
                now=engine.now,
            )
            solved = _solve(plans, solving)
            images = [store(engine, *pair, lease) for pair in zip(plans, solved, strict=True)]
            image, platforms = _named(engine, images, tags)
        exported = tuple(
            _export(engine, image, platforms, output, tags) for output in request.outputs
        )
    return BuiltImage(image, platforms, exported, plans[0].warnings)


def _check_platforms(request: BuildRequest) -> None:
    if len(request.platforms) > 1 and any(one.kind == "docker" for one in request.outputs):
        raise UsageError(
            "a docker archive holds one platform",
            hint="use --output type=oci, or build for one --platform",
        )
    if len(request.platforms) > 1 and any(one.platform_split is False for one in request.outputs):
        raise UsageError(
            "--output platform-split=false is for one platform",
            hint="the files of several would be mixed",
        )


def _options(request: BuildRequest) -> tuple[FrontendOptions, ...]:
    """What each platform's image is planned by."""
    several = len(request.platforms) > 1
    return tuple(
        replace(request.options, platform=platform, names_platform=several)
        for platform in request.platforms or (request.options.platform,)
    )


def _solve(plans: Sequence[Plan], solving: Solving) -> tuple[Result, ...]:
    """All platforms at once: a step that several of them need is done once."""
    return solve_all(merged([planned.graph for planned in plans]), solving)


def _named(
    engine: Engine, images: Sequence[StoredImage], tags: Sequence[str]
) -> tuple[StoredImage, tuple[StoredImage, ...]]:
    """The image that the names mean where no platform is said, and all if there are several."""
    distinct = tuple({image.image_id: image for image in images}.values())
    by_platform = {image.config.platform: image for image in distinct}
    image = best_for(by_platform, host_platform()) or distinct[0]
    for tag in tags:
        if len(distinct) > 1:
            engine.images.tag_platforms(tag, by_platform, image)
        else:
            engine.images.tag(tag, image.image_id)
    if len(distinct) == 1:
        return engine.images.get(image.image_id), ()
    return engine.images.get(image.image_id), distinct


def check_outputs(outputs: tuple[OutputSpec, ...]) -> None:
    """UsageError for what can be seen to be wrong without an image."""
    for output in outputs:
        for name in output.names:
            new_name(name)
        if not output.dest and output.kind not in STORED_OUTPUTS:
            raise UsageError(
                f"--output type={output.kind} needs dest=",
                hint=f"for example --output type={output.kind},dest=out",
            )
    if sum(output.dest == "-" for output in outputs) > 1:
        raise UsageError(
            "two outputs cannot both go to stdout", hint="give one of them a file: dest=FILE"
        )


def resolver_of(engine: Engine, lease: Lease, *, always: bool = False) -> StoreResolver:
    """Finds images in the store and in registries; `always` asks those for stored ones, too."""

    def puller() -> PullsImages:
        from builder.worker.pull import Puller  # noqa: PLC0415 - most builds pull nothing

        return Puller(engine, engine.registries())

    return StoreResolver(engine, lease, puller, always=always)


def _sinks(
    engine: Engine, graphs: Sequence[Graph], outputs: tuple[OutputSpec, ...]
) -> LayerSinks | None:
    """Compresses the targets' new layers while they are packed, where an output wants that."""
    wanted = next((one for one in outputs if one.kind in COMPRESSED_OUTPUTS), None)
    if wanted is None or wanted.compression == "uncompressed":
        return None
    return LayerSinks(
        vertices=frozenset(vertex.id for graph in graphs for vertex in stack_of(graph)),
        open=lambda: engine.layer_sink(wanted.compression, wanted.compression_level),
    )


def _tags(request: BuildRequest) -> tuple[str, ...]:
    """The image's names in the store: of `-t`, and of outputs that go there."""
    stored = (one for one in request.outputs if one.kind in {"image", "registry"})
    named = (one for one in stored if not one.push_by_digest)
    kept = (name for one in named for name in one.names)
    return tuple(dict.fromkeys(map(new_name, (*request.tags, *kept))))


def announce(engine: Engine, planned: Plan) -> None:
    """Tell what the Dockerfile's checks found, and which build args nothing took."""
    for warning in planned.warnings:
        engine.emit(Warned(warning.message, warning.rule, warning.url, warning.span))
    if planned.unused_build_args:
        names = ", ".join(planned.unused_build_args)
        engine.emit(Warned(f"[Warning] One or more build-args [{names}] were not consumed"))


def store(engine: Engine, planned: Plan, solved: Result, lease: Lease) -> StoredImage:
    """Keep the image that `solved` is the root filesystem of."""
    sizes, times = _layers(engine, solved)
    config = image_config(planned, solved, times)
    lease.add("image", sha256_digest(encode_config(config)))  # until it has its names
    return engine.images.put(config, sizes)


def _layers(engine: Engine, solved: Result) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size in bytes and time of writing of each layer of the stack."""
    sizes: list[int] = []
    times: list[int] = []
    for chain in solved.chains:
        info = engine.snapshots.info(chain)
        assert info is not None, "a solved layer is leased"
        sizes.append(info.size_bytes)
        times.append(info.written_at)
    return tuple(sizes), tuple(times)


def image_config(planned: Plan, solved: Result, times: tuple[int, ...]) -> ImageConfig:
    """The image's config.

    Its times are those of its layers, so that a build that found everything in the cache gives
    the same image again.
    """
    own = sum(not entry.empty_layer for entry in planned.history)
    base_times = [seconds_of(entry.created) or 0.0 for entry in planned.base_history]
    return assemble(
        platform=planned.platform,
        config=planned.config,
        base_history=planned.base_history,
        history=planned.history,
        diff_ids=solved.diff_ids,
        layer_times=times[len(times) - own :],
        created=max([*base_times, *times[len(times) - own :]], default=0.0),
        author=planned.author,
        epoch=planned.epoch,
    )


def _export(
    engine: Engine,
    image: StoredImage,
    platforms: tuple[StoredImage, ...],
    output: OutputSpec,
    tags: tuple[str, ...],
) -> Exported:
    if output.kind == "image":
        return Exported(dest="")
    names = tuple(map(new_name, output.names)) or tags
    return engine.exporter(output.kind).export(
        ExportRequest(
            image=image,
            names=names,
            dest=output.dest,
            compression=output.compression,
            compression_level=output.compression_level,
            force_compression=output.force_compression,
            annotations=output.annotations,
            index_annotations=output.index_annotations,
            platforms=platforms or ((image,) if output.platform_split else ()),
            by_digest=output.push_by_digest,
        )
    )
