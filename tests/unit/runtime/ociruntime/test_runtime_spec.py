"""The document that tells another runtime what the built-in sandbox is told."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from builder.runtime.ociruntime.codec import encode_document
from builder.runtime.ociruntime.place import OciDevice, Place
from builder.runtime.ociruntime.spec import spec_document
from builder.sandbox.api import (
    BindEntry,
    Credentials,
    DeviceNode,
    JoinedNamespace,
    OverlayEntry,
    ProcessSpec,
    TmpfsEntry,
)
from builder.sandbox.confinement import Confinement
from builder.sandbox.devicerules import DeviceRule
from builder.sandbox.errors import LimitError
from builder.sandbox.grouplimits import DeviceRate, GroupLimits
from support.schemas import schema

ROOT = Place("x86_64", "6.1.0-test")
RANGES = ((0, 1000, 1), (1, 100000, 65536))
ROOTLESS = Place("x86_64", "6.1.0", rootless=True, uid_ranges=RANGES, gid_ranges=RANGES)
ONE_ID = Place(
    "x86_64", "6.1.0", rootless=True, uid_ranges=((0, 1000, 1),), gid_ranges=((0, 1000, 1),)
)


def document(place: Place = ROOT, **options: Any) -> Any:
    spec = ProcessSpec(**{
        "rootfs_dir": "/unused", "args": ("sh",), "env": ("PATH=/bin",), "network": "none",
        "hostname": "box", **options,
    })  # fmt: skip
    found = json.loads(encode_document(spec_document(spec, place)))
    jsonschema.validate(found, schema("runtime-config"))
    return found


def kinds(found: Any) -> set[str]:
    return {each["type"] for each in found["linux"]["namespaces"]}


def mount_at(found: Any, target: str) -> Any:
    [mount] = [each for each in found["mounts"] if each["destination"] == target]
    return mount


def rules_for(found: Any, call: str) -> list[Any]:
    return [rule for rule in found["linux"]["seccomp"]["syscalls"] if call in rule["names"]]


def test_the_process_is_what_it_was_asked_to_be():
    process = document(
        args=("/bin/echo", "a b"), env=("A=b", "C="), cwd="/srv", terminal=True,
        terminal_size=(24, 80), no_new_privileges=True,
        credentials=Credentials(7, 8, (9, 8)),
    )["process"]  # fmt: skip
    assert process["args"] == ["/bin/echo", "a b"]
    assert process["env"] == ["A=b", "C="]
    assert process["cwd"] == "/srv"
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 24, "width": 80}
    assert process["noNewPrivileges"] is True
    assert process["user"] == {"uid": 7, "gid": 8, "umask": 0o22, "additionalGids": [8, 9]}


def test_root_has_its_capabilities_at_once_and_others_have_them_as_a_bound_only():
    names = ("CAP_CHOWN", "CAP_KILL")
    of_root = document(capabilities=names)["process"]["capabilities"]
    assert of_root["bounding"] == of_root["effective"] == of_root["permitted"] == list(names)
    assert of_root["inheritable"] == of_root["ambient"] == []
    of_user = document(capabilities=names, credentials=Credentials(5, 5))["process"]["capabilities"]
    assert of_user["bounding"] == list(names)
    assert of_user["effective"] == of_user["permitted"] == []


def test_a_capability_that_nobody_here_has_is_not_asked_for():
    place = Place("x86_64", "6.1.0", held=frozenset({"CAP_KILL"}))
    found = document(place, capabilities=("CAP_CHOWN", "CAP_KILL"))["process"]["capabilities"]
    assert found["bounding"] == found["permitted"] == ["CAP_KILL"]


def test_limits_of_resources_are_the_specs_unsigned_numbers():
    found = document(rlimits=(("nofile", 10, 20), ("core", -1, -1)))
    assert found["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]


def test_a_container_has_all_namespaces_but_the_machines_user_ids():
    assert kinds(document()) == {"mount", "pid", "ipc", "uts", "cgroup", "network"}


def test_the_hosts_network_leaves_its_namespace_and_its_ports_alone():
    found = document(network="host")
    assert "network" not in kinds(found)
    assert found["linux"]["sysctl"] == {}
    assert document()["linux"]["sysctl"] == {"net.ipv4.ip_unprivileged_port_start": "0"}


def test_a_sysctl_that_was_asked_for_wins():
    asked = (("net.ipv4.ip_unprivileged_port_start", "80"), ("kernel.shmmax", "1"))
    found = document(confinement=Confinement(sysctls=asked))
    assert found["linux"]["sysctl"] == dict(asked)


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "cgroup"])
def test_a_namespace_of_the_hosts_is_not_in_the_list(kind: str):
    found = document(confinement=Confinement(of_host=frozenset({kind})))  # pyright: ignore
    assert kinds(found) == {"mount", "pid", "ipc", "uts", "cgroup", "network"} - {kind}
    assert ("hostname" in found) == (kind != "uts")


def test_the_hosts_shared_memory_comes_with_its_ipc_namespace():
    found = document(confinement=Confinement(of_host=frozenset({"ipc"})))
    assert mount_at(found, "/dev/shm")["source"] == "/dev/shm"
    assert mount_at(found, "/dev/mqueue")["type"] == "bind"


def test_a_joined_namespace_is_named_by_its_path():
    joined = (JoinedNamespace("net", 42, 1), JoinedNamespace("pid", 43, 1))
    spaces = document(joined=joined)["linux"]["namespaces"]
    assert {"type": "network", "path": "/proc/42/ns/net"} in spaces
    assert {"type": "pid", "path": "/proc/43/ns/pid"} in spaces
    assert document(joined=joined)["linux"]["sysctl"] == {}


def test_mounts_of_the_container_come_after_those_of_the_system():
    entries = (
        BindEntry("/src", "/data", readonly=True, recursive=False),
        TmpfsEntry("/tmp", size_bytes=4096, mode=0o700),
    )
    found = document(mounts=entries)
    assert [each["destination"] for each in found["mounts"]][-2:] == ["/data", "/tmp"]
    assert mount_at(found, "/data") == {
        "destination": "/data", "type": "bind", "source": "/src",
        "options": ["bind", "ro", "rprivate", "nodev"],
    }  # fmt: skip
    assert mount_at(found, "/tmp")["options"] == [
        "rw", "nosuid", "nodev", "mode=700", "size=4096",
    ]  # fmt: skip


def test_a_bind_has_the_flags_and_the_propagation_that_were_asked_for():
    entry = BindEntry("/src", "/data", flags=("noexec", "nodev"), propagation="rslave")
    options = mount_at(document(mounts=(entry,)), "/data")["options"]
    assert options == ["rbind", "rw", "rslave", "nodev", "noexec"]


def test_an_overlay_is_mounted_with_the_xattrs_that_its_user_may_set():
    entry = OverlayEntry("/l", "/u", "/w", "/x")
    layers = ["lowerdir=/l", "upperdir=/u", "workdir=/w"]
    assert mount_at(document(mounts=(entry,)), "/x")["options"] == layers
    found = mount_at(document(ROOTLESS, mounts=(entry,)), "/x")
    assert found["options"] == [*layers, "userxattr"]


def limited(**limits: Any) -> Any:
    place = Place("x86_64", "6.1.0", limits=GroupLimits(**limits))
    return document(place)["linux"]["resources"]


def test_memory_has_as_much_swap_again_where_nothing_else_was_said():
    assert limited(memory_bytes=100)["memory"] == {"limit": 100, "swap": 200}
    assert limited(memory_bytes=100, memory_swap_bytes=-1)["memory"] == {"limit": 100, "swap": -1}
    assert limited(memory_swappiness=0)["memory"] == {"swappiness": 0}
    assert limited(memory_reservation_bytes=7, oom_kill_disable=True)["memory"] == {
        "reservation": 7, "disableOOMKiller": True,
    }  # fmt: skip


def test_processors_are_a_quota_of_a_period():
    assert limited(nano_cpus=1_500_000_000)["cpu"] == {"quota": 150_000, "period": 100_000}
    assert limited(cpu_shares=5, cpuset_cpus="0-1", cpuset_mems="0")["cpu"] == {
        "shares": 5, "cpus": "0-1", "mems": "0",
    }  # fmt: skip
    assert limited(cpu_quota_us=5, cpu_period_us=1000)["cpu"] == {"quota": 5, "period": 1000}


def test_the_number_of_processes_and_a_share_of_the_disks_are_limits_too():
    assert limited(pids=9)["pids"] == {"limit": 9}
    assert limited(blkio_weight=500)["blockIO"] == {"weight": 500}


def test_a_rate_is_for_a_block_device_alone():
    with pytest.raises(LimitError):
        limited(device_read_bps=(DeviceRate("/dev/null", 5),))


def test_the_score_of_the_oom_killer_is_passed_on():
    assert document(oom_score_adj=100)["process"]["oomScoreAdj"] == 100
    assert "oomScoreAdj" not in document()["process"]


def test_shared_memory_has_the_size_that_was_asked_for_or_is_not_there():
    assert "size=4096" in mount_at(document(shm_size_bytes=4096), "/dev/shm")["options"]
    found = document(shm_size_bytes=0)
    assert "/dev/shm" not in {each["destination"] for each in found["mounts"]}


def test_the_root_can_be_read_only():
    assert document(readonly_rootfs=True)["root"] == {"path": "rootfs", "readonly": True}


def test_paths_of_the_system_are_hidden_and_read_only():
    found = document()["linux"]
    assert "/proc/kcore" in found["maskedPaths"]
    assert "/proc/sys" in found["readonlyPaths"]
    own = document(confinement=Confinement(masked=("/x",), readonly=("/y",)))["linux"]
    assert (own["maskedPaths"], own["readonlyPaths"]) == (["/x"], ["/y"])


def test_labels_of_security_modules_are_passed_on():
    process = document(confinement=Confinement(apparmor="prof", selinux="a:b:c"))["process"]
    assert (process["apparmorProfile"], process["selinuxLabel"]) == ("prof", "a:b:c")


def test_nothing_is_hidden_from_a_privileged_process():
    node = OciDevice("c", "/dev/fuse", 10, 229, 0o666)
    found = document(Place("x86_64", "6.1.0", devices=(node,)), privileged=True)
    linux = found["linux"]
    assert linux["maskedPaths"] == linux["readonlyPaths"] == []
    assert "seccomp" not in linux
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert linux["devices"] == [
        {"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 0o666,
         "uid": 0, "gid": 0}
    ]  # fmt: skip
    assert "CAP_SYS_ADMIN" in found["process"]["capabilities"]["effective"]
    assert "rw" in mount_at(found, "/sys")["options"]


def test_devices_are_denied_besides_those_that_runtimes_allow():
    assert document()["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}


def test_a_device_that_was_asked_for_may_be_used_by_its_number():
    rules = (DeviceRule("c", 10, 229, "rw"), DeviceRule("b", 8, None))
    found = document(Place("x86_64", "6.1.0", device_rules=rules))["linux"]["resources"]
    assert found["devices"][1:] == [
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "rwm"},
    ]


def test_an_ordinary_users_device_is_this_machines_node():
    nodes = (DeviceNode("/dev/net/tun", "net/tun"),)
    assert mount_at(document(ROOTLESS, devices=nodes), "/dev/net/tun")["source"] == "/dev/net/tun"


def test_an_ordinary_users_container_has_a_user_namespace_and_no_rules_for_devices():
    linux = document(ROOTLESS)["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert (
        linux["uidMappings"]
        == linux["gidMappings"]
        == [
            {"containerID": 0, "hostID": 1000, "size": 1},
            {"containerID": 1, "hostID": 100000, "size": 65536},
        ]
    )
    assert "resources" not in linux


def test_what_a_user_namespace_may_not_mount_is_bound():
    host = Confinement(of_host=frozenset({"pid"}))
    found = document(ROOTLESS, network="host", confinement=host)
    assert mount_at(found, "/sys")["type"] == mount_at(found, "/proc")["type"] == "bind"
    assert "ro" in mount_at(found, "/sys")["options"]
    assert mount_at(document(ROOTLESS), "/sys")["type"] == "sysfs"
    assert mount_at(document(network="host", confinement=host), "/proc")["type"] == "proc"


def test_an_ordinary_users_groups_are_those_that_were_asked_for():
    assert "additionalGids" not in document(ROOTLESS)["process"]["user"]
    found = document(ROOTLESS, credentials=Credentials(1, 2, (3,)))
    assert found["process"]["user"]["additionalGids"] == [3]


def test_with_one_id_there_is_no_tty_group():
    assert "gid=5" not in mount_at(document(ONE_ID), "/dev/pts")["options"]
    assert "gid=5" in mount_at(document(ROOTLESS), "/dev/pts")["options"]


def test_the_default_filter_is_dockers_for_these_capabilities():
    found = document()["linux"]["seccomp"]
    assert (found["defaultAction"], found["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    [clone3] = rules_for(document(), "clone3")
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    assert rules_for(document(), "mount") == []
    [mount] = rules_for(document(capabilities=("CAP_SYS_ADMIN",)), "mount")
    assert mount["action"] == "SCMP_ACT_ALLOW"
    [clone] = rules_for(document(), "clone")
    assert clone["args"] == [
        {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    ]


def test_a_profile_of_the_users_own_is_decided_for_this_process():
    profile = json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
            {"names": ["chown"], "action": "SCMP_ACT_KILL_PROCESS",
             "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["kill"], "action": "SCMP_ACT_LOG",
             "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]},
        ],
    })  # fmt: skip
    found = document(seccomp=profile)["linux"]["seccomp"]
    assert found["defaultAction"] == "SCMP_ACT_ALLOW"
    assert found["syscalls"] == [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        {"names": ["kill"], "action": "SCMP_ACT_LOG",
         "args": [{"index": 1, "value": 9, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
    ]  # fmt: skip


def test_an_unconfined_process_has_no_filter():
    assert "seccomp" not in document(seccomp="unconfined")["linux"]


def test_a_control_group_is_named_where_one_was_chosen():
    found = document(Place("x86_64", "6.1.0", cgroup_path="/pybuild/x"))
    assert found["linux"]["cgroupsPath"] == "/pybuild/x"


def test_an_argument_that_is_no_text_becomes_question_marks():
    assert document(args=("echo", "a\udcff"))["process"]["args"] == ["echo", "a?"]
