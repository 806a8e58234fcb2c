"""What a runtime has written when it failed."""

from __future__ import annotations

import json

import pytest

from builder.runtime.ociruntime.failures import RuntimeFailedError, failure, last_error
from builder.sandbox.errors import ProgramNotExecutableError, ProgramNotFoundError


def log_of(text: str) -> str:
    return json.dumps({"level": "error", "msg": text})


def test_the_last_error_of_the_log_counts():
    log = f"{log_of('first')}\n{json.dumps({'level': 'warning', 'msg': 'x'})}\n"
    assert last_error(log) == "first"
    assert last_error(f"{log}{log_of('second')}\n") == "second"


def test_a_log_that_is_no_json_is_quoted_by_its_last_line():
    assert last_error("a\nb\n") == "b"
    assert last_error("[1]\n") == "[1]"
    assert last_error("") == ""


@pytest.mark.parametrize("text", [
    'exec: "nope": executable file not found in $PATH',
    "executable file `nope` not found in $PATH: No such file or directory",
])  # fmt: skip
def test_a_missing_program_is_one(text: str):
    assert isinstance(failure("runc", "create", log_of(text), wanted="nope"), ProgramNotFoundError)


def test_a_program_that_may_not_be_executed_is_one():
    text = 'exec: "/etc/passwd": permission denied'
    found = failure("runc", "create", log_of(text), wanted="/etc/passwd")
    assert isinstance(found, ProgramNotExecutableError)


def test_all_else_is_the_runtimes_failure_with_its_words():
    found = failure("/x/runc", "create", log_of("mounting /proc: permission denied"), wanted="sh")
    assert isinstance(found, RuntimeFailedError)
    assert found.message == "runc create failed: mounting /proc: permission denied"
    assert failure("/x/y", "start", "", wanted="sh").message == "y start failed: it said nothing"
