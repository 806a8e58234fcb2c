"""Who the tests act as: root, or an ordinary user with subordinate ids."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TEST_USER = "pybuild-test"


@dataclass(frozen=True)
class Person:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def prefix(self) -> list[str]:
        """The words before a command that make this person run it."""
        if self.uid == os.geteuid():
            return []
        ids = ["--reuid", str(self.uid), "--regid", str(self.gid), "--init-groups"]
        # setpriv executes its program with root's capabilities still effective, which would find
        # files that this person can't reach; env has lost them when it executes the next one.
        return ["setpriv", *ids, "--inh-caps=-all", "env"]

    def environment(self) -> dict[str, str]:
        """Nothing of the caller's but the way to programs."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "USER": self.name,
            "LANG": "C.UTF-8",
        }


def current_person() -> Person:
    return _person(pwd.getpwuid(os.geteuid()))


def _person(entry: pwd.struct_passwd) -> Person:
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


@cache
def ordinary_person() -> Person:
    """The caller when that isn't root; else a user made for the tests, once per machine."""
    if os.geteuid() != 0:
        return current_person()
    try:
        return _person(pwd.getpwnam(TEST_USER))
    except KeyError:
        subprocess.run(["useradd", "-m", TEST_USER], check=True)  # gives it subids as well
        return _person(pwd.getpwnam(TEST_USER))


def as_namespace_root() -> list[str]:
    """The words before a command that make it root over the caller's subordinate ids."""
    if os.geteuid() == 0:
        return []
    return ["unshare", "--user", "--map-auto", "--map-root-user", "--mount"]
