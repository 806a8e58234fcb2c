"""`pybuild run`: the options that loosen or tighten what a container may do, seen from inside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import person_of, require, require_kind
from support.boxes import box_of, is_alive, running
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

ALL_KINDS = ("ipc", "pid", "uts", "cgroup")
FORBID_MKDIR = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
}


@pytest.fixture(scope="module", params=["root", "rootless"])
def box(request: pytest.FixtureRequest) -> Iterator[Pybuild]:
    require_kind(request.param)
    with box_of(person_of(request.param)) as pybuild:
        yield pybuild


@pytest.fixture
def root_box(box: Pybuild) -> Pybuild:
    if box.is_rootless:
        pytest.skip("root's alone")
    return box


@pytest.fixture
def rootless_box(box: Pybuild) -> Pybuild:
    if not box.is_rootless:
        pytest.skip("an ordinary user's alone")
    return box


def said(box: Pybuild, *args: str) -> list[str]:
    return box("run", "--rm", *args).ok().stdout.splitlines()


def refused(box: Pybuild, *args: str) -> str:
    done = box("run", "--rm", *args)
    assert done.status == 125
    return done.stderr


def test_a_seccomp_profile_of_the_users_decides_which_calls_fail(box: Pybuild):
    profile = box.folder / "profile.json"
    profile.write_text(json.dumps(FORBID_MKDIR))
    box.give(profile)
    option = ("--security-opt", f"seccomp={profile}")
    done = box("run", "--rm", *option, "box", "sh", "-c", "mkdir /tmp/x; unshare -U true && echo u")
    assert "Operation not supported" in done.stderr
    assert done.stdout == "u\n"  # which the built-in profile forbids
    profile.write_text("{")
    assert "seccomp profile" in refused(box, *option, "box", "true")


def test_a_profile_that_a_container_was_made_with_is_kept_with_it(box: Pybuild):
    profile = box.folder / "kept.json"
    profile.write_text(json.dumps(FORBID_MKDIR))
    box.give(profile)
    box("run", "--name", "kept", "--security-opt", f"seccomp={profile}", "box", "true").ok()
    options = box.inspect("kept")["HostConfig"]["SecurityOpt"]
    assert json.loads(options[0].removeprefix("seccomp=")) == FORBID_MKDIR
    box("rm", "kept").ok()


def test_modules_that_the_kernel_lacks_are_refused_and_their_absence_may_be_asked_for(box: Pybuild):
    if Path("/sys/module/apparmor").exists() or Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("this kernel has a security module")
    assert "AppArmor" in refused(box, "--security-opt", "apparmor=docker-default", "box", "true")
    assert "SELinux" in refused(box, "--security-opt", "label=type:x_t", "box", "true")
    off = ("--security-opt", "apparmor=unconfined", "--security-opt", "label=disable")
    assert said(box, *off, "box", "echo", "ran") == ["ran"]


def test_paths_can_be_hidden_and_shown(box: Pybuild):
    script = "ls /etc; cat /plain.txt; echo x > /data/file; mount"
    hidden = said(box, "--security-opt", "mask=/etc:/plain.txt", "box", "sh", "-c", script)
    assert " on " in hidden[0]  # the first line is a mount: what comes before it shows nothing
    shown = said(box, "--security-opt", "unmask=/proc/sys", "box", "mount")
    usual = said(box, "box", "mount")
    assert any(" /proc/sys " in line for line in usual)
    assert not any(" /proc/sys " in line for line in shown)
    everything = said(box, "--security-opt", "systempaths=unconfined", "box", "mount")
    assert not any(" /proc/" in line for line in everything)


def test_settings_of_its_own_namespaces_are_set(box: Pybuild):
    options = ("--network", "none", "--sysctl", "net.ipv4.ip_default_ttl=77")
    script = "cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax"
    assert said(box, *options, "--sysctl", "kernel.msgmax=4321", "box", "sh", "-c", script) == [
        "77",
        "4321",
    ]
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text().strip() != "77"


@pytest.mark.parametrize(
    "options",
    [
        ("--sysctl", "kernel.core_pattern=|/bin/sh"),
        ("--sysctl", "vm.swappiness=1"),
        ("--sysctl", "net/../kernel/core_pattern=x"),
        ("--network", "host", "--sysctl", "net.ipv4.ip_default_ttl=77"),
        ("--ipc", "host", "--sysctl", "kernel.msgmax=4321"),
    ],
)
def test_settings_of_the_machine_are_refused(box: Pybuild, options: tuple[str, ...]):
    assert "sysctl" in refused(box, *options, "box", "true")


def test_a_setting_that_the_kernel_lacks_is_named(box: Pybuild):
    option = ("--network", "none", "--sysctl", "net.no.such=1")
    assert "net.no.such" in refused(box, *option, "box", "true")


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_namespace_is_the_hosts_where_that_is_asked_for(box: Pybuild, kind: str):
    option = f"--{kind}" if kind != "cgroup" else "--cgroupns"
    own = os.readlink(f"/proc/self/ns/{kind}")
    script = f"readlink /proc/self/ns/{kind}"
    assert said(box, option, "host", "box", "sh", "-c", script) == [own]
    assert said(box, option, "private", "box", "sh", "-c", script) != [own]


def test_nothing_of_a_container_among_the_hosts_processes_outlives_it(box: Pybuild):
    script = "sleep 1000 & echo $!; sleep 0.01 & echo $!; sleep 0.1; exit 3"
    done = box("run", "--rm", "--pid", "host", "box", "sh", "-c", script)
    assert done.status == 3
    assert not any(is_alive(int(pid)) for pid in done.stdout.split())


def test_a_container_without_shared_memory_has_none(box: Pybuild):
    assert not any(" /dev/shm " in line for line in said(box, "--ipc", "none", "box", "mount"))


def test_a_container_joins_namespaces_of_another_one(root_box: Pybuild):
    script = "echo shared > /dev/shm/note; hostname; sleep 1000"
    options = ("--name", "donor", "--ipc", "shareable", "--hostname", "donor-host")
    with running(root_box, *options, "box", "sh", "-c", script, until=b"donor-host\n"):
        joined = [
            word
            for option in ("--ipc", "--pid", "--uts", "--cgroupns")
            for word in (option, "container:donor")
        ]
        script = "cat /dev/shm/note; hostname; cat /proc/1/cmdline | grep -c 1000"
        assert said(root_box, *joined, "box", "sh", "-c", script) == ["shared", "donor-host", "1"]
        leaves = ("--pid", "container:donor", "box", "sh", "-c", "sleep 999 & exit 0")
        root_box("run", "--rm", *leaves).ok()
        processes = said(root_box, "--pid", "container:donor", "box", "ps")
        assert not any("sleep 999" in line for line in processes)


def test_a_namespace_that_is_not_to_be_had_is_refused(box: Pybuild):
    assert "No such container" in refused(box, "--ipc", "container:nobody", "box", "true")
    with running(box, "--name", "private", "box", "sh", "-c", "echo ready; sleep 1000"):
        assert "alone" in refused(box, "--ipc", "container:private", "box", "true")
    box("run", "--name", "over", "box", "true").ok()
    assert "running" in refused(box, "--pid", "container:over", "box", "true")
    box("rm", "over").ok()


def test_supplementary_groups_are_added_by_name_and_number(box: Pybuild):
    lines = said(box, "--group-add", "app", "--group-add", "77", "box", "cat", "/proc/self/status")
    groups = next(line for line in lines if line.startswith("Groups:"))
    assert groups.split()[1:] == ["77", "1000"]
    assert "nobody-has-this" in refused(box, "--group-add", "nobody-has-this", "box", "true")


def test_a_privileged_container_may_write_what_others_may_not(box: Pybuild):
    script = "mount; ls /dev; grep -E 'Seccomp:|CapEff' /proc/self/status"
    lines = said(box, "--privileged", "box", "sh", "-c", script)
    assert not any(" /proc/" in line for line in lines)
    assert any(" /sys " in line and "rw," in line for line in lines)
    assert "Seccomp:\t0" in lines
    effective = next(line for line in lines if line.startswith("CapEff"))
    assert int(effective.split()[1], 16).bit_count() > 35
    nodes = {path.name for path in Path("/dev").iterdir() if path.is_char_device()}
    assert nodes - {"console"} <= set(lines)


# -- user namespaces


def test_an_ordinary_users_id_can_be_kept(rootless_box: Pybuild):
    box = rootless_box
    script = "id -u; touch /tmp/mine; stat -c %u /tmp/mine /bin/sh /data/file"
    assert said(box, "--userns", "keep-id", "box", "sh", "-c", "id -u") == [str(box.user.uid)]
    kept = said(box, "--userns", "keep-id:uid=50,gid=50", "-u", "0", "box", "sh", "-c", script)
    assert kept == ["0", "0", "0", "1000"]
    folder = box.folder / "given"
    folder.mkdir()
    box.give(folder)
    options = ("--userns", "keep-id:uid=50,gid=50", "-v", f"{folder}:/given")
    assert said(box, *options, "box", "sh", "-c", "stat -c %u /given; touch /given/x") == ["50"]
    assert (folder / "x").stat().st_uid == box.user.uid


def test_an_ordinary_users_id_can_be_left_out(rootless_box: Pybuild):
    box = rootless_box
    folder = box.folder / "not-given"
    folder.mkdir()
    box.give(folder)
    options = ("--userns", "nomap", "-v", f"{folder}:/given")
    script = "id -u; stat -c %u /given /data/file; touch /given/x"
    done = box("run", "--rm", *options, "box", "sh", "-c", script)
    assert done.stdout.split() == ["0", "65534", "1000"]
    assert done.status != 0


def test_what_a_container_with_other_ids_wrote_is_committed_with_the_images_ids(
    rootless_box: Pybuild,
):
    box = rootless_box
    script = "touch /tree/new; chown 5:6 /tree/new"
    options = ("--name", "shifted", "--userns", "keep-id", "-u", "0")
    box("run", *options, "box", "sh", "-c", script).ok()
    box("commit", "shifted", "unshifted").ok()
    assert said(box, "unshifted", "stat", "-c", "%u:%g", "/tree/new", "/bin/sh") == ["5:6", "0:0"]
    box("rm", "shifted").ok()


def test_modes_that_root_has_no_use_for_are_refused(root_box: Pybuild):
    for mode in ("keep-id", "nomap"):
        assert "--userns auto" in refused(root_box, "--userns", mode, "box", "true")


@pytest.fixture
def granted(tmp_path: Path) -> Iterator[None]:
    """Subordinate ids for root's containers, as long as the test runs."""
    require("root")
    bound: list[str] = []
    for path in ("/etc/subuid", "/etc/subgid"):
        changed = tmp_path / Path(path).name
        changed.write_text(Path(path).read_text() + "containers:700000000:200000\n")
        changed.chmod(0o644)
        subprocess.run(["mount", "--bind", changed, path], check=True)
        bound.append(path)
    yield
    for path in bound:
        subprocess.run(["umount", path], check=True)


def test_each_container_of_roots_gets_ids_of_its_own(root_box: Pybuild, granted: None):
    box = root_box
    script = "head -1 /proc/self/uid_map; stat -c %u /data/file; touch /tree/new; id -u"
    ranges = []
    for name in ("first", "second"):
        done = box("run", "--name", name, "--userns", "auto", "box", "sh", "-c", script).ok()
        *numbers, owner, uid = done.stdout.split()
        assert (owner, uid) == ("1000", "0")
        ranges.append(range(int(numbers[1]), int(numbers[1]) + int(numbers[2])))
    assert set(ranges[0]).isdisjoint(ranges[1])
    box("commit", "first", "of-auto").ok()  # on disk nothing has other owners
    assert said(box, "of-auto", "stat", "-c", "%u", "/tree/new") == ["0"]
    box("rm", "first", "second").ok()


def test_from_outside_the_root_of_a_user_namespace_is_nobody(root_box: Pybuild, granted: None):
    options = ("--userns", "auto", "--pid", "host")
    with running(root_box, *options, "box", "sh", "-c", "echo ready; sleep 1000"):
        listed = json.loads(root_box("ps", "--format", "{{json .}}").ok().stdout.splitlines()[0])
        pid = root_box.inspect(listed["ID"])["State"]["Pid"]
        assert Path(f"/proc/{pid}").stat().st_uid >= 700000000
