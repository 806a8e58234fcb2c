"""Steps in threads of their own, and what came of them.

An interrupt may come between any two instructions of the solving thread, so what that thread has
heard of is not what there is: at the end the threads themselves are waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from builder.events import Emit, StepFailed
from builder.graph.model import Vertex
from builder.solver.api import Result
from cache.record import record


@record
class _Outcome:
    """How a step ended: with a result or with an error."""

    vertex: Vertex
    result: Result | None
    error: BaseException | None


class StepThreads:
    """Used from one thread; `end` is to be called whenever not all outcomes were taken."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._threads: list[threading.Thread] = []
        self._outcomes: SimpleQueue[_Outcome] = SimpleQueue()

    def start(self, vertex: Vertex, work: Callable[[Vertex], Result]) -> None:
        """Do `work` in a thread; its outcome will be one of the next."""
        # daemon: one that nothing can wake must not keep a process alive that was told to end
        thread = threading.Thread(
            target=self._body, args=(vertex, work), name=vertex.name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def take(self) -> tuple[Vertex, Result]:
        """Wait for the next outcome; raises its error."""
        outcome = self._outcomes.get()
        if outcome.error is not None:
            raise outcome.error
        assert outcome.result is not None, "what has no error has a result"
        return outcome.vertex, outcome.result

    def end(self, cancel: Callable[[], None]) -> None:
        """Have the steps that still run end, and wait for them; a second interrupt is raised."""
        interrupted = False
        while True:
            try:
                cancel()
                for thread in self._threads:
                    if thread.is_alive():
                        thread.join()
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
            else:
                return

    def _body(self, vertex: Vertex, work: Callable[[Vertex], Result]) -> None:
        started = time.monotonic()
        outcome = _Outcome(vertex, None, None)
        try:
            outcome = _Outcome(vertex, work(vertex), None)
        except BaseException as error:  # noqa: BLE001 - raised again by the solving thread
            outcome = _Outcome(vertex, None, error)
            message = str(error) or type(error).__name__
            with suppress(OSError):  # whoever read the progress has gone: the outcome still counts
                self._emit(StepFailed(vertex.id, time.monotonic() - started, message))
        finally:
            self._outcomes.put(outcome)
