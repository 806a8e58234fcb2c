"""List containers, and tell all about one."""

from __future__ import annotations

from builder.commands.networks import network_store
from builder.engine import Engine
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.errors import UnknownContainerError
from builder.runtime.filters import Filter, Lookups, asks_for_status, matching
from builder.runtime.inspect import inspect_document
from builder.runtime.networkview import network_settings, ports_shown
from cache.descriptor import chain_id
from cache.errors import NotFoundError
from cache.record import record, replace


@record
class PsRequest:
    """Which containers to list."""

    every: bool = False  # those too that don't run
    last: int = 0  # only so many of the latest, whatever they do; 0: no limit
    filters: tuple[Filter, ...] = ()


def list_containers(engine: Engine, request: PsRequest) -> tuple[ContainerReport, ...]:
    """The containers, the latest first."""
    containers = Containers(engine.state, engine.database, engine.now)

    def created_of(text: str) -> float:
        return containers.load(containers.find(text)).created

    def image_ids_of(text: str) -> frozenset[str]:
        image = engine.images.find(text)
        return frozenset((image.image_id,) if image else ())

    found = matching(containers.reports(), request.filters, Lookups(created_of, image_ids_of))
    if not (request.every or request.last or asks_for_status(request.filters)):
        found = tuple(report for report in found if report.is_running)
    live = network_store(engine).live()
    shown = found[: request.last] if request.last else found
    return tuple(
        replace(each, ports=ports_shown(each.container, live, running=each.is_running))
        for each in shown
    )


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
        network=network_settings(container, networks.live(), networks.named, pid=pid),
    )
