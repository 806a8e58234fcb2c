"""What a user is told of a failure in the sandbox."""

from __future__ import annotations

import errno

import pytest

from builder.sandbox.failures import error_of


@pytest.mark.parametrize(
    ("operation", "number", "path", "code", "status"),
    [
        ("execute", errno.ENOENT, "nothing", "program-not-found", 127),
        ("execute", errno.ENOTDIR, "/a/b", "program-not-found", 127),
        ("execute", errno.EACCES, "/tmp", "program-not-executable", 126),
        ("execute", errno.ENOEXEC, "/s", "program-not-executable", 126),
        ("execute", errno.E2BIG, "/s", "program-not-executable", 126),
        ("interpreter", errno.ENOENT, "/s", "program-not-found", 127),
        ("cwd", errno.EACCES, "/private", "working-directory", 126),
        ("mount", errno.EBUSY, "/data", "mount-target", 1),
        ("mount", errno.EPERM, "/proc", "isolation", 1),
        ("mount", errno.ENOTDIR, "/dev", "isolation", 1),
        ("user", errno.EINVAL, "5:5", "isolation", 1),
        ("namespaces", errno.ENOSPC, "", "isolation", 1),
        ("seccomp", errno.EINVAL, "", "isolation", 1),
    ],
)
def test_each_failure_has_its_code_and_names_what_it_is_about(
    operation: str, number: int, path: str, code: str, status: int
):
    error = error_of(operation, number, path)
    assert (error.code, error.exit_status) == (code, status)
    assert path in error.message


def test_a_denied_namespace_comes_with_a_hint():
    assert "max_" in str(error_of("namespaces", errno.ENOSPC, "").hint)
    assert "seccomp" in str(error_of("namespaces", errno.EPERM, "").hint)
