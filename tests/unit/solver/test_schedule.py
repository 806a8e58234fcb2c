from builder.solver.api import Result
from builder.solver.schedule import Schedule
from support.graphs import BASE, copy, graph, run

KNOWN_BASE = {BASE.id: Result(BASE.operation.diff_ids)}


def test_only_what_the_target_needs_is_started():
    needed, unneeded = run("needed", BASE), run("unneeded", BASE)
    schedule = Schedule(graph(BASE, unneeded, needed), KNOWN_BASE)
    assert schedule.start() == needed
    assert schedule.start() is None


def test_a_step_waits_for_all_of_its_inputs():
    left, right = run("left", BASE), run("right", BASE)
    joined = copy("f", left, right)
    schedule = Schedule(graph(BASE, left, right, joined), KNOWN_BASE)
    assert [schedule.start(), schedule.start(), schedule.start()] == [left, right, None]
    schedule.finish(left.id, Result())
    assert schedule.start() is None
    schedule.finish(right.id, Result())
    assert schedule.start() == joined


def test_an_input_named_twice_is_waited_for_once():
    one = run("one", BASE)
    twice = copy("f", one, one)
    schedule = Schedule(graph(BASE, one, twice), KNOWN_BASE)
    schedule.start()
    schedule.finish(one.id, Result())
    assert schedule.start() == twice


def test_nothing_above_a_known_result_is_needed():
    one = run("one", BASE)
    two = run("two", one)
    schedule = Schedule(graph(BASE, one, two), {two.id: Result()})
    assert schedule.done
    assert schedule.start() is None
