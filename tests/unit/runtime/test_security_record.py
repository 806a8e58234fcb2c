"""What the options about confinement mean: the record, capabilities, masks, settings."""

from __future__ import annotations

import pytest

from builder.errors import UnsupportedError
from builder.kernel.capabilities import NAMES as EVERY
from builder.runtime import security_options as options
from builder.runtime.errors import InvalidOptionError
from builder.runtime.security import (
    Security,
    capabilities,
    confinement,
    security_document,
    security_options,
)
from builder.sandbox.api import DEFAULT_CAPABILITIES
from builder.sandbox.confinement import READONLY_PATHS, masked_paths


def read(*texts: str) -> options.SecurityOptions:
    return options.parse_security_options(texts, lambda path: f"text of {path}")


def confined(security: Security, *, own_network: bool = True):
    return confinement(
        security,
        own_network=own_network,
        checked_profile=lambda profile: profile,
        process_label=",".join,
    )


def test_security_options_are_read_in_both_spellings():
    expected = options.SecurityOptions(no_new_privileges=True, seccomp="unconfined")
    assert read("no-new-privileges", "seccomp=unconfined") == expected
    assert read("no-new-privileges:true", "seccomp:unconfined") == expected
    assert read("no-new-privileges:false", "seccomp=builtin") == options.SecurityOptions()


def test_a_seccomp_profile_is_kept_as_its_text():
    assert read("seccomp=p.json").seccomp == "text of p.json"


def test_masks_are_lists_of_paths_and_all_of_them_can_be_taken_away():
    found = read("mask=/a:/b", "mask=/c", "unmask=/proc/*")
    assert (found.masked, found.unmasked) == (("/a", "/b", "/c"), ("/proc/*",))
    assert read("unmask=ALL").unmasked == read("systempaths=unconfined").unmasked == ("ALL",)


@pytest.mark.parametrize(
    "text", ["no-new-privileges:x", "seccomp=", "seccomp", "apparmor", "systempaths=x", "other=1"]
)
def test_a_security_option_that_is_not_there_is_refused_by_name(text):
    with pytest.raises(UnsupportedError, match=text):
        read(text)


@pytest.mark.parametrize("text", ["label=x", "label=type:", "mask=a", "mask=/a:b", "unmask=/a/.."])
def test_a_security_option_with_a_senseless_value_is_refused(text):
    with pytest.raises(InvalidOptionError):
        read(text)


@pytest.mark.parametrize(
    ("text", "name"), [("net_admin", "CAP_NET_ADMIN"), ("CAP_CHOWN", "CAP_CHOWN"), ("all", "ALL")]
)
def test_a_capability_is_read_with_and_without_its_prefix(text, name):
    assert options.parse_capability(text) == name


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), set(DEFAULT_CAPABILITIES)),
        (("CAP_SYS_ADMIN",), (), {*DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"}),
        ((), ("CAP_MKNOD",), set(DEFAULT_CAPABILITIES) - {"CAP_MKNOD"}),
        (("ALL",), (), set(EVERY)),
        (("ALL",), ("CAP_KILL",), set(EVERY) - {"CAP_KILL"}),
        ((), ("ALL",), set()),
        (("CAP_KILL",), ("ALL",), {"CAP_KILL"}),
    ],
)
def test_capabilities_are_counted_as_docker_counts_them(add, drop, expected):
    assert set(capabilities(Security(cap_add=add, cap_drop=drop), EVERY)) == expected


def test_a_capability_that_there_is_not_is_refused():
    with pytest.raises(InvalidOptionError, match="CAP_FLY"):
        capabilities(Security(cap_add=("CAP_FLY",)), EVERY)


def test_by_default_dockers_paths_are_masked():
    found = confined(Security())
    assert found.masked is None  # the usual ones
    assert {"/proc/kcore", "/sys/firmware"} <= set(masked_paths())
    assert found.readonly == READONLY_PATHS


def test_paths_are_masked_besides_the_usual_ones_or_shown_by_pattern():
    more = confined(Security(masked=("/etc/secret",))).masked
    assert more is not None
    assert set(more) == {*masked_paths(), "/etc/secret"}
    shown = confined(Security(unmasked=("/proc/*",)))
    assert shown.readonly == ()
    assert shown.masked is not None
    assert all(path.startswith("/sys/") for path in shown.masked)
    assert confined(Security(unmasked=("ALL",), masked=("/x",))).masked == ("/x",)


def test_a_privileged_container_has_nothing_masked():
    found = confined(Security(privileged=True, masked=("/x",)))
    assert (found.masked, found.readonly) == ((), ())


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("net.ipv4.ip_forward=1", ("net.ipv4.ip_forward", "1")),
        ("net/ipv4/conf/eth0.5/forwarding=1", ("net.ipv4.conf.eth0/5.forwarding", "1")),
        ("kernel.sem=1 2 3 4", ("kernel.sem", "1 2 3 4")),
        ("fs.mqueue.msg_max=9", ("fs.mqueue.msg_max", "9")),
    ],
)
def test_a_setting_of_a_namespace_is_taken(text, pair):
    assert options.parse_sysctl(text) == pair


@pytest.mark.parametrize(
    "text",
    [
        *("kernel.core_pattern=|/x", "vm.swappiness=1", "net.a", "=1", "", "net", "net.=1"),
        *("net.ipv4./..=1", "net././/.kernel.core_pattern=x", "net/../kernel/core_pattern=x"),
    ],
)
def test_a_setting_of_the_machine_is_refused(text):
    with pytest.raises(InvalidOptionError, match="sysctl"):
        options.parse_sysctl(text)


def test_a_setting_is_refused_where_its_namespace_is_the_hosts():
    with pytest.raises(InvalidOptionError, match="host's network"):
        confined(Security(sysctls=(("net.core.somaxconn", "1"),)), own_network=False)
    with pytest.raises(InvalidOptionError, match="ipc host"):
        confined(Security(ipc="host", sysctls=(("kernel.sem", "1"),)))


@pytest.mark.parametrize(("option", "text"), [("ipc", "shareable"), ("pid", "container:web")])
def test_the_mode_of_a_namespace_is_a_word_or_another_container(option, text):
    assert options.parse_namespace(text, option) == text


@pytest.mark.parametrize(
    ("option", "text"), [("pid", "none"), ("uts", "x"), ("ipc", "container:"), ("ipc", "ns:/a")]
)
def test_the_mode_of_a_namespace_that_there_is_not_is_refused(option, text):
    with pytest.raises(InvalidOptionError, match=option):
        options.parse_namespace(text, option)


def test_the_namespaces_of_the_host_are_named():
    found = confined(Security(ipc="host", pid="host", uts="private", cgroupns="host"))
    assert found.of_host == {"ipc", "pid", "cgroup"}


def test_inspect_shows_the_words_of_the_command_line():
    texts = ("no-new-privileges", "seccomp=unconfined", "apparmor=p", "label=disable", "mask=/a:/b")
    found = read(*texts)
    security = Security(
        no_new_privileges=found.no_new_privileges,
        seccomp=found.seccomp,
        apparmor=found.apparmor,
        labels=found.labels,
        masked=found.masked,
    )
    assert security_options(security) == list(texts)
    document = security_document(security)
    assert document["IpcMode"] == "private"
    assert {"/a", "/b"} <= set(map(str, document["MaskedPaths"]))  # type: ignore[call-overload]
