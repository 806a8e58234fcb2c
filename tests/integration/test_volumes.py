"""Volumes, binds, tmpfs and images mounted in containers, as root and rootless."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of
from support.boxes import box_of, running, wait_until
from support.commands import pybuild_argv, pybuild_environment
from support.pybuild import Pybuild, remove
from support.users import Person

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]


@pytest.fixture(scope="module")
def box(kind: str) -> Iterator[Pybuild]:
    with box_of(person_of(kind)) as pybuild:
        yield pybuild


@pytest.fixture(autouse=True)
def _no_volume_left(box: Pybuild) -> Iterator[None]:
    yield
    box("volume", "prune", "-af").ok()
    assert box("volume", "ls", "-q").ok().stdout == ""


@pytest.fixture
def shared(box: Pybuild) -> Iterator[Path]:
    """A folder of the caller's."""
    folder = box.context({"file": "the host's\n", "sub/deep": "deep\n"}, name="shared")
    yield folder
    remove(folder)


def output(box: Pybuild, *args: str) -> str:
    return box("run", "--rm", *args).ok().stdout


def options_at(box: Pybuild, target: str, *args: str) -> set[str]:
    """The options of the mount at `target` as the container's /proc/mounts has them."""
    script = "while read -r s t f o x; do if [ $t = $0 ]; then echo $f,$o; fi; done </proc/mounts"
    return set(output(box, *args, "box", "sh", "-c", script, target).strip().split(","))


def test_a_named_volume_is_made_filled_and_kept(box: Pybuild):
    first = output(box, "-v", "data:/data", "box", "sh", "-c", "cat /data/file; echo n > /data/new")
    assert first == "from the image\n"
    script = "stat -c '%u:%g %a' /vol /vol/file; cat /vol/new"
    assert output(box, "-v", "data:/vol", "box", "sh", "-c", script) == (
        "0:0 750\n1000:1000 640\nn\n"
    )
    assert box("volume", "ls", "--format", "{{.Driver}} {{.Name}}").ok().stdout == "local data\n"


def test_a_volume_that_has_files_is_not_filled(box: Pybuild):
    output(box, "-v", "data:/empty", "box", "touch", "/empty/mine")
    assert output(box, "-v", "data:/data", "box", "ls", "/data") == "mine\n"


@pytest.mark.parametrize(
    "option", [("-v", "data:/data:nocopy"), ("--mount", "src=data,dst=/data,volume-nocopy")]
)
def test_nocopy_leaves_a_volume_empty(box: Pybuild, option: tuple[str, str]):
    assert output(box, *option, "box", "ls", "/data") == ""


def test_links_of_the_image_stay_links_in_a_volume(box: Pybuild):
    assert output(box, "-v", "data:/data", "box", "readlink", "/data/sub/link") == "../file\n"


def test_a_link_of_the_image_leads_no_volume_out_of_it(box: Pybuild, shared: Path):
    script = f"ln -s {shared} /way; ln -s /etc /inside"
    box("run", "--name", "maker", "box", "sh", "-c", script).ok()
    box("commit", "maker", "linked").ok()
    box("rm", "maker").ok()
    script = "ls /way/ | wc -l; touch /way/planted; ls /inside"
    text = output(box, "-v", "out:/way", "-v", "in:/inside", "linked", "sh", "-c", script)
    assert text.split()[0] == "0"
    assert "keep" in text.split()
    assert sorted(os.listdir(shared)) == ["file", "sub"]


def test_a_volume_in_use_is_not_removed(box: Pybuild):
    box("run", "--name", "uses", "-v", "data:/data", "box", "true").ok()
    refused = box("volume", "rm", "data")
    assert (refused.status, refused.stdout) == (1, "")
    assert "uses" in refused.stderr
    assert "data" not in box("volume", "prune", "-af").ok().stdout
    box("rm", "-v", "uses").ok()
    assert box("volume", "rm", "data").ok().stdout == "data\n"


def test_rm_v_takes_the_anonymous_ones_alone(box: Pybuild):
    box("run", "--name", "both", "-v", "named:/a", "-v", "/b", "box", "true").ok()
    assert len(box("volume", "ls", "-q").ok().stdout.split()) == 2
    box("rm", "-v", "both").ok()
    assert box("volume", "ls", "-q").ok().stdout == "named\n"
    output(box, "-v", "named:/a", "-v", "/b", "box", "true")
    assert box("volume", "ls", "-q").ok().stdout == "named\n"


def test_two_containers_see_one_volume_at_once(box: Pybuild):
    script = "echo ready; while [ ! -e /v/answer ]; do sleep 0.05; done; cat /v/answer"
    with running(box, "--rm", "-v", "data:/v", "box", "sh", "-c", script) as process:
        output(box, "-v", "data:/w", "box", "sh", "-c", "echo yes > /w/tmp; mv /w/tmp /w/answer")
        assert process.stdout is not None
        assert process.stdout.read() == b"yes\n"


def test_volumes_come_from_another_container(box: Pybuild, shared: Path):
    mounts = ("-v", "data:/v", "-v", f"{shared}:/b:ro", "-v", "/anon")
    box("run", "--name", "has", *mounts, "box", "touch", "/anon/made").ok()
    script = "ls /anon; cat /b/file; touch /v/x || echo refused"
    text = output(box, "--volumes-from", "has", "box", "sh", "-c", script)
    assert text == "made\nthe host's\n"
    text = output(box, "--volumes-from", "has:ro", "box", "sh", "-c", script)
    assert text == "made\nthe host's\nrefused\n"
    assert output(box, "--volumes-from", "has", "-v", "/v", "box", "ls", "/v") == ""
    box("rm", "-v", "has").ok()


def test_a_missing_source_is_made_for_v_and_an_error_for_mount(box: Pybuild):
    missing = box.folder / "not-there"
    refused = box("run", "--rm", "--mount", f"type=bind,src={missing},dst=/in", "box", "true")
    assert refused.status == 125
    assert str(missing) in refused.stderr
    assert not missing.exists()
    output(box, "-v", f"{missing}:/in", "box", "true")
    missing.rmdir()


def test_a_tmpfs_has_dockers_defaults_and_the_images_mode(box: Pybuild):
    found = options_at(box, "/tree", "--tmpfs", "/tree")
    assert {"tmpfs", "rw", "nosuid", "nodev", "noexec", "mode=755"} <= found
    assert "mode=755" not in options_at(box, "/new", "--tmpfs", "/new")
    found = options_at(box, "/x", "--tmpfs", "/x:size=1m,exec,mode=711,ro")
    assert {"size=1024k", "mode=711", "ro"} <= found
    assert "noexec" not in found
    found = options_at(box, "/x", "--mount", "type=tmpfs,dst=/x,tmpfs-size=2m,tmpfs-mode=700")
    assert {"size=2048k", "mode=700"} <= found


def test_a_tmpfs_is_full_when_its_size_is_reached(box: Pybuild):
    script = "dd if=/dev/zero of=/t/x bs=64k count=32 2>/dev/null || stat -c %s /t/x"
    assert output(box, "--tmpfs", "/t:size=1m", "box", "sh", "-c", script) == f"{1 << 20}\n"


def test_read_only_with_tmpfs_has_places_to_write(box: Pybuild):
    script = "touch /tmp/x && touch /run/x && touch /var/tmp/x && echo all; touch /x || echo no"
    args = ("--read-only", "--read-only-tmpfs", "box", "sh", "-c", script)
    assert output(box, *args) == "all\nno\n"
    args = ("--read-only", "--tmpfs", "/tmp", "box", "sh", "-c", "touch /tmp/x; touch /run/x")
    assert box("run", "--rm", *args).status == 1


def test_an_image_is_mounted_read_only_or_with_changes_of_the_containers(box: Pybuild):
    script = "cat /img/etc/keep; touch /img/x || echo refused"
    args = ("--mount", "type=image,src=volumes,dst=/img")
    assert output(box, *args, "box", "sh", "-c", script) == "kept\nrefused\n"
    args = ("--mount", "type=image,src=volumes,dst=/img,subpath=etc,rw")
    script = "echo more >> /img/keep; cat /img/keep"
    assert output(box, *args, "box", "sh", "-c", script) == "kept\nmore\n"
    assert output(box, "volumes", "cat", "/etc/keep") == "kept\n"


def test_an_image_is_kept_while_it_is_mounted(box: Pybuild):
    box("tag", "volumes", "mounted").ok()
    box("run", "--name", "m", "--mount", "type=image,src=mounted,dst=/img", "box", "true").ok()
    assert box("rmi", box.image_id("volumes")).status == 1
    box("rm", "m").ok()
    box("rmi", "mounted").ok()


def test_a_part_of_a_volume_is_mounted_and_a_link_leads_it_nowhere(box: Pybuild, shared: Path):
    script = f"mkdir /v/sub; echo s > /v/sub/f; ln -s {shared} /v/way; ln -s /sub /v/in"
    output(box, "-v", "data:/v", "box", "sh", "-c", script)
    args = ("--mount", "src=data,dst=/m,volume-subpath=")
    assert output(box, args[0], f"{args[1]}sub", "box", "cat", "/m/f") == "s\n"
    assert output(box, args[0], f"{args[1]}in", "box", "cat", "/m/f") == "s\n"
    for place in ("way", "missing"):
        assert box("run", "--rm", args[0], args[1] + place, "box", "true").status == 125


def test_flags_of_a_bind_hold_in_the_container(box: Pybuild, shared: Path):
    found = options_at(box, "/in", "-v", f"{shared}:/in:noexec,nosuid,ro,z")
    assert {"noexec", "nosuid", "ro"} <= found
    (shared / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (shared / "run.sh").chmod(0o755)
    assert output(box, "-v", f"{shared}:/in", "box", "/in/run.sh") == "ran\n"
    assert box("run", "--rm", "-v", f"{shared}:/in:noexec", "box", "/in/run.sh").status == 126


def test_o_keeps_changes_from_the_source(box: Pybuild, shared: Path):
    script = "echo changed > /in/file; rm -r /in/sub; touch /in/new; ls /in"
    assert output(box, "-v", f"{shared}:/in:O", "box", "sh", "-c", script) == "file\nnew\n"
    assert (shared / "file").read_text() == "the host's\n"
    assert sorted(os.listdir(shared)) == ["file", "sub"]


def test_u_gives_the_source_to_the_containers_user(box: Pybuild, shared: Path):
    script = "stat -c %u:%g /in /in/sub/deep; touch /in/mine"
    args = ("-u", "12:34", "-v", f"{shared}:/in:U", "box", "sh", "-c", script)
    assert output(box, *args) == "12:34\n12:34\n"
    refused = box("run", "--rm", "-v", "/etc:/in:U", "box", "true")
    assert refused.status == 125


def test_a_device_volume_is_a_directory_of_the_callers(box: Pybuild, shared: Path):
    options = ("--opt", "type=none", "--opt", "o=bind", "--opt", f"device={shared}")
    box("volume", "create", *options, "dir").ok()
    assert output(box, "-v", "dir:/data", "box", "cat", "/data/file") == "the host's\n"
    box("volume", "rm", "dir").ok()
    assert (shared / "file").exists()
    assert box("volume", "create", "--opt", "type=nfs", "x").status == 1


def test_volumes_are_listed_and_shown_as_docker_does(box: Pybuild):
    assert box("volume", "create", "--label", "a=b", "one").ok().stdout == "one\n"
    box("volume", "create", "two").ok()
    assert box("volume", "ls").ok().stdout == (
        "DRIVER    VOLUME NAME\nlocal     one\nlocal     two\n"
    )
    for text, names in (("label=a", "one\n"), ("name=tw", "two\n"), ("dangling=false", "")):
        assert box("volume", "ls", "-q", "-f", text).ok().stdout == names
    template = "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Mountpoint}}"
    shown = box("volume", "inspect", "-f", template, "one").ok().stdout.split()
    assert shown[:-1] == ["one", "local", "local", "map[a:b]"]
    assert shown[-1] == str(box.root / "volumes" / "one" / "_data")
    missing = box("volume", "inspect", "none")
    assert (missing.status, missing.stdout) == (1, "[]\n")


def test_prune_asks_and_takes_anonymous_ones_unless_all_are_meant(box: Pybuild):
    box("volume", "create", "named").ok()
    anonymous = box("volume", "create").ok().stdout.strip()
    assert box("volume", "prune", stdin="n\n").status in {0, 1}
    assert anonymous in box("volume", "ls", "-q").ok().stdout
    text = box("volume", "prune", stdin="y\n").ok().stdout
    assert f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B\n" in text
    assert box("volume", "prune", "-af").ok().stdout.startswith("Deleted Volumes:\nnamed\n")


def test_a_kill_at_any_instant_leaves_no_volume_half_filled(box: Pybuild):
    script = "mkdir /many; i=0; while [ $i -lt 2000 ]; do echo $i > /many/$i; i=$((i+1)); done"
    box("run", "--name", "maker", "box", "sh", "-c", script).ok()
    box("commit", "maker", "many").ok()
    box("rm", "maker").ok()
    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    killed = 0
    for number in range(8):
        argv = pybuild_argv(
            ("run", "--rm", "-v", f"v{number}:/many", "many", "true"), user=box.user
        )
        process = subprocess.Popen(argv, env=environment, start_new_session=True)
        time.sleep(0.03 + number * 0.02)
        killed += process.poll() is None
        process.kill()
        process.wait()
        count = output(box, "-v", f"v{number}:/many", "many", "sh", "-c", "ls /many | wc -l")
        assert count.strip() == "2000"
        assert not (box.root / "volumes" / f"v{number}" / "filled").exists()
    assert killed > 2


def spreading(person: Person, script: str, folder: Path) -> list[str]:
    """A shell in a mount namespace of its own, `folder` a shared mount in it."""
    setup = f"mount -t tmpfs -o mode=777 none {folder} && mount --make-shared {folder} && "
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", setup + script]
    return words if person.is_root else []


@pytest.fixture
def place(box: Pybuild) -> Iterator[Path]:
    if box.is_rootless:
        pytest.skip("only root makes mounts that spread")
    folder = box.folder / "place"
    folder.mkdir()
    yield folder
    folder.rmdir()


def in_spreading(box: Pybuild, place: Path, script: str) -> subprocess.CompletedProcess[str]:
    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    return subprocess.run(
        spreading(box.user, script, place),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def script_of(box: Pybuild, place: Path, flag: str, inside: str, meanwhile: str) -> str:
    """Run `inside` in a container with `place` mounted at /p; when it says so, `meanwhile` here."""
    words = pybuild_argv(
        ("run", "--rm", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"),
        user=box.user,
    )
    run = " ".join([*words, "-v", f"{place}:/p:{flag}", "box", "sh", "-c", f"'{inside}'"])
    waiting = f"n=0; while [ ! -e {place}/go ] && [ $n -lt 100 ]; do sleep 0.05; n=$((n+1)); done"
    return f"mkdir {place}/a; {run} & {waiting}; {meanwhile}; touch {place}/on; wait $!"


WAITS = "touch /p/go; while [ ! -e /p/on ]; do sleep 0.05; done; "


def test_a_mount_made_outside_is_seen_inside_with_rslave_alone(box: Pybuild, place: Path):
    meanwhile = f"mount -t tmpfs none {place}/a; touch {place}/a/seen"
    for flag, expected in (("rslave", "seen\n"), ("rprivate", "")):
        script = script_of(box, place, flag, WAITS + "ls /p/a", meanwhile)
        done = in_spreading(box, place, script)
        assert (done.stdout, done.returncode) == (expected, 0), (flag, done.stderr)


def test_a_mount_made_inside_is_seen_outside_with_rshared_alone(box: Pybuild, place: Path):
    inside = "mount -t tmpfs none /p/a; touch /p/a/made; " + WAITS
    for flag, expected in (("rshared", "made\n"), ("rslave", ""), ("rprivate", "")):
        done = in_spreading(box, place, script_of(box, place, flag, inside, f"ls {place}/a"))
        assert (done.stdout, done.returncode) == (expected, 0), (flag, done.stderr)


def test_a_container_that_is_started_again_still_spreads_its_mounts(box: Pybuild, place: Path):
    inside = (
        "[ -e /p/first ] || { touch /p/first; exit 1; }; "
        "mount -t tmpfs none /p/a; touch /p/a/made; touch /p/go; sleep 1000"
    )
    own = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--name", "twice")
    args = ("run", "-d", "--restart", "on-failure:2", *own, "-v", f"{place}:/p:rshared", "box")
    run = " ".join(pybuild_argv((*args, "sh", "-c", f"'{inside}'"), user=box.user))
    waiting = f"n=0; while [ ! -e {place}/go ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n+1)); done"
    script = f"mkdir {place}/a; {run} >&2; {waiting}; ls {place}/a"
    setup = f"mount -t tmpfs none {place} && mount --make-shared {place} && "
    # the shell is the first process: the mounts of that one are the machine's
    words = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]
    environment = pybuild_environment(user=box.user, root=box.root, tmp=box.tmp)
    done = subprocess.run(
        [*words, "sh", "-ec", setup + script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    box("rm", "-f", "twice").ok()  # all of it has ended with the shell
    assert (done.stdout, done.returncode) == ("made\n", 0), done.stderr


def test_what_is_on_no_shared_mount_cannot_spread(box: Pybuild, place: Path):
    for flag in ("rshared", "rslave"):
        script = f"mount --make-private {place}; " + " ".join(
            pybuild_argv(("run", "--rm", "-v", f"{place}:/p:{flag}", "box", "true"), user=box.user)
        )
        done = in_spreading(box, place, script)
        assert done.returncode == 125
        assert "not a shared" in done.stderr


def test_mounts_of_an_ordinary_user_are_not_shared_with_the_machine(box: Pybuild, shared: Path):
    if not box.is_rootless:
        pytest.skip("root's are")
    refused = box("run", "--rm", "-v", f"{shared}:/in:rshared", "box", "true")
    assert refused.status == 125
    assert "rslave" in refused.stderr


def test_a_container_that_is_started_again_has_its_mounts_again(box: Pybuild, shared: Path):
    script = "cat /v/count 2>/dev/null; echo x >> /v/count; ls /t; touch /t/gone; cat /b/file"
    args = ("-v", "data:/v", "--tmpfs", "/t", "-v", f"{shared}:/b:ro", "box", "sh", "-c", script)
    box("run", "--name", "again", *args).ok()
    started = box("start", "-a", "again").ok()
    assert started.stdout == "x\nthe host's\n"
    wait_until(lambda: "Exited" in box("ps", "-a").ok().stdout)
    box("rm", "again").ok()
