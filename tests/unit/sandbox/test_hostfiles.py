"""/etc/hosts, /etc/hostname, /etc/resolv.conf."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.sandbox.hostfiles import hosts_text, resolv_conf_text, write_host_files

STUB = "nameserver 127.0.0.53\noptions edns0\nsearch example.org\n"


def test_the_hosts_text_names_localhost_the_extra_hosts_and_the_host_itself():
    lines = hosts_text("box", extra=[("db", "10.0.0.5"), ("six", "fd00::1")]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-3:] == ["10.0.0.5\tdb", "fd00::1\tsix", "127.0.0.1\tbox"]


@pytest.mark.parametrize("address", ["", "db", "10.0.0", "10.0.0.5 evil", "1.2.3.4\n5.6.7.8 x"])
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(UsageError):
        hosts_text("box", extra=[("db", address)])


def test_with_the_hosts_network_the_hosts_name_servers_are_taken_as_they_are():
    assert resolv_conf_text(STUB, network="host", systemd_text="nameserver 10.0.0.1\n") == STUB


def test_loopback_name_servers_are_dropped_and_the_rest_is_kept():
    text = "nameserver 127.0.0.1\nnameserver ::1\nnameserver 10.0.0.1\nsearch a b\n"
    assert resolv_conf_text(text, network="none") == "nameserver 10.0.0.1\nsearch a b\n"


def test_behind_systemds_stub_its_own_servers_count():
    text = resolv_conf_text(STUB, network="none", systemd_text="nameserver 10.0.0.1\nsearch x\n")
    assert text == "nameserver 10.0.0.1\nsearch x\n"


def test_where_no_server_is_left_a_public_one_is_asked():
    text = resolv_conf_text("nameserver 127.0.0.1\noptions ndots:2\n", network="none")
    assert text == "options ndots:2\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    assert "nameserver" in resolv_conf_text("", network="none")


def test_the_files_are_readable_by_everyone_whatever_the_umask(tmp_path: Path):
    umask = os.umask(0o077)
    try:
        files = dict(write_host_files(str(tmp_path), hostname="box", network="none"))
    finally:
        os.umask(umask)
    assert sorted(files) == ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]
    assert Path(files["/etc/hostname"]).read_text() == "box\n"
    assert {stat.S_IMODE(Path(path).stat().st_mode) for path in files.values()} == {0o644}
