from __future__ import annotations

import json

import pytest

from builder.image.model import ContainerConfig, Healthcheck, Platform
from builder.network.model import Membership, PortMapping
from builder.runtime.codec import decode_container, decode_state, encode_container, encode_state
from builder.runtime.container import Container, ContainerState, HostConfig
from builder.runtime.errors import BrokenContainerError
from builder.runtime.limits import Device, Limits
from builder.runtime.networking import Networking
from builder.runtime.policies import Policies, RestartPolicy
from builder.runtime.security import Security
from builder.runtime.volumes import HostBind, HostMounts, ImageMount, TmpfsMount, VolumeMount
from builder.sandbox.devicerules import DeviceRule
from builder.sandbox.grouplimits import DeviceRate, GroupLimits
from cache.digest import sha256_digest

SECURITY = Security(
    privileged=True,
    cap_add=("CAP_SYS_ADMIN",),
    cap_drop=("ALL",),
    no_new_privileges=True,
    seccomp="unconfined",
    apparmor="profile",
    labels=("disable",),
    masked=("/a",),
    unmasked=("/proc/*",),
    ipc="host",
    pid="container:x",
    uts="private",
    cgroupns="host",
    userns="auto",
    sysctls=(("net.core.somaxconn", "5"),),
    groups=("audio", "7"),
)
LIMITS = Limits(
    group=GroupLimits(
        memory_bytes=1 << 30,
        memory_swap_bytes=-1,
        memory_reservation_bytes=1 << 29,
        memory_swappiness=0,
        oom_kill_disable=True,
        nano_cpus=1,
        cpu_shares=2,
        cpu_period_us=3,
        cpu_quota_us=-1,
        cpuset_cpus="0-1",
        cpuset_mems="0",
        pids=-1,
        blkio_weight=10,
        device_read_bps=(DeviceRate("/dev/a", 1),),
        device_write_bps=(DeviceRate("/dev/b:c", 2),),
        device_read_iops=(DeviceRate("/dev/d", 3),),
        device_write_iops=(DeviceRate("/dev/e", 4),),
    ),
    cgroup_parent="/p",
    oom_score_adj=-5,
    rlimits=(("nofile", 1, -1),),
    shm_size_bytes=1 << 20,
    devices=(Device("/dev/x", "/dev/y", "r"),),
    device_rules=(DeviceRule("c", 1, None, "rm"), DeviceRule("a", None, 0)),
)
MOUNTS = HostMounts(
    (
        HostBind(
            "/a",
            "/b",
            readonly=True,
            flags=("noexec",),
            propagation="rslave",
            recursive=False,
            make_source=True,
            overlaid=True,
            chown=True,
            relabel="private",
        ),
        VolumeMount("v", "/c", anonymous=True, nocopy=True, subpath="s", labels=(("k", "v"),)),
        TmpfsMount("/d", flags=("nosuid",), options=("size=5",)),
        ImageMount("box", "/e", False, "s", sha256_digest(b"image"), (sha256_digest(b"1"),)),
    )
)
CONTAINER = Container(
    container_id="0f" * 32,
    name="web",
    created=1700000000.25,
    image_id=sha256_digest(b"image"),
    image_name="app:1",
    platform=Platform("linux", "arm64", "v8"),
    diff_ids=(sha256_digest(b"1"), sha256_digest(b"2")),
    config=ContainerConfig(
        user="app",
        env=(("A", "x=y"), ("B", "")),
        entrypoint=("/bin/sh", "-c"),
        cmd=(),
        labels=(("k", "v"),),
        healthcheck=Healthcheck(("CMD", "true"), interval_ns=5),
    ),
    host=HostConfig(
        networking=Networking(
            mode="back",
            memberships=(Membership("back", "10.1.0.2", "fd01::2", "02:00:00:00:00:01", ("db",)),),
            publish=(PortMapping(80, "tcp", "127.0.0.1", 8080), PortMapping(53, "udp")),
            publish_all=True,
            expose=("90/tcp",),
            hostname="box",
            domainname="example.org",
            extra_hosts=(("db", "::1"),),
            dns=("10.0.0.1",),
            dns_options=("ndots:1",),
            dns_search=("example.org",),
        ),
        mounts=MOUNTS,
        auto_remove=True,
        terminal=True,
        stdin_open=True,
        readonly_rootfs=True,
        security=SECURITY,
        limits=LIMITS,
        policies=Policies(RestartPolicy("always"), stop_timeout_s=0, init=True),
    ),
)


def test_a_container_comes_back_from_its_record():
    assert decode_container(encode_container(CONTAINER)) == CONTAINER


def test_a_container_of_defaults_comes_back_from_its_record():
    plain = Container(
        "1" * 64, "a", 0.0, sha256_digest(b""), "i", Platform("linux", "amd64"), (),
        ContainerConfig(), HostConfig(),
    )  # fmt: skip
    assert decode_container(encode_container(plain)) == plain


def test_a_state_comes_back():
    state = ContainerState(
        12, 345, "boot", (":/sys/fs/cgroup/x",), 1.5, 2.25, 137, "it broke", True, True, 3, True
    )
    assert decode_state(encode_state(state)) == state
    assert decode_state(encode_state(ContainerState())) == ContainerState()


def test_an_argument_that_is_no_text_does_not_break_the_record():
    odd = ContainerConfig(cmd=("a\udcffb",))
    stored = Container(
        "1" * 64, "a", 0.0, sha256_digest(b""), "i", Platform("linux", "amd64"), (),
        odd, HostConfig(),
    )  # fmt: skip
    assert decode_container(encode_container(stored)).args == ("a?b",)


@pytest.mark.parametrize("field", ["id", "name", "image_id", "format"])
def test_a_record_without_what_it_must_have_is_broken(field):
    document = json.loads(encode_container(CONTAINER))
    del document[field]
    with pytest.raises(BrokenContainerError):
        decode_container(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("networking", {"publish": [{"protocol": "x"}]}),
        ("security", {"seccomp": ""}),
        ("mounts", {"entries": [{"kind": "x"}]}),
    ],
)
def test_a_record_with_an_unknown_kind_is_broken(field, value):
    document = json.loads(encode_container(CONTAINER))
    document["host"][field] = value
    with pytest.raises(BrokenContainerError):
        decode_container(json.dumps(document).encode())


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
def test_bytes_that_are_no_record_are_broken(blob):
    with pytest.raises(BrokenContainerError):
        decode_container(blob)
    if blob != b"{}":
        with pytest.raises(BrokenContainerError):
            decode_state(blob)
