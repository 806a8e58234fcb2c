"""What containers use of the machine, over a little while."""

from __future__ import annotations

import time
from collections.abc import Iterator

from builder.engine import Engine
from builder.runtime.container import ContainerReport
from builder.runtime.containers import Containers
from builder.runtime.errors import BrokenContainerError
from builder.runtime.usage import Usage, usage_of
from cache.record import record


@record
class Sample:
    """One container's use; `usage` is None where it doesn't run."""

    asked: str  # the name that the user wrote, or the id
    report: ContainerReport
    usage: Usage | None
    cpu_percent: float = 0.0  # of one processor, since the sample before

    @property
    def memory_percent(self) -> float:
        """Of what it may use."""
        if self.usage is None or not self.usage.memory_limit_bytes:
            return 0.0
        return 100 * self.usage.memory_bytes / self.usage.memory_limit_bytes


def samples(
    engine: Engine, names: tuple[str, ...], *, every: bool, interval_s: float
) -> Iterator[tuple[Sample, ...]]:
    """A sample of each container after each interval; without names of those that run, or `every`.

    UnknownContainerError for a name that none has.
    """
    containers = Containers(engine.state, engine.database, engine.now)
    ids = tuple((name, containers.find(name)) for name in names)
    before, moment = _taken(containers, ids, every=every), time.monotonic()
    while True:
        time.sleep(interval_s)
        now, later = _taken(containers, ids, every=every), time.monotonic()
        yield tuple(
            _with_cpu(sample, _used(before, sample.report), later - moment) for sample in now
        )
        before, moment = now, later


def _taken(
    containers: Containers, ids: tuple[tuple[str, str], ...], *, every: bool
) -> tuple[Sample, ...]:
    return tuple(
        Sample(name, report, usage_of(report.state) if report.is_running else None)
        for name, report in _reports(containers, ids, every=every)
    )


def _reports(
    containers: Containers, ids: tuple[tuple[str, str], ...], *, every: bool
) -> Iterator[tuple[str, ContainerReport]]:
    if ids:
        for name, container_id in ids:
            report = _report(containers, container_id)
            if report is not None:
                yield name, report
        return
    for report in containers.reports():
        if every or report.is_running:
            yield report.container.short_id, report


def _report(containers: Containers, container_id: str) -> ContainerReport | None:
    try:
        return containers.report(containers.load(container_id))
    except BrokenContainerError:  # removed meanwhile
        return None


def _used(samples_before: tuple[Sample, ...], report: ContainerReport) -> int | None:
    """Processor time that the same run of the container had used before."""
    for sample in samples_before:
        same = sample.report.container.container_id == report.container.container_id
        if same and sample.report.state.started_at == report.state.started_at and sample.usage:
            return sample.usage.cpu_ns
    return None


def _with_cpu(sample: Sample, before_ns: int | None, seconds: float) -> Sample:
    if sample.usage is None or before_ns is None or seconds <= 0:
        return sample
    used_s = max(sample.usage.cpu_ns - before_ns, 0) / 1_000_000_000
    return Sample(sample.asked, sample.report, sample.usage, 100 * used_s / seconds)
