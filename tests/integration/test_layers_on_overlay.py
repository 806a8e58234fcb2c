"""Layers as the kernel sees them: what overlayfs wrote is packed, what is unpacked it shows."""

import subprocess
from pathlib import Path

import pytest

from support.installation import console_script
from support.users import Person, current_person, ordinary_person

SCENARIO = Path(__file__).resolve().parents[1] / "support" / "overlay_scenario.py"


def run_scenario(person: Person, unshare: list[str], *, userxattr: bool) -> str:
    python = console_script(person).with_name("python")
    done = subprocess.run(
        [*person.prefix(), *unshare, str(python), "-", str(int(userxattr))],
        input=SCENARIO.read_text(),
        env=person.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.privileged
@pytest.mark.needs("root", "namespaces")
def test_layers_of_root_mean_to_overlayfs_what_they_mean_here():
    unshare = ["unshare", "--mount"]
    assert run_scenario(current_person(), unshare, userxattr=False) == "fine\n"


@pytest.mark.privileged
@pytest.mark.needs("subids")
def test_layers_of_an_ordinary_user_mean_to_overlayfs_what_they_mean_here():
    unshare = ["unshare", "--user", "--map-auto", "--map-root-user", "--mount"]
    assert run_scenario(ordinary_person(), unshare, userxattr=True) == "fine\n"
