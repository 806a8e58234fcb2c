"""A container's files: volumes, binds, what is left of them, as root and rootless."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, running
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture
def shared(box: Pybuild) -> Iterator[Path]:
    """A folder of the caller's."""
    folder = box.context({"file": "the host's\n"}, name="shared")
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def output(box: Pybuild, *args: str, **options) -> str:
    return box("run", "--rm", *args, **options).ok().stdout


def volumes_of(box: Pybuild) -> list[str]:
    return box("volume", "ls", "-q").ok().stdout.split()


def test_a_bind_shows_the_callers_files_and_takes_changes(box: Pybuild, shared: Path):
    text = output(box, "-v", f"{shared}:/in/side", "box", "sh", "-c",
                  "cat /in/side/file; echo new > /in/side/made")  # fmt: skip
    assert text == "the host's\n"
    assert (shared / "made").read_text() == "new\n"
    assert (shared / "made").stat().st_uid == box.user.uid


def test_a_read_only_bind_takes_no_changes(box: Pybuild, shared: Path):
    script = "cat /in/file; echo x > /in/file || echo refused; touch /in/new || echo refused"
    text = output(box, "-v", f"{shared}:/in:ro", "box", "sh", "-c", script)
    assert text == "the host's\nrefused\nrefused\n"
    assert (shared / "file").read_text() == "the host's\n"


def test_a_single_file_can_be_bound_over_a_file_of_the_image(box: Pybuild, shared: Path):
    assert output(box, "-v", f"{shared}/file:/etc/keep:ro", "box", "cat", "/etc/keep") == (
        "the host's\n"
    )
    assert output(box, "-v", f"{shared}/file:/etc/hosts:ro", "box", "cat", "/etc/hosts") == (
        "the host's\n"
    )


def test_a_missing_directory_of_the_host_is_made(box: Pybuild):
    missing = box.folder / "missing" / "deep"
    output(box, "-v", f"{missing}:/in", "box", "touch", "/in/x")
    assert (missing / "x").stat().st_uid == box.user.uid
    (missing / "x").unlink()
    missing.rmdir()
    missing.parent.rmdir()


def test_a_relative_source_is_below_the_working_directory(box: Pybuild, shared: Path):
    assert output(box, "-v", "./shared:/in", "box", "cat", "/in/file") == "the host's\n"
    assert output(box, "-v", ".:/in", "box", "cat", "/in/file", cwd=shared) == "the host's\n"


def test_a_bind_inside_another_is_mounted_after_it(box: Pybuild, shared: Path):
    args = ("-v", f"{shared}:/a/b", "-v", f"{box.context({'x': 'outer'}, name='outer')}:/a")
    assert output(box, *args, "box", "cat", "/a/x", "/a/b/file") == "outerthe host's\n"


def test_a_volume_of_the_image_begins_with_the_images_files(box: Pybuild):
    script = "stat -c '%u:%g %a %n' /data /data/file; cat /data/sub/link; stat -c %a /fresh"
    assert output(box, "volumes", "sh", "-c", script) == (
        "0:0 750 /data\n1000:1000 640 /data/file\nfrom the image\n755\n"
    )


def test_a_volume_of_the_image_is_no_part_of_the_containers_layer(box: Pybuild):
    box("run", "--name", "apart", "volumes", "sh", "-c", "rm /data/file; touch /data/a /b").ok()
    assert box("diff", "apart").ok().stdout == "A /b\n"
    box("rm", "-v", "apart").ok()


def test_volumes_stay_with_their_container_and_go_with_rm_v(box: Pybuild):
    assert volumes_of(box) == []
    box("run", "--name", "keeps", "volumes", "true").ok()
    assert len(volumes_of(box)) == 2
    box("rm", "-v", "keeps").ok()
    assert volumes_of(box) == []


def test_volumes_outlive_a_container_that_is_removed_without_v(box: Pybuild):
    box("run", "--name", "leaves", "volumes", "true").ok()
    left = [mount["Name"] for mount in box.inspect("leaves")["Mounts"]]
    box("rm", "leaves").ok()
    assert sorted(volumes_of(box)) == sorted(left)
    box("volume", "rm", *left).ok()
    assert list((box.root / "volumes").iterdir()) == []


def test_a_path_alone_is_a_new_volume(box: Pybuild):
    assert output(box, "-v", "/tree", "box", "sh", "-c", "cat /tree/leaf; echo x > /tree/new") == (
        "leaf\n"
    )
    assert volumes_of(box) == []


def test_a_bind_takes_the_place_of_a_volume_of_the_image(box: Pybuild, shared: Path):
    assert output(box, "-v", f"{shared}:/data", "volumes", "ls", "/data") == "file\n"
    assert output(box, "-v", f"{shared}:/data", "volumes", "cat", "/data/file") == "the host's\n"


def test_a_volume_where_the_image_has_a_file_is_refused(box: Pybuild):
    done = box("run", "--rm", "-v", "/plain.txt", "box", "true")
    assert done.status == 125
    assert "/plain.txt" in done.stderr
    assert volumes_of(box) == []


def test_a_mount_point_that_the_image_lacks_leaves_no_trace_in_the_layer(
    box: Pybuild, shared: Path
):
    box("run", "--name", "traces", "-v", f"{shared}:/not/there", "box", "true").ok()
    assert box("diff", "traces").ok().stdout == ""
    box("rm", "traces").ok()


def test_a_link_of_the_image_leads_no_bind_out_of_the_container(box: Pybuild, shared: Path):
    outside = box.context({"precious": "outside\n"}, name="outside")
    link = f"ln -s {outside} /escape"
    box("run", "--name", "links", "box", "sh", "-c", link).ok()
    box("commit", "links", "links").ok()
    box("rm", "links").ok()
    text = output(box, "-v", f"{shared}:/escape/in", "links", "cat", f"{outside}/in/file")
    assert text == "the host's\n"
    assert sorted(os.listdir(outside)) == ["precious"]
    text = output(box, "-v", "/escape", "links", "sh", "-c", "ls /escape | wc -l")
    assert text == "0\n"


def test_changes_outlive_the_process_until_the_container_is_removed(box: Pybuild):
    box("run", "--name", "changed", "box", "sh", "-c", "rm /etc/gone; echo n > /new; >/tree/leaf")
    assert box("diff", "changed").ok().stdout.splitlines() == [
        "C /etc",
        "D /etc/gone",
        "A /new",
        "C /tree",
        "C /tree/leaf",
    ]
    box("rm", "changed").ok()
    assert box("diff", "changed").status == 1


def test_inspect_tells_what_a_container_was_asked_to_be(box: Pybuild, shared: Path):
    with running(
        box,
        *("--name", "told", "-e", "A=1", "-u", "app", "-w", "/tmp", "--network", "none"),
        *("-v", f"{shared}:/in:ro", "-l", "k=v", "--read-only"),
        *("volumes", "sh", "-c", "echo ready; sleep 1000"),
    ):
        shown = box.inspect("told")
        assert shown["Name"] == "/told"
        assert (shown["Path"], shown["Args"]) == ("sh", ["-c", "echo ready; sleep 1000"])
        assert shown["State"]["Status"] == "running"
        assert shown["State"]["Running"] is True
        assert shown["State"]["Pid"] > 0
        assert shown["Image"] == box.image_id("volumes")
        assert shown["Config"]["User"] == "app"
        assert shown["Config"]["WorkingDir"] == "/tmp"
        assert shown["Config"]["Labels"] == {"k": "v"}
        assert "A=1" in shown["Config"]["Env"]
        assert shown["HostConfig"]["NetworkMode"] == "none"
        assert shown["HostConfig"]["ReadonlyRootfs"] is True
        assert {(m["Type"], m["Destination"], m["RW"]) for m in shown["Mounts"]} == {
            ("bind", "/in", False),
            ("volume", "/data", True),
            ("volume", "/fresh", True),
        }
        box("rm", "-f", "-v", "told").ok()


def test_an_image_is_kept_while_a_container_is_of_it(box: Pybuild):
    tar = box.folder / "other.tar"
    tar.write_bytes((box.folder / "box.tar").read_bytes())
    box("import", "-m", "other", tar, "other").ok()
    box("run", "--name", "user-of-it", "other", "/bin/true").ok()
    refused = box("rmi", box.image_id("other"))
    assert refused.status == 1
    box("run", "--rm", "other", "/bin/true").ok()
    box("rm", "user-of-it").ok()
    box("rmi", "other").ok()
