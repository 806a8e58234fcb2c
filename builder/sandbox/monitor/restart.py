"""Whether and when a container that has ended is started again. Docker's rules and figures."""

from __future__ import annotations

_FIRST_DELAY_MS = 100
_MAX_DELAY_MS = 60_000
_LONG_RUN_S = 10.0
"""A container that ran so long came up well: the delay begins anew."""


class RestartPolicy:
    """As `builder.runtime.policies` reads it."""

    def __init__(self, name: str, max_retries: int) -> None:
        self.name = name
        self.max_retries = max_retries  # of on-failure; 0: no limit

    def restarts(self, exit_code: int, restart_count: int) -> bool:
        """Whether it is started again; `restart_count`: how often it was since a user did it."""
        match self.name:
            case "always" | "unless-stopped":
                return True
            case "on-failure":
                is_left = not self.max_retries or restart_count < self.max_retries
                return exit_code != 0 and is_left
            case _:
                return False


def next_delay_ms(last_ms: int, ran_s: float) -> int:
    """How long to wait, after a wait of `last_ms` (0: none) and a run of `ran_s`."""
    if not last_ms or ran_s >= _LONG_RUN_S:
        return _FIRST_DELAY_MS
    return min(2 * last_ms, _MAX_DELAY_MS)
