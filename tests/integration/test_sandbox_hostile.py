"""Images that try to reach out of the sandbox."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from conftest import person_of, require_kind
from support.sandbox import sandbox_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(params=["root", "rootless"])
def person(request: pytest.FixtureRequest):
    require_kind(request.param)
    return person_of(request.param)


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
@pytest.mark.parametrize("target", ["../../..", "/etc"])
def test_a_link_in_place_of_a_system_directory_is_refused(person, name: str, target: str):
    with sandbox_of(person, change=lambda rootfs: (rootfs / name).symlink_to(target)) as sandbox:
        ran = sandbox.run("true")
        assert ran.error == "isolation"
        assert f"/{name}" in ran.message
        assert sandbox.upperdir.joinpath(name).exists() is False


def test_mount_targets_follow_links_inside_the_root_only(person):
    def change(rootfs: Path):
        (rootfs / "out").symlink_to("../../../../../../tmp/pybuild-escaped")
        (rootfs / "absolute").symlink_to("/tmp/pybuild-escaped")

    points = [("/out/a", True), ("/absolute/b", True)]
    with sandbox_of(person, change=change, points=points) as sandbox:
        mounts = [["tmpfs", {"target": "/out/a"}], ["tmpfs", {"target": "/absolute/b"}]]
        ran = sandbox.shell("ls -d /tmp/pybuild-escaped/a /tmp/pybuild-escaped/b", mounts=mounts)
        assert ran.code == 0
        assert not Path("/tmp/pybuild-escaped").exists()


def test_a_mount_target_that_leads_to_the_root_is_refused(person):
    def change(rootfs: Path):
        (rootfs / "data").symlink_to("../..")

    with sandbox_of(person, change=change) as sandbox:
        ran = sandbox.run("true", mounts=[["tmpfs", {"target": "/data"}]])
        assert ran.error == "mount-target"


def test_host_files_bound_over_links_stay_inside(person):
    victim = Path("/etc/passwd").read_bytes()

    def change(rootfs: Path):
        (rootfs / "etc" / "hosts").symlink_to("../../../../../../etc/passwd")

    with sandbox_of(person, change=change) as sandbox:
        source = sandbox.directory / "hosts"
        source.write_text("mine\n")
        source.chmod(0o666)
        mounts = [["bind", {"source": str(source), "target": "/etc/hosts"}]]
        ran = sandbox.shell("cat /etc/passwd; echo more >> /etc/hosts", mounts=mounts)
        assert (ran.code, ran.output) == (0, "mine\n")
        assert source.read_text() == "mine\nmore\n"
        assert Path("/etc/passwd").read_bytes() == victim


def test_a_huge_passwd_is_refused(person):
    def change(rootfs: Path):
        with (rootfs / "etc" / "passwd").open("wb") as file:
            file.truncate(1 << 40)

    with sandbox_of(person, change=change) as sandbox:
        assert sandbox.run("true").error == "unknown-account"
        assert sandbox.run("true", env=["PATH=/bin", "HOME=/"]).code == 0


def test_a_fifo_as_passwd_is_refused_and_waits_for_nobody(person):
    def change(rootfs: Path):
        (rootfs / "etc" / "passwd").unlink()
        os.mkfifo(rootfs / "etc" / "passwd")

    with sandbox_of(person, change=change) as sandbox:
        assert sandbox.run("true").error == "unknown-account"


def test_passwd_as_a_link_to_the_hosts_is_read_inside(person):
    def change(rootfs: Path):
        (rootfs / "etc" / "real").write_text("root:x:0:0::/inside:/bin/sh\n")
        (rootfs / "etc" / "passwd").unlink()
        (rootfs / "etc" / "passwd").symlink_to("/etc/real")

    with sandbox_of(person, change=change) as sandbox:
        assert sandbox.shell("echo $HOME").output == "/inside\n"


def test_a_working_directory_cannot_be_a_descriptor_of_the_hosts(person):
    with sandbox_of(person) as sandbox:
        for number in range(3, 30):
            ran = sandbox.shell("pwd", cwd=f"/proc/self/fd/{number}")
            assert ran.error in {"working-directory", "isolation"} or ran.output.startswith("/proc")


def test_the_interpreter_of_the_server_cannot_be_written_by_anybody(person):
    with sandbox_of(person) as sandbox:
        pid = sandbox.start("sleep 1000")
        server = int(
            Path(f"/proc/{sandbox.driver.pid}/task/{sandbox.driver.pid}/children").read_text()
        )
        program = f"/proc/{server}/exe"  # what "/proc/self/exe" is to an image that executes that
        with pytest.raises(OSError, match="Read-only file system"):
            os.chmod(program, stat.S_IMODE(os.stat(program).st_mode))
        sandbox.call("signal", pid, 9)
        sandbox.call("wait", pid, 10)


def test_a_set_user_id_program_of_the_image_gains_nothing_with_no_new_privileges(person):
    def change(rootfs: Path):
        (rootfs / "bin" / "busybox").chmod(0o4755)

    with sandbox_of(person, change=change) as sandbox:
        os.chmod(sandbox.lowerdir / "bin" / "busybox", 0o4755)
        ran = sandbox.shell(
            "grep Uid /proc/self/status", credentials=[100, 101, []], no_new_privileges=True
        )
        assert ran.output.split()[2] == "100"


def test_modules_of_the_image_are_never_imported(person):
    def change(rootfs: Path):
        for name in ("encodings", "codecs", "errno", "os", "traceback"):
            (rootfs / f"{name}.py").write_text("import os; os.write(1, b'imported')\n")

    with sandbox_of(person, change=change) as sandbox:
        ran = sandbox.run("missing")
        assert ran.error == "program-not-found"
        assert sandbox.shell("echo ok").output == "ok\n"
