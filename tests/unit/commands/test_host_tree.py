from __future__ import annotations

import os

import pytest

from builder.commands.elf import read_elf, read_loader_cache
from builder.commands.hosttree import HostProgramError, HostTree, find_program
from support.elf import elf64


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return str(path)


def added(*paths):
    tree = HostTree()
    for path in paths:
        tree.add(str(path))
    return {entry.path: entry for entry in tree.entries}


def test_headers_say_what_a_program_needs(tmp_path):
    content = elf64(["libc.so.6", "libm.so.6"], interpreter="/lib/ld.so", runpath="$ORIGIN/x:/y")
    elf = read_elf(put(tmp_path, "a", content))
    assert (elf.interpreter, elf.needed) == ("/lib/ld.so", ("libc.so.6", "libm.so.6"))
    assert elf.search_dirs == ("$ORIGIN/x", "/y")
    assert elf.kind == (2, 1, 62)


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 58, elf64()[:100]]
)
def test_what_is_no_program_has_no_headers(tmp_path, content):
    assert read_elf(put(tmp_path, "a", content)) is None


def test_the_headers_of_a_file_cut_anywhere_are_read_or_refused(tmp_path):
    content = elf64(["libc.so.6"], interpreter="/lib/ld.so", runpath="/x")
    for length in range(0, len(content), 7):
        read_elf(put(tmp_path, "a", content[:length]))


def test_this_machines_shell_can_be_read():
    assert read_elf(os.path.realpath("/bin/sh")) is not None
    assert all(
        path.startswith("/")
        for paths in read_loader_cache("/etc/ld.so.cache").values()
        for path in paths
    )


def test_a_machine_without_a_loader_cache_has_an_empty_one(tmp_path):
    assert read_loader_cache(str(tmp_path / "none")) == {}
    assert read_loader_cache(put(tmp_path, "other", b"ld.so-1.7.0")) == {}


def test_a_program_brings_its_libraries_and_theirs(tmp_path):
    program = put(tmp_path, "bin/app", elf64(["liba.so"], runpath="$ORIGIN/../lib"))
    put(tmp_path, "lib/liba.so", elf64(["libb.so"], runpath="${ORIGIN}"))
    put(tmp_path, "lib/libb.so", elf64())
    names = {os.path.relpath(path, tmp_path) for path in added(program)}
    assert {"bin/app", "lib/liba.so", "lib/libb.so"} <= names


def test_a_library_for_another_machine_is_passed_over(tmp_path):
    program = put(tmp_path, "app", elf64(["liba.so"], runpath=f"{tmp_path}/arm:{tmp_path}/amd"))
    put(tmp_path, "arm/liba.so", elf64(machine=183))
    right = put(tmp_path, "amd/liba.so", elf64())
    found = added(program)
    assert right in found
    assert str(tmp_path / "arm/liba.so") not in found


def test_a_missing_library_is_named(tmp_path):
    program = put(tmp_path, "app", elf64(["libnowhere-at-all.so"]))
    with pytest.raises(HostProgramError, match=r"needs the library libnowhere-at-all\.so"):
        added(program)


def test_links_on_the_way_stay_links(tmp_path):
    put(tmp_path, "usr/bin/app-1.0", elf64())
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/app").symlink_to("app-1.0")
    found = added(tmp_path / "bin/app")
    assert found[f"{tmp_path}/bin"].link_target == "usr/bin"
    assert found[f"{tmp_path}/usr/bin/app"].link_target == "app-1.0"
    assert found[f"{tmp_path}/usr/bin/app-1.0"].kind == "file"
    assert f"{tmp_path}/bin/app" not in found


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(HostProgramError, match="too many symbolic links"):
        added(tmp_path / "a")


def test_a_script_brings_its_interpreter(tmp_path):
    shell = put(tmp_path, "myshell", elf64())
    script = put(tmp_path, "script", f"#! {shell} -e\n".encode())
    assert shell in added(script)


def test_a_script_run_by_env_brings_the_program_env_looks_for(tmp_path):
    script = put(tmp_path, "script", b"#!/usr/bin/env -S sh\n")
    assert find_program("sh") in added(script)


def test_a_directory_brings_all_that_is_in_it(tmp_path):
    put(tmp_path, "tree/sub/plain.txt", b"text")
    put(tmp_path, "tree/module.so", elf64(["libneeded.so"], runpath="$ORIGIN/../lib"))
    library = put(tmp_path, "lib/libneeded.so", elf64())
    put(tmp_path, "tree/example", b"#!/nowhere/interpreter\n")
    (tmp_path / "tree/dangling").symlink_to("nowhere")
    (tmp_path / "tree/other").symlink_to("../elsewhere")
    put(tmp_path, "elsewhere/big", b"")
    os.mkfifo(tmp_path / "tree/pipe")
    found = added(tmp_path / "tree")
    assert {library, f"{tmp_path}/tree/sub/plain.txt", f"{tmp_path}/tree/example"} <= set(found)
    assert found[f"{tmp_path}/tree/dangling"].kind == "link"
    assert f"{tmp_path}/elsewhere/big" not in found
    assert f"{tmp_path}/tree/pipe" not in found


def test_parents_come_before_what_is_in_them(tmp_path):
    put(tmp_path, "a/b/c", elf64())
    paths = list(added(tmp_path / "a/b/c"))
    assert paths == sorted(paths)
    assert {str(tmp_path / "a"), str(tmp_path / "a/b")} <= set(paths)


@pytest.mark.parametrize("name", ["no-such-program", "a/b", "/no/such/file"])
def test_a_program_that_is_not_there_is_said(name):
    with pytest.raises(HostProgramError, match="has no program"):
        find_program(name)
