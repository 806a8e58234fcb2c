"""Each example of the Dockerfile reference is built, and gives what it says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import person_of, require, require_kind
from support.commands import Finished
from support.examples import Example, Expectation, examples_in
from support.installation import REPOSITORY
from support.pybuild import Pybuild, pybuild_of
from support.servers import git_server, web_server, write_repository

pytestmark = pytest.mark.privileged

DOCUMENT = REPOSITORY / "docs" / "reference" / "dockerfile.md"
EXAMPLES = examples_in(DOCUMENT)
KIND = "root" if os.geteuid() == 0 else "rootless"  # one is enough: other tests are for both
FILES = {
    "page.txt": "Hello",
    "token": "s3cret",
    "app/main.sh": "echo running\n",
    "app/notes.md": "notes",
    "app/lib/a.txt": "a",
    "app/lib/b.txt": "b",
}
"""The context of each example, which the document shows at its top; and files.tar.gz."""
SERVED_AT = 1_445_412_480  # Last-Modified


@dataclass
class Bench:
    """Builds examples, all in one store."""

    pybuild: Pybuild
    hosts: dict[str, str]  # name in the document → address of a server

    def build(self, example: Example) -> tuple[Finished, Path]:
        folder = self.pybuild.folder / "context"
        shutil.rmtree(folder, ignore_errors=True)
        dockerfile = example.dockerfile
        for name, address in self.hosts.items():
            dockerfile = dockerfile.replace(name, address)
        context = self.pybuild.context({**FILES, **example.files, "Dockerfile": dockerfile})
        with tarfile.open(context / "files.tar.gz", "w:gz") as archive:
            archive.add(context / "app" / "lib", "lib")
        self.pybuild.give(context)
        tree = self.pybuild.folder / "tree.tar"
        tree.unlink(missing_ok=True)
        base = f"base=oci-layout://{self.pybuild.busybox()}:latest"
        words = ["-t", "example", "--build-context", base, *example.options]
        if not any(word.startswith(("--check", "--call")) for word in words):
            words += ["-o", f"type=tar,dest={tree}"]
        return self.pybuild(*words, ".", cwd=context), tree


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    require_kind(KIND)
    require("git")
    with ExitStack() as stack:
        pybuild = stack.enter_context(pybuild_of(person_of(KIND)))
        served = pybuild.folder / "served"
        served.mkdir()
        (served / "page.txt").write_text("Hello")
        os.utime(served / "page.txt", (SERVED_AT, SERVED_AT))
        with tarfile.open(served / "files.tar.gz", "w:gz") as archive:
            archive.add(served / "page.txt", "page.txt")
        agent = stack.enter_context(socket.socket(socket.AF_UNIX))
        agent.bind(str(pybuild.folder / "agent.sock"))
        (pybuild.folder / "agent.sock").chmod(0o666)
        agent.listen()
        write_repository(
            pybuild.folder / "git" / "app.git",
            {"main.c": "int main;", "docs/guide.txt": "guide"},
        )
        hosts = {
            "files.example": stack.enter_context(web_server(served)),
            "git.example": stack.enter_context(git_server(pybuild.folder / "git")),
        }
        yield Bench(pybuild, hosts)


def test_the_document_has_examples():
    assert len(EXAMPLES) > 60


def test_the_document_shows_the_context_of_its_examples():
    text = DOCUMENT.read_text()
    for name, content in FILES.items():
        assert f"{name:15}{content.strip()}\n" in text


@pytest.mark.parametrize("example", EXAMPLES, ids=[one.name for one in EXAMPLES])
def test_the_example_gives_what_it_says(bench, example):
    finished, tree = bench.build(example)
    fails = [one for one in example.expected if one.kind == "fails"]
    if not fails and not any(one.kind == "warns" for one in example.expected):
        finished.ok()
    assert (finished.status != 0) or not fails, finished
    members = read_tree(tree) if tree.exists() else {}
    for one in example.expected:
        check(bench, one, finished, members)


def read_tree(path: Path) -> dict[str, tuple[tarfile.TarInfo, str]]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            content = stream.read().decode(errors="replace") if stream else ""
            found["/" + member.name.removeprefix("./").rstrip("/")] = (member, content)
    return found


def check(bench, one: Expectation, finished: Finished, members) -> None:
    match one.kind:
        case "fails" | "warns":
            assert one.text in finished.output, finished
        case "runs":
            ran = bench.pybuild("run", "--rm", "--network", "none", "example").ok()
            assert ran.stdout.removesuffix("\n") == one.text
        case "config":
            check_config(bench.pybuild.inspect("example")["Config"], one)
        case "is":
            assert one.text in what_is(members, one.subject)
        case "holds":
            assert one.subject in members, sorted(set(members) - {"/bin"})
            assert members[one.subject][1].removesuffix("\n") == one.text


def check_config(config, one: Expectation) -> None:
    wanted = json.loads(one.text)
    if one.subject == "Env":
        assert set(wanted) <= set(config["Env"])
    else:
        assert config[one.subject] == wanted


def what_is(members, path: str) -> list[str]:
    """All that an example may say of a path."""
    if path not in members:
        return ["absent"]
    member = members[path][0]
    owned = f"{member.mode:04o} {member.uid}:{member.gid}"
    if member.issym():
        return [f"a link to {member.linkname}", owned]
    return ["a directory", owned] if member.isdir() else ["a file", owned]
