"""`cp` and `export` of real containers, as root and rootless, seen from inside and outside."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, running
from support.commands import pybuild_argv, pybuild_environment
from support.pybuild import Pybuild, remove

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def stopped(box: Pybuild) -> Iterator[str]:
    """A container that has ended, with a volume of its own at /vol."""
    box("run", "--name", "stopped", "-v", "/vol", "box", "true").ok()
    yield "stopped"
    box("rm", "-v", "stopped").ok()


@pytest.fixture
def mine(box: Pybuild) -> Iterator[Path]:
    """Files of the caller's."""
    folder = box.context({"a": "a\n", "sub/b": "b\n"}, name="mine")
    (folder / "link").symlink_to("a")
    box.give(folder)
    yield folder
    remove(folder)


def seen(box: Pybuild, name: str, script: str) -> str:
    """What a shell sees in the files of the container, which a commit makes an image of."""
    box("commit", name, "seen").ok()
    return box("run", "--rm", "seen", "sh", "-c", script).ok().stdout


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar.getmembers()}


def stdout_of(box: Pybuild, *args: str) -> bytes:
    import subprocess

    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    argv = pybuild_argv(args, user=box.user)
    return subprocess.run(
        argv, env=environment, cwd=box.folder, stdout=subprocess.PIPE, check=True
    ).stdout


def test_what_is_copied_into_a_container_is_roots_there(box: Pybuild, stopped: str, mine: Path):
    box("cp", mine, f"{stopped}:/tree").ok()
    box("cp", f"{mine}/.", f"{stopped}:/vol").ok()
    script = "cd /tree/mine && stat -c '%u:%g %N' a sub/b link; cat a"
    assert seen(box, stopped, script) == "0:0 a\n0:0 sub/b\n0:0 'link' -> 'a'\na\n"
    assert "/vol" not in box("diff", stopped).ok().stdout


def test_a_volume_of_a_container_that_has_ended_is_seen(box: Pybuild, stopped: str, mine: Path):
    box("cp", mine / "a", f"{stopped}:/vol/in").ok()
    name = box.inspect(stopped)["Mounts"][0]["Name"]
    assert box("run", "--rm", "-v", f"{name}:/v", "box", "cat", "/v/in").ok().stdout == "a\n"
    box("cp", f"{stopped}:/vol/in", "out").ok()
    assert (box.folder / "out").read_text() == "a\n"
    (box.folder / "out").unlink()


def test_what_is_copied_out_is_the_callers(box: Pybuild, stopped: str):
    box("cp", f"{stopped}:/data", "got").ok()
    got = box.folder / "got"
    assert (got / "file").read_text() == "from the image\n"
    assert {(each.lstat().st_uid, each.lstat().st_gid) for each in (got, *got.rglob("*"))} == {
        (box.user.uid, box.user.gid)
    }
    assert os.readlink(got / "sub" / "link") == "../file"
    remove(got)


def test_owners_stay_with_a(box: Pybuild, stopped: str):
    archive = stdout_of(box, "cp", f"{stopped}:/data", "-")
    assert members(archive)["data/file"].uid == 1000
    box("cp", "-a", "-", f"{stopped}:/vol", stdin=archive).ok()
    box("cp", "-a", f"{stopped}:/vol/data", "kept").ok()
    box("cp", "-a", "kept", f"{stopped}:/again").ok()
    script = "stat -c '%u:%g %a' /again/file /again"
    assert seen(box, stopped, script) == "1000:1000 640\n0:0 750\n"
    remove(box.folder / "kept")


def test_an_archive_goes_in_and_comes_out(box: Pybuild, stopped: str):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("made/by/tar")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"tar"))
    box("cp", "-", f"{stopped}:/tree", stdin=packed.getvalue()).ok()
    assert sorted(members(stdout_of(box, "cp", f"{stopped}:/tree", "-"))) == [
        *("tree", "tree/leaf", "tree/made", "tree/made/by", "tree/made/by/tar")
    ]
    assert box("cp", "-", f"{stopped}:/plain.txt", stdin=packed.getvalue()).status == 1


def test_a_running_container_is_copied_from_and_to_as_its_processes_see_it(
    box: Pybuild, mine: Path
):
    script = "echo inside > /tmpfs/made; echo ready; sleep 1000"
    args = ("--name", "runs", "--tmpfs", "/tmpfs", "-v", "/vol", "box", "sh", "-c", script)
    with running(box, *args):
        box("cp", "runs:/tmpfs/made", "made").ok()
        assert (box.folder / "made").read_text() == "inside\n"
        (box.folder / "made").unlink()
        box("cp", mine / "a", "runs:/tmpfs/in").ok()
        box("cp", "runs:/tmpfs/in", "runs:/vol/across").ok()
        box("cp", "runs:/vol/across", "back").ok()
        assert (box.folder / "back").read_text() == "a\n"
        (box.folder / "back").unlink()
        refused = box("cp", mine / "a", "runs:/proc/sys/kernel/core_pattern")
        assert refused.status == 1
        box("cp", "runs:/proc/self/root/etc/keep", "leaked")
        assert not (box.folder / "leaked").exists()


def test_a_container_that_was_never_started_takes_files(box: Pybuild, mine: Path):
    args = ("--name", "made", "-v", "/vol", "box", "cat", "/vol/a", "/tree/in")
    box("create", *args).ok()
    box("cp", mine / "a", "made:/vol").ok()
    box("cp", mine / "sub" / "b", "made:/tree/in").ok()
    assert box("start", "-a", "made").ok().stdout == "a\nb\n"
    box("rm", "-v", "made").ok()


def test_a_link_of_the_container_leads_neither_in_nor_out(box: Pybuild, mine: Path):
    outside = box.context({"secret": "secret\n"}, name="outside")
    script = f"ln -s {outside} /way; ln -s {outside}/secret /one; mkdir /d; ln -s {outside} /d/mine"
    box("run", "--name", "hostile", "box", "sh", "-c", script).ok()
    assert box("cp", "-L", "hostile:/one", "stolen").status == 1
    assert box("cp", "hostile:/way/secret", "stolen").status == 1
    assert box("cp", mine / "a", "hostile:/way/planted").status == 1
    assert box("cp", mine / "a", "hostile:/one").status == 1
    assert box("cp", mine, "hostile:/d").status == 1
    assert not (box.folder / "stolen").exists()
    assert {each.name: each.read_text() for each in outside.iterdir()} == {"secret": "secret\n"}
    box("rm", "hostile").ok()


def test_a_container_that_swaps_its_files_during_a_copy_gets_nothing(box: Pybuild, mine: Path):
    outside = box.context({"secret": "secret\n"}, name="outside")
    swap = (
        "mkdir -p /real/d; touch /real/d/secret; echo ready; "
        f"while :; do ln -s {outside} /d; rm /d; mv /real/d /d; mv /d /real/d; done 2>/dev/null"
    )
    with running(box, "--rm", "--name", "swaps", "box", "sh", "-c", swap):
        for _ in range(15):
            box("cp", mine / "a", "swaps:/d/planted")
            box("cp", f"{mine}/.", "swaps:/d")
            box("cp", "-L", "swaps:/d/secret", "stolen")
            stolen = box.folder / "stolen"
            assert not stolen.exists() or stolen.read_text() == ""
            stolen.unlink(missing_ok=True)
    assert {each.name: each.read_text() for each in outside.iterdir()} == {"secret": "secret\n"}


def test_a_read_only_container_is_not_written_to(box: Pybuild, mine: Path):
    box("run", "--name", "ro", "--read-only", "-v", "/vol", "box", "true").ok()
    assert box("cp", mine / "a", "ro:/a").status == 1
    box("cp", mine / "a", "ro:/vol/a").ok()
    box("rm", "-v", "ro").ok()


def test_what_cp_cannot_do_is_told(box: Pybuild, stopped: str, mine: Path):
    assert box("cp", "mine", "elsewhere").status == 2
    assert box("cp", "nobody:/x", "y").status == 1
    missing = box("cp", f"{stopped}:/missing", "y")
    assert (missing.status, missing.stdout) == (1, "")
    assert "/missing" in missing.stderr
    assert "into itself" in box("cp", f"{stopped}:/tree", f"{stopped}:/tree/in").stderr


def test_an_export_is_the_image_with_the_changes_and_can_be_imported(box: Pybuild):
    script = "echo n > /new; rm /etc/gone; ln /tree/leaf /tree/two; echo v > /vol/in"
    box("run", "--name", "changed", "-v", "/vol", "box", "sh", "-c", script).ok()
    box("export", "-o", "whole.tar", "changed").ok()
    archive = (box.folder / "whole.tar").read_bytes()
    assert archive == stdout_of(box, "export", "changed")
    found = members(archive)
    assert {"new", "tree/leaf", "etc/keep", "data/file"} <= set(found)
    assert not {"etc/gone", "vol/in"} & set(found)
    assert found["data/file"].uid == 1000
    assert found["tree/two"].islnk()
    box("import", "whole.tar", "again").ok()
    shown = box("run", "--rm", "again", "/bin/sh", "-c", "cat /new /data/file").ok().stdout
    assert shown == "n\nfrom the image\n"
    (box.folder / "whole.tar").unlink()
    box("rm", "-v", "changed").ok()


def test_a_running_container_can_be_exported_without_its_proc(box: Pybuild):
    with running(box, "--name", "runs", "box", "sh", "-c", "echo 1 > /f; echo ready; sleep 1000"):
        found = members(stdout_of(box, "export", "runs"))
        assert found["f"].size == 2
        assert not [name for name in found if name.startswith("proc/")]
