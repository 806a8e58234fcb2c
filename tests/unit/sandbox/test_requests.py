"""A process on its way to the sandbox server."""

from __future__ import annotations

import _socket
import os

import pytest

from builder.errors import UsageError
from builder.kernel import mount
from builder.sandbox import requests
from builder.sandbox.api import (
    BindEntry,
    Credentials,
    Hooks,
    OverlayEntry,
    ProcessSpec,
    Stdio,
    TmpfsEntry,
)
from builder.sandbox.child import wire
from builder.sandbox.child.program import candidates, environment_of
from builder.sandbox.child.request import BindMount, decoded, encoded

SPEC = ProcessSpec(
    rootfs_dir="/r",
    args=("sh", "-c", "echo \udcff"),
    env=("A=1",),
    credentials=Credentials(1, 2, (3,)),
    mounts=(
        BindEntry(
            "/h", "/t", readonly=True, recursive=False, flags=("noexec",), propagation="rslave"
        ),
        TmpfsEntry("/tmp", 5, 0o700, options=("size=9", "uid=7")),
        OverlayEntry("/l", "/u", "/w", "/o"),
    ),
    rlimits=(("nofile", 10, 20),),
    network="none",
)


def sent_and_received(spec: ProcessSpec, stdio: Stdio):
    descriptors = requests.Descriptors()
    request = requests.request_of(
        spec,
        stdio,
        descriptors,
        env=("B=2",),
        seccomp_fd=50,
        cgroup_fds=(51, 52),
        joined_fds=(("ipc", 53),),
        hooks=Hooks(before_execute=print),
        rootless=True,
    )
    received = tuple(fd + 1000 for fd in descriptors.fds)
    return decoded(encoded(request), received)


def test_a_request_arrives_as_it_was_sent_with_the_received_descriptors():
    request = sent_and_received(SPEC, Stdio(stdout=41, stderr=41))
    assert (request.args, request.env) == (SPEC.args, ("B=2",))
    assert (request.uid, request.groups) == (1, (3,))
    assert request.stdio_fds == (-1, 1041, 1041)
    assert (request.seccomp_fd, request.cgroup_fds) == (1050, (1051, 1052))
    assert request.new_network
    assert request.joined_fds == (("ipc", 1053),)
    assert (request.waits_on_clone, request.waits_before_execute) == (False, True)
    assert request.capabilities == 0xA80425FB
    bind, tmpfs, overlay = request.mounts
    assert isinstance(bind, BindMount)
    assert (bind.source, bind.source_fd, bind.recursive) == ("/h", -1, False)
    assert bind.attributes == mount.ATTR_RDONLY | mount.ATTR_NOEXEC
    assert bind.propagation == mount.MS_SLAVE | mount.MS_REC
    assert tmpfs.fields() == {
        "options": ("mode=700", "size=9", "uid=7"),
        "attributes": mount.ATTR_NOSUID | mount.ATTR_NODEV,
        "target": "/tmp",
    }
    assert overlay.fields() == {"lowerdir": "/l", "target": "/o", "upperdir": "/u", "workdir": "/w"}


def test_a_privileged_process_may_have_every_capability():
    spec = ProcessSpec(rootfs_dir="/", args=("x",), env=(), privileged=True)
    assert sent_and_received(spec, Stdio()).capabilities == (1 << 41) - 1


@pytest.mark.parametrize(
    "change", [{"capabilities": ("CAP_FLY",)}, {"rlimits": (("fortune", 1, 1),)}]
)
def test_an_unknown_name_is_refused(change):
    spec = ProcessSpec(rootfs_dir="/", args=("x",), env=(), **change)
    with pytest.raises(UsageError):
        sent_and_received(spec, Stdio())


@pytest.mark.parametrize(
    ("env", "expected"), [(("HOME=/x",), True), (("HOME=",), False), (("XHOME=/x",), False)]
)
def test_home_counts_as_set_when_it_says_something(env: tuple[str, ...], expected: bool):
    assert requests.has_home(env) is expected


def test_messages_and_descriptors_pass_a_socket_and_its_end_is_an_empty_message():
    here, there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    read_fd, write_fd = os.pipe()
    wire.send(here, ("failed", 5, "/path"), (write_fd,))
    here.close()
    message, (received,) = wire.receive(there)
    assert message == ("failed", 5, "/path")
    assert not os.get_inheritable(received)
    os.write(received, b"x")
    assert os.read(read_fd, 1) == b"x"
    assert wire.receive(there) == ((), ())
    wire.send(there, ("nobody", "listens"))
    there.close()
    for fd in (read_fd, write_fd, received):
        os.close(fd)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("sh", ("/bin/sh", "/usr/bin/sh")),
        ("/bin/sh", ("/bin/sh",)),
        ("./run", ("./run",)),
        ("", ()),
    ],
)
def test_a_bare_name_is_looked_for_in_path_and_never_in_the_working_directory(program, expected):
    assert candidates(program, "/bin::/usr/bin:") == expected


def test_of_two_variables_of_one_name_the_later_counts():
    assert environment_of(("A=1", "B", "=x", "A=2", "C=a=b")) == {"A": "2", "C": "a=b"}
