"""List containers, and tell all about one."""

from __future__ import annotations

from builder.commands.networkstore import network_store
from builder.engine import Engine
from builder.network.model import Live
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.errors import UnknownContainerError
from builder.runtime.filters import Filter, Lookups, asks_for_status, matching
from builder.runtime.health import health_document, health_status
from builder.runtime.inspect import inspect_document
from builder.runtime.networkview import network_settings, ports_shown
from cache.descriptor import chain_id, chain_ids
from cache.errors import NotFoundError
from cache.record import record, replace
from cache.treesize import tree_bytes


@record
class PsRequest:
    """Which containers to list."""

    every: bool = False  # those too that don't run
    last: int = 0  # only so many of the latest, whatever they do; 0: no limit
    filters: tuple[Filter, ...] = ()
    sizes: bool = False  # measure what they have written


def list_containers(engine: Engine, request: PsRequest) -> tuple[ContainerReport, ...]:
    """The containers, the latest first."""
    containers = Containers(engine.state, engine.database, engine.now)

    def created_of(text: str) -> float:
        return containers.load(containers.find(text)).created

    def image_ids_of(text: str) -> frozenset[str]:
        """It, and those that were made from it."""
        image = engine.images.find(text)
        if image is None:
            return frozenset()
        stack = image.config.diff_ids
        made = (one for one in engine.images.list() if stack == one.config.diff_ids[: len(stack)])
        return frozenset((image.image_id, *(one.image_id for one in made if stack)))

    live = network_store(engine).live()
    reports = [_seen(report, containers, live) for report in containers.reports()]
    found = matching(reports, request.filters, Lookups(created_of, image_ids_of))
    if not (request.every or request.last or asks_for_status(request.filters)):
        found = tuple(report for report in found if report.is_running)
    shown = found[: request.last] if request.last else found
    return tuple(_measured(engine, report) for report in shown) if request.sizes else shown


def _seen(report: ContainerReport, containers: Containers, live: Live) -> ContainerReport:
    paths = containers.paths(report.container.container_id)
    ports = ports_shown(report.container, live, running=report.is_running)
    return replace(report, ports=ports, health=health_status(report, paths))


def _measured(engine: Engine, report: ContainerReport) -> ContainerReport:
    container = report.container
    containers = Containers(engine.state, engine.database, engine.now)
    own = tree_bytes(containers.paths(container.container_id).upperdir)
    infos = map(engine.snapshots.info, chain_ids(container.diff_ids))
    whole = own + sum(info.size_bytes for info in infos if info is not None)
    return replace(report, sizes=(own, whole))


def inspect_container(engine: Engine, text: str) -> dict[str, object] | None:
    """What `docker inspect` shows of the container that `text` names; None where there is none."""
    containers = Containers(engine.state, engine.database, engine.now)
    try:
        container = containers.load(containers.find(text))
    except UnknownContainerError:
        return None
    try:
        lowerdirs = engine.snapshots.view(chain_id(container.diff_ids)).lowerdirs
    except NotFoundError:
        lowerdirs = ()  # its image was removed by force and pruned
    report = containers.report(container)
    networks = network_store(engine)
    pid = report.state.pid if report.is_running else 0
    return inspect_document(
        report,
        containers.paths(container.container_id),
        lowerdirs=lowerdirs,
        volume_dir=containers.volumes.data_dir,
        health=health_document(report, containers.paths(container.container_id)),
        network=network_settings(container, networks.live(), networks.named, pid=pid),
    )
