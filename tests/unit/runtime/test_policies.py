from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UnsupportedError
from builder.image.jsonobject import parse_object
from builder.image.model import ContainerConfig, Healthcheck
from builder.runtime.errors import InvalidOptionError
from builder.runtime.policies import (
    HealthCheck,
    HealthOptions,
    LogConfig,
    Policies,
    RestartPolicy,
    health_check,
    healthcheck,
    parse_health_duration,
    parse_health_retries,
    parse_log_config,
    parse_restart_policy,
    parse_stop_timeout,
    policies_dict,
    policies_of,
)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", RestartPolicy()),
        ("no", RestartPolicy()),
        ("always", RestartPolicy("always")),
        ("unless-stopped", RestartPolicy("unless-stopped")),
        ("on-failure", RestartPolicy("on-failure")),
        ("on-failure:3", RestartPolicy("on-failure", 3)),
        ("on-failure:0", RestartPolicy("on-failure")),
    ],
)
def test_a_restart_policy_is_read(text: str, policy: RestartPolicy):
    assert parse_restart_policy(text) == policy


@pytest.mark.parametrize(
    "text", ["never", "always:3", "no:1", "on-failure:", "on-failure:-1", "on-failure:x", "ALWAYS"]
)
def test_another_restart_policy_is_refused(text: str):
    with pytest.raises(InvalidOptionError, match="--restart"):
        parse_restart_policy(text)


def test_each_policy_restarts_when_it_says():
    assert not RestartPolicy().restarts(1, restart_count=0)
    assert RestartPolicy("always").restarts(0, restart_count=1000)
    assert RestartPolicy("unless-stopped").restarts(0, restart_count=0)
    limited = RestartPolicy("on-failure", 2)
    assert limited.restarts(1, restart_count=1)
    assert not limited.restarts(1, restart_count=2)
    assert not limited.restarts(0, restart_count=0)
    assert RestartPolicy("on-failure").restarts(1, restart_count=1000)


def test_log_options_are_read_in_decimal_units():
    log = parse_log_config("json-file", ["max-size=10m", "max-file=3", "labels=a, b,", "env=E"])
    assert log == LogConfig("json-file", 10_000_000, 3, ("a", "b"), ("E",))
    assert parse_log_config("", ["max-size=1.5KB"]).max_size_bytes == 1500
    assert parse_log_config("", ["max-size=-1"]) == parse_log_config("", []) == LogConfig()
    assert parse_log_config("none", []) == LogConfig("none")


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("", ["max-size"]),
        ("", ["max-size=0"]),
        ("", ["max-size=x"]),
        ("", ["max-size=1q"]),
        ("", ["max-size=inf"]),
        ("", ["max-file=0", "max-size=1m"]),
        ("", ["max-file=-1"]),
        ("", ["max-file=2"]),
        ("none", ["max-size=1m"]),
    ],
)
def test_log_options_that_make_no_sense_are_refused(driver: str, options: list[str]):
    with pytest.raises(InvalidOptionError):
        parse_log_config(driver, options)


@pytest.mark.parametrize(
    ("driver", "options"),
    [("journald", []), ("syslog", []), ("", ["tag=x"]), ("", ["compress=true"])],
)
def test_log_drivers_and_options_that_are_missing_are_refused_by_name(
    driver: str, options: list[str]
):
    with pytest.raises(UnsupportedError, match=driver or options[0].partition("=")[0]):
        parse_log_config(driver, options)


def test_a_log_line_carries_the_labels_and_variables_that_there_are():
    config = ContainerConfig(labels=(("a", "1"), ("z", "9")), env=(("E", "x=y"),))
    log = LogConfig(labels=("a", "b"), env=("E", "F"))
    assert log.attributes(config) == (("a", "1"), ("E", "x=y"))


def test_stop_timeouts_are_whole_seconds():
    assert parse_stop_timeout("0", option="--time") == 0
    assert parse_stop_timeout("-1", option="--time") == -1
    for text in ("", "-", "-2", "1.5", "1s", "\u0661"):
        with pytest.raises(InvalidOptionError, match="--time"):
            parse_stop_timeout(text, option="--time")


def test_health_durations_are_those_of_go():
    assert parse_health_duration("1m30s", option="-") == 90_000_000_000
    assert parse_health_duration("0", option="-") == parse_health_duration("0s", option="-") == 0
    for text in ("5", "-1s", "1us", "x", ""):
        with pytest.raises(InvalidOptionError, match="--health-interval"):
            parse_health_duration(text, option="--health-interval")
    assert parse_health_retries("4") == 4
    with pytest.raises(InvalidOptionError):
        parse_health_retries("-1")


IMAGE_CHECK = Healthcheck(("CMD", "probe"), interval_ns=5, retries=9)


def test_the_command_line_changes_of_a_health_check_what_it_names():
    asked = HealthOptions(check=Healthcheck((), timeout_ns=7, retries=2))
    merged = healthcheck(IMAGE_CHECK, asked)
    assert merged == Healthcheck(("CMD", "probe"), interval_ns=5, timeout_ns=7, retries=2)
    assert healthcheck(IMAGE_CHECK, HealthOptions()) == IMAGE_CHECK
    assert healthcheck(None, asked) == asked.check
    assert healthcheck(None, HealthOptions()) is None


def test_a_health_check_that_was_taken_away_is_none():
    off = healthcheck(IMAGE_CHECK, HealthOptions(disabled=True))
    assert off == Healthcheck(("NONE",))
    assert health_check(ContainerConfig(healthcheck=off)) is None
    assert health_check(ContainerConfig()) is None
    assert health_check(ContainerConfig(healthcheck=Healthcheck(()))) is None
    assert health_check(ContainerConfig(healthcheck=Healthcheck(("CMD",)))) is None


def test_a_health_check_runs_with_the_images_shell_and_the_default_times():
    shell = ContainerConfig(healthcheck=Healthcheck(("CMD-SHELL", "x && y")))
    assert health_check(shell) == HealthCheck(("/bin/sh", "-c", "x && y"), 30, 30, 0, 5, 3)
    other = ContainerConfig(
        healthcheck=Healthcheck(("CMD-SHELL", "x"), 10**9, 2 * 10**9, 3 * 10**9, 10**8, 1),
        shell=("/bin/bash", "-euc"),
    )
    assert health_check(other) == HealthCheck(("/bin/bash", "-euc", "x"), 1, 2, 3, 0.1, 1)


def test_times_of_an_image_that_make_no_sense_are_the_defaults():
    hostile = Healthcheck(("CMD", "x"), -5, -5, -5, 1, -1)
    assert health_check(ContainerConfig(healthcheck=hostile)) == HealthCheck(("x",))


@given(
    st.builds(
        Policies,
        restart=st.builds(
            RestartPolicy, st.sampled_from(["no", "on-failure", "always"]), st.integers(0, 99)
        ),
        log=st.builds(
            LogConfig,
            st.sampled_from(["json-file", "none"]),
            st.integers(0, 10**12),
            st.integers(1, 99),
            st.lists(st.text(max_size=5)).map(tuple),
        ),
        stop_timeout_s=st.none() | st.integers(-1, 1000),
        init=st.booleans(),
    )
)
def test_policies_come_back_from_the_record(policies: Policies):
    blob = json.dumps(policies_dict(policies)).encode()
    assert policies_of(parse_object(blob, what="record")) == policies


def test_a_record_without_policies_has_the_defaults():
    assert policies_of(None) == Policies()
