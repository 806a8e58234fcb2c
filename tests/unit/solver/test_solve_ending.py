"""How solving ends when something goes wrong on the way."""

import _thread
import threading
from contextlib import contextmanager

import pytest

from builder.events import StepFailed, StepFinished, StepStarted
from builder.graph.model import CopyOp, HttpOp, Vertex, VertexId
from builder.solver.api import Result
from builder.solver.solve import solve
from cache.digest import sha256_digest
from cache.record import replace
from support.graphs import BASE, CONTEXT, FakeIndex, FakeWorker, copy, graph, run, solving

DOWNLOAD = Vertex(VertexId("url"), HttpOp("http://host/f", "f", ""), (), "http://host/f")


class Waiting(FakeWorker):
    """Its steps last until they are cancelled; `interrupts` is called once all of them run."""

    def run(self, vertex, inputs):
        self.ran.append(vertex.id)
        if len(self.ran) == self.expected:
            self.when_all_run()
        assert self.cancelled.wait(timeout=10)
        self.ended.append(vertex.id)
        raise ValueError("canceled")


def waiting(expected, when_all_run):
    worker = Waiting()
    worker.expected, worker.when_all_run, worker.ended = expected, when_all_run, []
    return worker


def test_an_interrupt_cancels_the_running_steps_and_waits_for_their_end():
    worker = waiting(2, _thread.interrupt_main)
    left, right = run("left", BASE), run("right", BASE)
    with pytest.raises(KeyboardInterrupt), solving(worker, FakeIndex()) as tools:
        solve(graph(BASE, left, right, copy("f", left, right)), tools)
    assert sorted(worker.ended) == ["left", "right"]


def test_an_interrupt_while_sources_are_fetched_waits_for_their_end():
    worker = waiting(1, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt), solving(worker, FakeIndex()) as tools:
        solve(graph(BASE, DOWNLOAD, copy("f", BASE, DOWNLOAD)), tools)
    assert worker.ended == ["url"]


def test_a_failure_that_nobody_can_be_told_of_still_ends_the_build():
    def nobody_reads(event):
        if isinstance(event, StepFailed):
            raise BrokenPipeError

    outcome = []
    with solving(FakeWorker(failing={"one"}), FakeIndex()) as tools:
        unheard = replace(tools, emit=nobody_reads)

        def body():
            try:
                solve(graph(BASE, run("one", BASE)), unheard)
            except ValueError as error:
                outcome.append(str(error))

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join(timeout=10)
    assert outcome == ["one"]


def test_a_download_is_told_from_its_start_to_its_end():
    class Downloads(FakeWorker):
        def run(self, vertex, inputs):
            if vertex is DOWNLOAD:
                return Result(source=sha256_digest(b"f"))
            return super().run(vertex, inputs)

    events = []
    with solving(Downloads(), FakeIndex(), events) as tools:
        solve(graph(BASE, DOWNLOAD, copy("f", BASE, DOWNLOAD)), tools)
    told = [type(event) for event in events if getattr(event, "vertex", "") == "url"]
    assert told == [StepStarted, StepFinished]


def test_a_step_that_must_run_runs_also_where_all_below_it_is_known():
    index, again = FakeIndex(), FakeWorker()
    one = run("one", BASE)
    with solving(FakeWorker(), index) as tools:
        solve(graph(BASE, CONTEXT, one, copy("f", one, CONTEXT)), tools)
    anew = run("one", BASE, no_cache=True)
    with solving(again, index) as tools:
        solve(graph(BASE, CONTEXT, anew, copy("f", anew, CONTEXT)), tools)
    assert again.ran == ["one"]


def test_a_linked_copy_of_inline_files_depends_on_its_bases_owners():
    class Owners(FakeWorker):
        def file_digest(self, vertex, inputs):
            return None if inputs[0] is None else sha256_digest(inputs[0].chain.encode())

    op = CopyOp(sources=(), inline_files=(), dest="/f", link=True, chown="somebody")
    index = FakeIndex()

    def ran(base):
        worker = Owners()
        step = Vertex(VertexId("copy"), op, (base.id,), "COPY")
        with solving(worker, index) as tools:
            solve(graph(BASE, base, step), tools)
        return worker.ran

    assert ran(run("one", BASE)) == ["one", "copy"]
    assert ran(run("two", BASE)) == ["two", "copy"], "its names may mean other ids there"
    assert ran(run("one", BASE)) == []


@contextmanager
def never(name):
    raise AssertionError(name)
    yield


def test_what_is_known_takes_no_lock():
    index = FakeIndex()
    wanted = graph(BASE, run("one", BASE))
    with solving(FakeWorker(), index) as tools:
        solve(wanted, tools)
        solve(wanted, replace(tools, lock=never))
