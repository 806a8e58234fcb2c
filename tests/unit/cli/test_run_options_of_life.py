from __future__ import annotations

import pytest

from builder.cli.run_line import OPTIONS
from builder.cli.run_options_life import (
    health_of,
    image_choice_of,
    labels_of,
    policies_of,
    stop_signal_of,
)
from builder.cli.run_words import Line, read
from builder.commands.run_image import ImageChoice
from builder.errors import UsageError
from builder.image.model import Healthcheck, Platform
from builder.runtime.errors import InvalidOptionError
from builder.runtime.policies import HealthOptions, LogConfig, Policies, RestartPolicy


def line(*words: str) -> Line:
    found = read([*words, "image"], OPTIONS)
    assert found is not None
    return found


def test_a_line_without_them_says_nothing():
    assert policies_of(line()) == Policies()
    assert health_of(line()) == HealthOptions()
    assert stop_signal_of(line()) == ""


def test_policies_are_read():
    words = ("--restart", "on-failure:2", "--init", "--stop-timeout", "3", "--log-driver=none")
    assert policies_of(line(*words)) == Policies(
        RestartPolicy("on-failure", 2), LogConfig("none"), 3, init=True
    )


def test_restarts_and_removal_at_the_end_contradict_each_other():
    with pytest.raises(UsageError, match="--rm"):
        policies_of(line("--rm", "--restart", "always"))
    assert policies_of(line("--rm", "--restart", "no")) == Policies()


def test_a_stop_signal_keeps_its_spelling():
    assert stop_signal_of(line("--stop-signal", "quit")) == "quit"
    with pytest.raises(InvalidOptionError, match="--stop-signal"):
        stop_signal_of(line("--stop-signal", "nonsense"))


def test_a_health_check_is_read():
    words = ("--health-cmd", "test -e /ok", "--health-interval=1s", "--health-retries", "2")
    assert health_of(line(*words)) == HealthOptions(
        check=Healthcheck(("CMD-SHELL", "test -e /ok"), interval_ns=10**9, retries=2)
    )
    times_alone = health_of(line("--health-start-period", "5s"))
    assert times_alone.check == Healthcheck((), start_period_ns=5 * 10**9)


def test_a_health_check_can_be_taken_away():
    off = HealthOptions(disabled=True)
    assert health_of(line("--no-healthcheck")) == health_of(line("--health-cmd", "none")) == off
    with pytest.raises(UsageError, match="--health-cmd"):
        health_of(line("--no-healthcheck", "--health-cmd", "true"))


def test_labels_come_from_files_and_the_line_wins(tmp_path):
    file = tmp_path / "labels"
    file.write_text("a=1\n\n# b=0\n b=2 \nc\n")
    found = labels_of(line("--label-file", str(file), "-l", "b=3"))
    assert dict(found) == {"a": "1", "b": "3", "c": ""}


def test_the_image_can_be_asked_for_again_or_never():
    assert image_choice_of(line()) == ImageChoice()
    chosen = image_choice_of(line("--pull=never", "--platform", "linux/arm64", "-q"))
    assert chosen == ImageChoice("never", Platform("linux", "arm64", ""), quiet=True)
    with pytest.raises(UsageError, match="--pull"):
        image_choice_of(line("--pull", "sometimes"))
