from __future__ import annotations

import pytest

from builder.sandbox.monitor.restart import RestartPolicy, next_delay_ms


@pytest.mark.parametrize(
    ("name", "retries", "code", "count", "restarts"),
    [
        ("no", 0, 1, 0, False),
        ("always", 0, 0, 99, True),
        ("unless-stopped", 0, 0, 0, True),
        ("on-failure", 0, 0, 0, False),
        ("on-failure", 0, 1, 99, True),
        ("on-failure", 2, 1, 1, True),
        ("on-failure", 2, 1, 2, False),
    ],
)
def test_a_container_is_started_again_as_its_policy_says(name, retries, code, count, restarts):
    assert RestartPolicy(name, retries).restarts(code, count) is restarts


def test_the_delay_doubles_to_a_minute_and_begins_anew_after_a_long_run():
    delays = [0]
    while delays[-1] < 60_000:
        delays.append(next_delay_ms(delays[-1], ran_s=1))
    assert delays[1:4] == [100, 200, 400]
    assert next_delay_ms(60_000, ran_s=1) == 60_000
    assert next_delay_ms(60_000, ran_s=10) == 100
