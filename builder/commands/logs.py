"""What a container has written."""

from __future__ import annotations

import time
from collections.abc import Iterator

from builder.engine import Engine
from builder.errors import UnsupportedError
from builder.runtime.containers import Containers
from builder.runtime.logentries import LogEntry
from builder.runtime.logs import LogQuery, LogSource, read_log


def logs(engine: Engine, text: str, query: LogQuery) -> Iterator[LogEntry]:
    """The entries of the container that `text` names; UnsupportedError where none are kept."""
    containers = Containers(engine.state, engine.database, engine.now)
    container = containers.load(containers.find(text))
    if container.host.policies.log.driver == "none":
        raise UnsupportedError(
            f"container {text} keeps no log: it has --log-driver none",
            hint="pybuild attach shows what it writes from now on",
        )

    def may_restart() -> bool:
        try:
            return containers.report(container).is_running
        except FileNotFoundError:  # it had --rm
            return False

    paths = containers.paths(container.container_id)
    return read_log(LogSource(paths, may_restart, time.time_ns), query)
