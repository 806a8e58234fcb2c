"""Real images, built once for each kind of caller and used by several tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from support.installation import REPOSITORY
from support.pybuild import Pybuild

FIXTURES = REPOSITORY / "fixtures"
CHANGE = "echo as changed > /var/www/html/index.html; echo x > /srv/data/kept; rm /etc/motd"


@dataclass(frozen=True)
class RealImage:
    """An image in the store and in archives, and a command in it with what that prints."""

    name: str
    archives: tuple[Path, ...]  # an OCI archive, where build wrote one, and docker archives
    args: tuple[str, ...]  # none: the image's own command
    prints: str


class RealImages:
    """The images of one store; each is built when it is first asked for."""

    def __init__(self, pybuild: Pybuild, debian_tar: Path) -> None:
        self.pybuild = pybuild
        self._debian_tar = debian_tar

    def get(self, name: str) -> RealImage:
        """By name: web, changed, compiled or hello."""
        image: RealImage = getattr(self, name)
        return image

    def context(self, name: str) -> Path:
        """A copy of a fixture's context that the user owns."""
        context = self.pybuild.folder / name
        if not context.exists():
            shutil.copytree(FIXTURES / name, context)
        return self.pybuild.give(context)

    @cached_property
    def debian(self) -> str:
        self.pybuild("import", self._debian_tar, "debian:bookworm").ok()
        return "debian:bookworm"

    @cached_property
    def web(self) -> RealImage:
        assert self.debian
        return self._build("web", ("python3", "-c", "print(6 * 7)"), "42\n")

    @cached_property
    def changed(self) -> RealImage:
        """The web image after a change to a container of it."""
        args = ("--name", "changing", "--network", "none", self.web.name)
        self.pybuild("run", *args, "sh", "-c", CHANGE).ok()
        self.pybuild("commit", "-m", "changed", "changing", "web:changed").ok()
        self.pybuild("rm", "changing").ok()
        archives = (self._save("web:changed", "changed"),)
        return RealImage("web:changed", archives, ("cat", "/var/www/html/same.html"), "as built\n")

    @cached_property
    def compiled(self) -> RealImage:
        assert self.debian
        return self._build("compiled", (), "hello, stranger\n")

    @cached_property
    def hello(self) -> RealImage:
        self.pybuild("bootstrap", "host-tools").ok()
        return self._build("hello", ("sh", "-c", "cat $PAGE"), "Hello, world\nHello, stranger\n")

    def _build(self, name: str, args: tuple[str, ...], prints: str) -> RealImage:
        context = self.context(name)
        oci = self.pybuild.folder / f"{name}.oci.tar"
        docker = self.pybuild.folder / f"{name}.docker.tar"
        self.pybuild("-t", name, context).ok()
        self.pybuild("-t", name, "--output", f"type=oci,dest={oci}", context).ok()
        self.pybuild("-t", name, "--output", f"type=docker,dest={docker}", context).ok()
        archives = (oci, docker, self._save(name, name))
        return RealImage(name, archives, args, prints)

    def _save(self, image: str, name: str) -> Path:
        saved = self.pybuild.folder / f"{name}.saved.tar"
        self.pybuild("save", "-o", saved, image).ok()
        return saved
