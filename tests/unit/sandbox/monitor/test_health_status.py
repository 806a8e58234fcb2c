from __future__ import annotations

from builder.sandbox.monitor.health import HealthStatus


def status_after(*results: tuple[int, float], start_period_s: float = 0, retries: int = 3) -> str:
    status = HealthStatus(start_period_s=start_period_s, retries=retries)
    for exit_code, age_s in results:
        status.take(exit_code, age_s)
    return f"{status.status} {status.failing_streak}"


def test_a_container_is_starting_until_a_check_says_more():
    assert status_after() == "starting 0"
    assert status_after((1, 1), (1, 2)) == "starting 2"


def test_one_success_makes_it_healthy_and_failures_in_a_row_unhealthy():
    assert status_after((0, 1)) == "healthy 0"
    assert status_after((0, 1), (1, 2), (1, 3)) == "healthy 2"
    assert status_after((0, 1), (1, 2), (-1, 3), (1, 4)) == "unhealthy 3"
    assert status_after((1, 2), (1, 3), (0, 4), (1, 5)) == "healthy 1"


def test_failures_in_the_start_period_do_not_count_unless_it_was_healthy():
    assert status_after((1, 1), (1, 2), start_period_s=5, retries=1) == "starting 0"
    assert status_after((1, 1), (1, 6), start_period_s=5, retries=1) == "unhealthy 1"
    assert status_after((0, 1), (1, 2), start_period_s=5, retries=1) == "unhealthy 1"


def test_only_a_change_of_the_status_is_told():
    status = HealthStatus(start_period_s=0, retries=2)
    told = [status.take(code, 1) for code in (1, 1, 1, 0, 0)]
    assert told == [False, True, False, True, False]
