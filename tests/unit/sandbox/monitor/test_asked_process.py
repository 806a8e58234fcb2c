from __future__ import annotations

from builder.sandbox.api import Credentials, Hooks, ProcessSpec, Stdio
from builder.sandbox.child.program import environment_of
from builder.sandbox.child.request import Request
from builder.sandbox.monitor.asked import Asked, decoded, encoded
from builder.sandbox.monitor.entrants import request_of
from builder.sandbox.requests import Descriptors
from builder.sandbox.requests import request_of as first_request_of

SPEC = ProcessSpec(
    rootfs_dir="/r",
    args=("server",),
    env=("PATH=/bin", "A=1", "HOME=/srv"),
    cwd="/srv",
    credentials=Credentials(5, 6, (7,)),
)


def template() -> Request:
    return first_request_of(
        SPEC,
        Stdio(),
        Descriptors(),
        env=SPEC.env,
        seccomp_fd=None,
        cgroup_fds=(),
        joined_fds=(),
        hooks=Hooks(),
        rootless=False,
    ).changed(seccomp_fd=9)


def asked(**options) -> Request:
    return request_of(decoded(encoded(Asked(args=("sh",), **options))), template(), (21, 22))


def test_what_is_not_asked_is_as_with_the_first_process():
    request = asked()
    assert (request.args, request.cwd, request.env) == (("sh",), "/srv", SPEC.env)
    assert (request.uid, request.gid, request.groups) == (5, 6, (7,))
    assert (request.seccomp_fd, request.terminal) == (9, False)
    assert request.stdio_fds == (-1, -1, -1)


def test_variables_are_changed_and_taken_away():
    request = asked(env=(("A", "2"), ("PATH", None), ("B", "3")))
    assert environment_of(request.env) == {"A": "2", "HOME": "/srv", "B": "3"}


def test_another_user_has_another_home_unless_one_is_asked_for():
    request = asked(user=(1, 2, (), "/root"))
    assert (request.uid, request.gid, request.groups) == (1, 2, ())
    assert environment_of(request.env)["HOME"] == "/root"
    request = asked(user=(1, 2, (), "/root"), env=(("HOME", "/x"),))
    assert environment_of(request.env)["HOME"] == "/x"


def test_a_terminal_has_a_kind_and_a_size():
    request = asked(terminal=True, terminal_size=(24, 80))
    assert environment_of(request.env)["TERM"] == "xterm"
    assert request.terminal_size == (24, 80)


def test_the_descriptors_are_found_by_their_places():
    assert asked(stdio=(1, 0, 0)).stdio_fds == (22, 21, 21)


def test_privileged_is_without_a_filter_and_with_all_capabilities():
    request = asked(privileged=True)
    assert request.seccomp_fd == -1
    assert request.capabilities == (1 << 41) - 1
