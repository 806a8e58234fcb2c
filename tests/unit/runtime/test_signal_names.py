from __future__ import annotations

import signal

import pytest

from builder.runtime.errors import InvalidOptionError
from builder.runtime.signalnames import signal_number, stop_signal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("KILL", 9),
        ("SIGTERM", 15),
        ("sighup", 1),
        ("9", 9),
        ("64", 64),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_a_signal_is_read(text: str, number: int):
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "0", "65", "-9", "FOO", "SIG", "TERM+1", "RTMIN+", "RTMIN+99", "RTMAX+1", "\u0669", "1.5"],
)
def test_what_is_no_signal_is_refused(text: str):
    with pytest.raises(InvalidOptionError, match="--signal"):
        signal_number(text)


def test_an_image_whose_stop_signal_is_none_is_stopped_by_term():
    assert stop_signal("SIGQUIT") == signal.SIGQUIT
    assert stop_signal("") == stop_signal("nonsense") == signal.SIGTERM


def test_a_number_is_a_plain_one():
    for text in ("", "TERM", "nonsense", "RTMIN+1", "9"):
        assert type(stop_signal(text)) is int
