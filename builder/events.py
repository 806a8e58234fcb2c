"""What happens during a build, as data: the renderers show it, nothing else depends on it."""

from __future__ import annotations

from collections.abc import Callable

from builder.location import Span
from cache.record import record


@record
class StepStarted:
    """A step that must run has begun."""

    vertex: str  # its id
    name: str  # "[build 2/4] RUN make"


@record
class StepCached:
    """A step's result was known."""

    vertex: str
    name: str


@record
class StepOutput:
    """Bytes that a step's process wrote to stdout or stderr, in order."""

    vertex: str
    output: bytes


@record
class StepProgress:
    """How far a step has come; `total_bytes` is 0 where it isn't known."""

    vertex: str
    what: str
    done_bytes: int
    total_bytes: int


@record
class StepFinished:
    """A step has ended well."""

    vertex: str
    seconds: float


@record
class StepFailed:
    """A step has ended badly; the error itself is raised by `solve`."""

    vertex: str
    seconds: float
    message: str


@record
class Warned:
    """Something the user should know that does not stop the build.

    `rule` is BuildKit's name of a build check ("StageNameCasing"), or "" for other warnings.
    """

    message: str
    rule: str = ""
    url: str = ""
    span: Span | None = None


Event = StepStarted | StepCached | StepOutput | StepProgress | StepFinished | StepFailed | Warned
Emit = Callable[[Event], None]
"""Takes an event; called from several threads, must not raise, returns at once."""
