"""What a process in the sandbox sees and may do, looked at from inside and from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conftest import person_of, require, require_kind
from support.sandbox import Sandbox, person_without_subids, sandbox_of

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox")]

DEFAULT_CAPABILITIES = "00000000a80425fb"  # Docker's 14
MASKED_FILES = ("kcore", "keys", "timer_list", "interrupts", "sched_debug", "latency_stats")
EXPECTED_MOUNTS = ("/proc", "/sys", "/dev")


@pytest.fixture(scope="module", params=["root", "rootless", "one id"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "one id":
        require("root")
        require("subids")  # for its trial of overlays in user namespaces
        person = person_without_subids()
    else:
        require_kind(request.param)
        person = person_of(request.param)
    with sandbox_of(person) as running:
        yield running


def namespaces(pid: int | str) -> dict[str, str]:
    names = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in names}


@pytest.fixture
def held(sandbox: Sandbox) -> Iterator[int]:
    pid = sandbox.start("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    yield pid
    sandbox.call("signal", pid, 9)
    sandbox.call("wait", pid, 10)


def test_all_namespaces_but_the_network_are_its_own(sandbox: Sandbox, held: int):
    inside, outside = namespaces(held), namespaces(sandbox.driver.pid)
    shared = {name for name, value in inside.items() if value == outside[name]}
    assert shared == {"net", "user"}


def test_root_of_an_ordinary_user_is_in_another_user_namespace(sandbox: Sandbox, held: int):
    rootless = bool(sandbox.warnings) or sandbox.driver.args[0] == "setpriv"
    own = os.readlink("/proc/self/ns/user")
    assert (namespaces(held)["user"] != own) is rootless


def test_without_a_network_there_is_only_loopback_and_it_is_up(sandbox: Sandbox):
    ran = sandbox.shell("cat /proc/net/dev; cat /sys/class/net/lo/flags", network="none")
    interfaces = [line.split(":")[0].strip() for line in ran.lines if ":" in line]
    assert interfaces == ["lo"]
    assert int(ran.lines[-1], 16) & 1


def test_the_hosts_network_is_there_by_default(sandbox: Sandbox):
    ran = sandbox.shell("readlink /proc/self/ns/net")
    assert ran.output.strip() == os.readlink("/proc/self/ns/net")


def test_root_has_dockers_fourteen_capabilities_and_none_to_inherit(sandbox: Sandbox):
    status = status_of(sandbox.shell("cat /proc/self/status").output)
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd")} == {DEFAULT_CAPABILITIES}
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0


def test_another_user_has_no_capability_but_keeps_the_bounding_set(sandbox: Sandbox):
    if sandbox.one_id:
        pytest.skip("there is no other user")
    ran = sandbox.shell("cat /proc/self/status; id", credentials=[100, 101, [29]])
    status = status_of(ran.output)
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["CapBnd"] == DEFAULT_CAPABILITIES
    assert ran.lines[-1].startswith("uid=100(app) gid=101(app) groups=")
    assert status["Groups"].split() == ["29"]


def test_the_callers_groups_are_dropped(sandbox: Sandbox):
    if sandbox.one_id:
        pytest.skip("the kernel keeps them where only one id is mapped")
    assert status_of(sandbox.shell("cat /proc/self/status").output)["Groups"] == ""


def test_a_user_that_is_not_mapped_is_refused_with_a_hint(sandbox: Sandbox):
    if not sandbox.one_id:
        pytest.skip("all ids that matter are mapped")
    ran = sandbox.run("true", credentials=[100, 101, []])
    assert ran.error == "isolation"
    assert "100:101" in ran.message


def test_one_id_alone_is_warned_about(sandbox: Sandbox):
    assert bool(sandbox.warnings) is sandbox.one_id
    assert all("subuid" in warning for warning in sandbox.warnings)


def test_system_calls_are_filtered(sandbox: Sandbox):
    ran = sandbox.shell("cat /proc/self/status; unshare -U true")
    assert status_of(ran.output)["Seccomp"] == "2"
    assert ran.code != 0


def test_an_unconfined_process_has_no_filter(sandbox: Sandbox):
    ran = sandbox.shell("cat /proc/self/status; unshare -U true", seccomp="unconfined")
    assert status_of(ran.output)["Seccomp"] == "0"
    assert ran.code == 0


@pytest.mark.parametrize("asked", [False, True])
def test_no_new_privileges_is_set_when_asked_for(sandbox: Sandbox, asked: bool):
    ran = sandbox.shell("cat /proc/self/status", no_new_privileges=asked)
    assert status_of(ran.output)["NoNewPrivs"] == str(int(asked))


def test_masked_files_of_proc_are_empty(sandbox: Sandbox):
    script = "".join(f"[ ! -e /proc/{name} ] || cat /proc/{name};" for name in MASKED_FILES)
    ran = sandbox.shell(script)
    assert (ran.code, ran.output) == (0, "")


def test_masked_directories_are_empty(sandbox: Sandbox):
    ran = sandbox.shell("for d in /proc/acpi /proc/scsi /sys/firmware; do ls -A $d 2>&-; done")
    assert ran.output == ""


def test_kernel_settings_are_read_only(sandbox: Sandbox):
    for path in (
        "/proc/sys/vm/swappiness",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/uevent_seqnum",
    ):
        ran = sandbox.shell(f"echo 1 > {path}")
        assert ran.code != 0
        assert "Read-only file system" in ran.output or "ermission denied" in ran.output, path


def test_control_groups_can_be_seen_but_not_changed(sandbox: Sandbox):
    ran = sandbox.shell("ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/x; cat /proc/self/cgroup")
    assert "Read-only file system" in ran.output
    paths = [
        line.split(":", 2)[2]
        for line in ran.lines
        if line.count(":") >= 2 and line[0] in "0123456789"
    ]
    assert set(paths) == {"/"}  # a namespace of its own


def test_only_its_own_processes_are_there(sandbox: Sandbox):
    ran = sandbox.shell("echo $$; echo /proc/[0-9]*")
    assert ran.lines[0] == "1"
    assert "/proc/1" in ran.lines[1]
    assert len(ran.lines[1].split()) <= 2


def test_it_has_no_descriptor_but_its_stdio(sandbox: Sandbox):
    ran = sandbox.shell("ls /proc/1/fd; true")
    assert ran.lines == ["0", "1", "2"]


def test_stdin_is_the_null_device(sandbox: Sandbox):
    ran = sandbox.shell("readlink /proc/1/fd/0; cat")
    assert (ran.code, ran.output) == (0, "/dev/null\n")


def test_no_mount_of_the_hosts_is_left(sandbox: Sandbox):
    ran = sandbox.shell("cat /proc/self/mountinfo")
    points = [line.split()[4] for line in ran.lines]
    assert [p for p in points if p != "/" and not p.startswith(EXPECTED_MOUNTS)] == []


def test_the_root_filesystem_and_dev_are_made_to_refuse_device_nodes(sandbox: Sandbox):
    for place in ("/tmp", "/dev", "/dev/shm"):
        ran = sandbox.shell(f"mknod {place}/disk b 254 0 && cat {place}/disk; cat {place}/disk")
        assert ran.code != 0
        assert "ermission denied" in ran.output or "not permitted" in ran.output


def test_the_usual_devices_work(sandbox: Sandbox):
    script = "echo x > /dev/null; dd if=/dev/zero bs=3 count=1 2>&- | wc -c; ls /dev /dev/fd/"
    ran = sandbox.shell(script)
    assert ran.lines[0] == "3"
    assert {
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
    } <= set(ran.lines)
    assert "console" not in ran.lines


def test_the_environment_is_what_was_given_and_a_home(sandbox: Sandbox):
    ran = sandbox.run("env", env=["PATH=/bin", "A=1", "A=2", "EMPTY="])
    assert sorted(ran.lines) == ["A=2", "EMPTY=", "HOME=/root", "PATH=/bin"]


def test_words_and_variables_may_be_any_bytes(sandbox: Sandbox):
    ran = sandbox.shell("echo 'ü\udcff' $A", env=["PATH=/bin", "A=\udcfeö"])
    assert ran.output.encode("latin-1") == "ü".encode() + b"\xff \xfe" + "ö".encode() + b"\n"


def test_a_missing_working_directory_is_made(sandbox: Sandbox):
    assert sandbox.shell("pwd; stat -c %a .", cwd="/made/here").lines == ["/made/here", "755"]


def test_a_directory_that_only_root_may_enter_serves_as_working_directory(sandbox: Sandbox):
    if sandbox.one_id:
        pytest.skip("there is no other user")
    sandbox.shell("mkdir -p /private; chmod 700 /private")
    ran = sandbox.shell("pwd", cwd="/private", credentials=[100, 101, []])
    assert ran.code == 0


def test_a_file_is_no_working_directory(sandbox: Sandbox):
    ran = sandbox.run("true", cwd="/etc/passwd")
    assert (ran.error, ran.status) == ("working-directory", 126)


def test_hostname_umask_and_shared_memory_are_set(sandbox: Sandbox):
    script = "hostname; umask; stat -f -c '%b %S' /dev/shm"
    ran = sandbox.shell(script, hostname="box", shm_size_bytes=1 << 20)
    blocks, size = map(int, ran.lines[2].split())
    assert (ran.lines[0], ran.lines[1], blocks * size) == ("box", "0022", 1 << 20)


def test_limits_are_clamped_to_what_this_user_may_have(sandbox: Sandbox):
    ran = sandbox.shell("ulimit -n; ulimit -Hn", rlimits=[["nofile", 1 << 40, 1 << 40]])
    assert ran.code == 0
    assert all(int(line) > 0 for line in ran.lines)
    assert sandbox.shell("ulimit -n", rlimits=[["nofile", 77, 78]]).output == "77\n"


def test_a_read_only_root_stays_so_while_proc_and_dev_work(sandbox: Sandbox):
    ran = sandbox.shell("echo x > /tmp/x || echo x > /dev/null && echo fine", readonly_rootfs=True)
    assert "Read-only file system" in ran.output
    assert ran.lines[-1] == "fine"


def test_a_privileged_process_has_all_capabilities_and_no_masks(sandbox: Sandbox):
    ran = sandbox.shell("cat /proc/self/status; mount", privileged=True)
    status = status_of(ran.output)
    assert int(status["CapEff"], 16) & 1 << 21  # CAP_SYS_ADMIN
    assert status["Seccomp"] == "0"
    assert " /proc/sys " not in ran.output


def test_binds_tmpfs_and_overlays_appear_where_they_were_asked_for(sandbox: Sandbox):
    source = sandbox.directory / "lower" / "bin"
    for name in ("up2", "work2"):
        (sandbox.directory / name).mkdir(exist_ok=True)
        os.chown(sandbox.directory / name, *owner(source))
    mounts = [
        ["bind", {"source": str(source), "target": "/m/ro", "readonly": True}],
        ["bind", {"source": str(source / "busybox"), "target": "/m/busybox"}],
        ["tmpfs", {"target": "/m/t", "size_bytes": 1 << 20, "mode": 0o711}],
        [
            "overlay",
            {
                "lowerdir": str(source),
                "upperdir": str(sandbox.directory / "up2"),
                "workdir": str(sandbox.directory / "work2"),
                "target": "/m/o",
            },
        ],
    ]
    script = (
        "ls /m/ro/sh; echo x > /m/ro/x; /m/busybox true && echo ran; stat -c %a /m/t; "
        "echo x > /m/t/x; echo x > /m/o/new; rm /m/o/sh; ls /m/o/sh; ls /m/o/new"
    )
    ran = sandbox.shell(script, mounts=mounts)
    assert ran.lines[0] == "/m/ro/sh"
    assert "Read-only file system" in ran.lines[1]
    assert ran.lines[2:4] == ["ran", "711"]
    assert "No such file" in ran.lines[4]
    assert ran.lines[5] == "/m/o/new"
    assert (sandbox.directory / "up2" / "new").read_text() == "x\n"
    assert not (source / "new").exists()


def test_a_bind_may_come_from_a_descriptor_of_the_callers(sandbox: Sandbox):
    source = str(sandbox.lowerdir / "bin")
    for path, target in ((source, "/by-fd"), (f"{source}/busybox", "/by-fd-file")):
        request = {"args": ["sh", "-c", f"ls -d {target}; touch {target}"]}
        answer = sandbox.call("run_with_fd", request, path, target)
        assert answer["output"].splitlines()[0] == target
        assert "Read-only file system" in answer["output"]


def owner(path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


def status_of(output: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in output.splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}
