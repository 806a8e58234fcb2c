import threading

import pytest

from builder.events import StepCached, StepFailed, StepFinished
from builder.solver.solve import solve
from support.graphs import BASE, CONTEXT, FakeIndex, FakeWorker, copy, graph, run, solving


def solved(wanted, worker, index, events=None):
    with solving(worker, index, events) as tools:
        return solve(wanted, tools)


def two_steps(*, no_cache=False):
    first = run("one", BASE, no_cache=no_cache)
    return graph(BASE, first, run("two", first, no_cache=no_cache))


def test_a_second_build_runs_nothing_and_gives_the_same_result():
    index, again = FakeIndex(), FakeWorker()
    first = solved(two_steps(), FakeWorker(), index)
    assert solved(two_steps(), again, index) == first
    assert again.ran == []


def test_all_steps_of_a_cached_build_are_told_as_cached():
    index, events = FakeIndex(), []
    solved(two_steps(), FakeWorker(), index)
    solved(two_steps(), FakeWorker(), index, events)
    assert [event.name for event in events] == ["FROM base", "RUN one", "RUN two"]
    assert all(isinstance(event, StepCached) for event in events)


def test_a_layer_that_is_gone_is_made_again():
    index, again = FakeIndex(), FakeWorker()
    first = solved(two_steps(), FakeWorker(), index)
    again.gone.add(first.diff_ids[-1])
    assert solved(two_steps(), again, index) == first
    assert again.ran == ["two"]


def test_a_changed_file_runs_its_copy_and_what_is_below_it():
    index = FakeIndex()
    before = run("before", BASE)
    taken = copy("f", before, CONTEXT)
    wanted = graph(BASE, CONTEXT, before, taken, run("after", taken))
    solved(wanted, FakeWorker(files={"copy f": "1"}, layers={"copy f": "1"}), index)
    again = FakeWorker(files={"copy f": "2"}, layers={"copy f": "2"})
    solved(wanted, again, index)
    assert again.ran == ["copy f", "after"]


def test_a_step_that_gives_the_same_layer_again_lets_the_steps_below_it_hit():
    index, again = FakeIndex(), FakeWorker()
    first = solved(graph(BASE, one := run("one", BASE), run("two", one)), FakeWorker(), index)
    other = run("one", BASE, no_cache=True)  # must run, and gives what it gave
    assert solved(graph(BASE, other, run("two", other)), again, index) == first
    assert again.ran == ["one"]
    changed = run("uno", BASE)
    again.layers["uno"] = "one"
    assert solved(graph(BASE, changed, run("two", changed)), again, index) == first
    assert again.ran == ["one", "uno"]


def test_no_cache_runs_every_step_and_keeps_the_results():
    index, again = FakeIndex(), FakeWorker()
    solved(two_steps(no_cache=True), FakeWorker(), index)
    solved(two_steps(no_cache=True), again, index)
    assert again.ran == ["one", "two"]
    third = FakeWorker()
    solved(two_steps(), third, index)
    assert third.ran == []


def test_a_linked_copy_moves_to_a_new_parent_without_copying():
    index, again = FakeIndex(), FakeWorker()
    old, new = run("old", BASE), run("new", BASE)
    first = solved(graph(BASE, CONTEXT, old, copy("f", old, CONTEXT, link=True)), again, index)
    second = solved(graph(BASE, CONTEXT, new, copy("f", new, CONTEXT, link=True)), again, index)
    assert again.ran == ["old", "copy f", "new"]
    assert second.diff_ids[-1] == first.diff_ids[-1]
    assert second.diff_ids[:-1] != first.diff_ids[:-1]


def test_independent_steps_run_at_the_same_time():
    worker = FakeWorker(together=threading.Barrier(2))
    left, right = run("left", BASE), run("right", BASE)
    wanted = graph(BASE, left, right, copy("f", left, right))
    worker.together = threading.Barrier(2, action=lambda: setattr(worker, "together", None))
    solved(wanted, worker, FakeIndex())
    assert sorted(worker.ran[:2]) == ["left", "right"]


def test_the_first_error_is_raised_and_the_others_are_cancelled():
    worker, events = FakeWorker(failing={"bad"}), []
    good, bad = run("good", BASE), run("bad", BASE)
    with pytest.raises(ValueError, match="bad"):
        solved(graph(BASE, good, bad, copy("f", good, bad)), worker, FakeIndex(), events)
    assert worker.cancelled.is_set()
    assert "copy f" not in worker.ran
    assert [event.vertex for event in events if isinstance(event, StepFailed)] == ["bad"]
    assert [event.vertex for event in events if isinstance(event, StepFinished)] == ["good"]


def test_what_a_failed_build_has_done_is_known_to_the_next():
    index, again = FakeIndex(), FakeWorker()
    with pytest.raises(ValueError, match="two"):
        solved(two_steps(), FakeWorker(failing={"two"}), index)
    solved(two_steps(), again, index)
    assert again.ran == ["two"]


def test_a_failed_step_is_not_known():
    index = FakeIndex()
    with pytest.raises(ValueError, match="one"):
        solved(graph(BASE, run("one", BASE)), FakeWorker(failing={"one"}), index)
    assert index.records == {}
