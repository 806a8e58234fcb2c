"""Where the system, or a container around pybuild, gives less than the sandbox wants."""

from __future__ import annotations

import subprocess

import pytest

from support.sandbox import honest_prefix, interpreter, packages, sandbox_of
from support.users import current_person, ordinary_person

pytestmark = [pytest.mark.privileged, pytest.mark.needs("root", "subids", "busybox")]

ENTER = """
import sys
sys.path.append({packages!r})
from builder.sandbox.idmap import enter_private_namespaces
from cache.errors import PybuildError
try:
    print(enter_private_namespaces())
except PybuildError as error:
    print(error.code, error.message, error.hint)
"""


def enter(person, *around: str) -> str:
    """What comes of it when `person` enters namespaces with `around` before the command."""
    program = ENTER.format(packages=str(packages()))
    argv = [*around, *honest_prefix(person), interpreter(person), "-I", "-c", program]
    done = subprocess.run(
        argv, env=person.environment(), cwd="/", capture_output=True, text=True, check=True
    )
    return done.stdout


def shell_around(script: str, *before: str) -> list[str]:
    return [*before, "sh", "-ec", f'{script}; exec "$@"', "sh"]


def test_without_user_namespaces_the_setting_is_named():
    script = "echo 0 > /proc/sys/user/max_user_namespaces"
    around = shell_around(script, "unshare", "--user", "--map-root-user")
    without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    said = enter(current_person(), *around, *without)
    assert said.startswith("isolation")
    assert "/proc/sys/user/max_user_namespaces" in said


def test_without_newuidmap_one_id_is_used_and_the_package_is_named():
    said = enter(ordinary_person(), "env")
    assert "warnings=()" in said
    hidden = shell_around(
        "mount -t tmpfs none /usr/bin/newuidmap 2>&- || mount --bind /dev/null /usr/bin/newuidmap",
        "unshare",
        "--mount",
    )
    said = enter(ordinary_person(), *hidden)
    assert "newuidmap" in said
    assert "uidmap" in said


def test_root_without_the_capability_to_mount_uses_a_user_namespace():
    with sandbox_of(current_person(), around=["setpriv", "--bounding-set=-sys_admin"]) as sandbox:
        ran = sandbox.shell("id -u; cat /proc/self/uid_map")
        assert ran.lines[0] == "0"
        assert len(ran.lines) == 2
        assert sandbox.one_id


def test_where_proc_is_partly_hidden_the_surrounding_one_is_shown_and_that_is_said():
    around = shell_around("mount --bind /dev/null /proc/interrupts", "unshare", "--mount")
    with sandbox_of(ordinary_person(), around=around) as sandbox:
        ran = sandbox.shell("cat /proc/self/status; cat /proc/keys /proc/interrupts")
        assert ran.code == 0
        assert "Seccomp:\t2" in ran.output
        (warning,) = sandbox.call("facts")["warnings"]
        assert "/proc" in warning
