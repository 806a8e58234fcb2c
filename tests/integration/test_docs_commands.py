"""The commands that documents show are run, and print what the documents say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import person_of, require, require_kind
from support.commands import pybuild_environment, run
from support.docker_registry import PASSWORD, docker_registry
from support.installation import REPOSITORY, console_script
from support.nethost import net_host
from support.pybuild import Pybuild, pybuild_of
from support.transcripts import Command, WrittenFile, agrees, outcomes_of, script_of, steps_in

pytestmark = pytest.mark.privileged

DOCS = REPOSITORY / "docs"
DOCUMENTS = sorted(
    path for folder in ("howto", "explanation") for path in (DOCS / folder).glob("*.md")
)
WITH_COMMANDS = [path for path in DOCUMENTS if any(isinstance(s, Command) for s in steps_in(path))]
WITH_REGISTRIES = {"registries", "air-gapped", "several-platforms", "ci"}
NEEDS = {
    **{f"{name}.md": ["docker-registry"] for name in WITH_REGISTRIES},
    "limits.md": ["root", "ps"],
    "networks.md": ["root", "nft", "ip", "busybox", "curl"],
    "oci-runtimes.md": ["runc"],
    "secrets-and-ssh.md": ["ssh-agent", "ssh-keygen"],
}
ROOT = "root" if os.geteuid() == 0 else "rootless"


def test_there_are_documents_with_commands():
    assert {path.stem for path in WITH_COMMANDS} >= {"caching", "rootless", "ci", "debian-base"}


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.stem)
def test_the_commands_print_what_the_document_says(path: Path):
    for need in NEEDS.get(path.name, []):
        require(need)
    kind = "rootless" if path.stem == "rootless" else ROOT
    require_kind(kind)
    with ExitStack() as stack:
        person, environment = person_of(kind), dict[str, str]()
        if path.stem == "networks":  # not on this machine's own network
            person = stack.enter_context(net_host()).person(person)
            environment = {"PYBUILD_NETWORK": ""}
        pybuild = stack.enter_context(pybuild_of(person))
        if path.stem in WITH_REGISTRIES:
            environment = registries(pybuild, stack, path.stem)
        follow(path, pybuild, environment)


def registries(pybuild: Pybuild, stack: ExitStack, stem: str) -> dict[str, str]:
    """What documents call $REGISTRY and $MIRROR; in the one on registries it is a closed one."""
    is_closed = stem == "registries"
    registry = docker_registry(pybuild.folder / "registry", closed=is_closed)
    mirror = docker_registry(pybuild.folder / "mirror")
    first = stack.enter_context(registry)
    variables = {"REGISTRY": first.host, "AUTHORITY": str(first.ca), "PASSWORD": PASSWORD}
    if is_closed:
        variables["MIRROR"] = stack.enter_context(mirror).host
    return variables


def follow(path: Path, pybuild: Pybuild, environment: Mapping[str, str]) -> None:
    steps = steps_in(path)
    here = pybuild.folder / "here"
    here.mkdir()
    waiting: list[Command] = []
    for step in steps:
        if isinstance(step, WrittenFile):
            check(waiting, here, pybuild, environment)
            waiting = []
            target = here / step.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(step.content)
            target.chmod(0o755 if step.content.startswith("#!") else 0o644)
        else:
            waiting.append(step)
    check(waiting, here, pybuild, environment)


def check(commands: list[Command], here: Path, pybuild: Pybuild, more: Mapping[str, str]) -> None:
    pybuild.give(here)
    environment = pybuild_environment(user=pybuild.user, root=pybuild.root, tmp=pybuild.tmp)
    programs = console_script(pybuild.user).parent
    environment |= {"PATH": f"{programs}:{environment['PATH']}", "HOME": str(here), **more}
    argv = [*pybuild.user.prefix(), "bash", "-c", script_of(commands)]
    done = run(argv, env=environment, cwd=here)
    outcomes = outcomes_of(done.stdout)
    assert len(outcomes) == len(commands), done
    for command, (printed, status) in zip(commands, outcomes, strict=True):
        if command.shown:
            assert agrees(command.shown, printed), f"$ {command.text}\n{printed}"
        else:
            assert status == 0, f"$ {command.text}\n{printed}"
