"""What a run leaves of its mount points in the layer: nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from conftest import person_of, require_kind
from support.sandbox import sandbox_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

OLD = 1_000_000_000


@pytest.fixture(params=["root", "rootless"])
def person(request: pytest.FixtureRequest):
    require_kind(request.param)
    return person_of(request.param)


def tree(directory: Path) -> dict[str, str]:
    """Path → kind and mode of all that is there."""
    paths = {
        str(path.relative_to(directory)): path.lstat().st_mode for path in directory.rglob("*")
    }
    return {path: stat.filemode(mode) for path, mode in sorted(paths.items())}


def test_missing_mount_points_leave_nothing(person):
    with sandbox_of(person, points=[("/root/.cache/pip", True)]) as sandbox:
        ran = sandbox.shell("ls -d /proc /sys /dev /etc/hosts /etc/resolv.conf /root/.cache/pip")
        assert ran.code == 0
        sandbox.finish()
        assert tree(sandbox.upperdir) == {}


def test_what_the_run_makes_beside_them_stays(person):
    with sandbox_of(person, points=[("/root/.cache/pip", True)]) as sandbox:
        mounts = [["tmpfs", {"target": "/root/.cache/pip"}]]
        ran = sandbox.shell(
            "echo x > /root/x; echo x > /etc/x; echo x > /root/.cache/pip/x", mounts=mounts
        )
        assert ran.code == 0
        sandbox.finish()
        assert list(tree(sandbox.upperdir)) == ["etc", "etc/x", "root", "root/x"]


def test_a_directory_made_for_a_mount_alone_goes_whatever_its_mode_became(person):
    with sandbox_of(person, points=[("/srv/cache", True)]) as sandbox:
        mounts = [["tmpfs", {"target": "/srv/cache"}]]
        assert sandbox.shell("chmod 700 /srv", mounts=mounts).code == 0
        sandbox.finish()
        assert tree(sandbox.upperdir) == {}


def test_a_change_of_a_directory_of_the_image_stays(person):
    with sandbox_of(person) as sandbox:
        assert sandbox.shell("chmod 700 /etc").code == 0
        sandbox.finish()
        assert tree(sandbox.upperdir) == {"etc": "drwx------"}


def test_a_mount_point_behind_a_dangling_link_leaves_nothing(person):
    def change(rootfs: Path):
        (rootfs / "run").mkdir()
        (rootfs / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
        os.utime(rootfs / "run", (OLD, OLD))

    with sandbox_of(person, change=change) as sandbox:
        source = sandbox.directory / "resolv"
        source.write_text("nameserver 192.0.2.1\n")
        mounts = [["bind", {"source": str(source), "target": "/etc/resolv.conf"}]]
        ran = sandbox.shell("cat /etc/resolv.conf; stat -c %Y /run", mounts=mounts)
        assert ran.lines == ["nameserver 192.0.2.1", str(OLD)]
        sandbox.finish()
        assert tree(sandbox.upperdir) == {}


def test_what_is_written_beside_a_mount_point_behind_a_link_stays(person):
    def change(rootfs: Path):
        (rootfs / "run").mkdir()
        (rootfs / "etc" / "hosts").symlink_to("/run/hosts")

    with sandbox_of(person, change=change) as sandbox:
        assert sandbox.shell("echo x > /run/pid").code == 0
        sandbox.finish()
        assert list(tree(sandbox.upperdir)) == ["run", "run/pid"]


@pytest.mark.parametrize("hidden_by", ["whiteout", "opaque directory"])
def test_mount_points_that_a_layer_has_removed_leave_nothing(person, hidden_by: str):
    prefix = "trusted" if person.is_root else "user"

    def layer(second: Path):
        (second / "etc").mkdir()
        if hidden_by == "whiteout":
            for name in ("hosts", "hostname", "resolv.conf"):
                os.mknod(second / "etc" / name, stat.S_IFCHR, os.makedev(0, 0))
        else:
            os.setxattr(second / "etc", f"{prefix}.overlay.opaque", b"y")
        os.utime(second / "etc", (OLD, OLD))

    with sandbox_of(person, layer=layer) as sandbox:
        ran = sandbox.shell("ls /etc/hosts /etc/hostname /etc/resolv.conf; stat -c %Y /etc")
        assert (ran.code, ran.lines[-1]) == (0, str(OLD))
        sandbox.finish()
        assert tree(sandbox.upperdir) == {}


def test_in_a_tree_without_an_overlay_they_are_taken_away_again(person):
    def change(rootfs: Path):
        os.utime(rootfs / "etc", (OLD, OLD))
        before.update(tree(rootfs))

    before: dict[str, str] = {}
    with sandbox_of(person, change=change, overlay=False) as sandbox:
        assert sandbox.shell("ls /proc/self /etc/hosts").code == 0
        sandbox.finish()
        assert tree(sandbox.lowerdir) == before
        assert (sandbox.lowerdir / "etc").stat().st_mtime == OLD
