"""`pybuild run` and `podman run` do the same with the same options, but for what is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conftest import person_of, require_kind
from support.behaviours import BEHAVIOURS, Behaviour, Start
from support.boxes import box_of
from support.commands import Finished, pybuild_argv, pybuild_environment, run
from support.installation import REPOSITORY
from support.peers import LIMITS, Podman
from support.pybuild import Pybuild

pytestmark = [pytest.mark.privileged, pytest.mark.needs("busybox", "podman", "root", "script")]

PAGE = REPOSITORY / "docs" / "reference" / "runner-differences.md"
ENV_FILE = "IN_FILE=yes\nWITH_SPACE=a b\nOVERRIDDEN=file\n#COMMENTED=x\nFROM_CALLER\n"
MARK = "\x1e"
IDS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "LONGID"),
    (re.compile(r"\b([0-9a-f]{12})\1\b"), "IDID"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"/tmp/pybuild-test-\w+"), "FOLDER"),
)


@dataclass(frozen=True)
class Difference:
    """A row of the page: what each of the two gives, in parts that its answer has."""

    callers: tuple[str, ...]
    pybuild: tuple[str, ...]
    podman: tuple[str, ...]
    why: str


def differences() -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("| `"):
            continue
        name, callers, ours, theirs, why = cells
        kinds = ("root", "rootless") if callers == "both" else (callers,)
        name = name.strip("`")
        assert name not in found, f"{name} stands twice in {PAGE.name}"
        found[name] = Difference(kinds, _shown(ours), _shown(theirs), why)
    return found


def _shown(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


DIFFERENCES = differences()


class Both:
    """The two, with one image; each container's answers are kept, as several tests look at them."""

    def __init__(self, kind: str, box: Pybuild) -> None:
        self.kind = kind
        self.box = box
        self.podman = Podman(box.folder / "podman", box.user)
        self._answers: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}
        (box.folder / "env").write_text(ENV_FILE)
        (box.folder / "shared").mkdir()
        (box.folder / "shared" / "given").write_text("given\n")
        archive = box.folder / "saved.tar"
        box("save", "-o", archive, "box").ok()
        (box.folder / "podman").mkdir()
        for path in (box.folder / "env", box.folder / "shared", box.folder / "podman", archive):
            box.give(path)
        self.podman("load", "-i", archive).ok()

    def answer(self, who: str, behaviour: Behaviour | Start) -> str:
        if isinstance(behaviour, Start):
            return self._start(who, behaviour)
        key = (who, behaviour.options)
        if key not in self._answers:
            self._answers[key] = self._look(who, behaviour.options)
        return self._answers[key][behaviour.name]

    def _look(self, who: str, options: tuple[str, ...]) -> dict[str, str]:
        """What all behaviours with these options print, from one container."""
        looks = [each for each in BEHAVIOURS.values() if isinstance(each, Behaviour)]
        looks = [each for each in looks if each.options == options]
        script = "".join(
            f"echo '{MARK}{each.name}'\n({each.script}) 2>/dev/null; echo status $?\n"
            for each in looks
        )
        words = [word.replace("@", str(self.box.folder)) for word in options]
        done = self._ended(who, Start("", (*words, "box", "sh", "-c", script)))
        if done.status != 0:
            return {each.name: f"{done}" for each in looks}
        parts = (part.partition("\n") for part in _plain(done.stdout).split(MARK)[1:])
        return {name: text for name, _, text in parts}

    def _start(self, who: str, start: Start) -> str:
        done = self._ended(who, start)
        return _plain(f"{done.stdout}status {done.status}\n")

    def _ended(self, who: str, start: Start) -> Finished:
        argv, environment = self._command(who, start.words)
        environment |= {"FROM_CALLER": "caller's", "TERM": "vt100"}
        cwd = self.box.folder
        if start.terminal:
            line = "stty rows 33 cols 97; exec " + " ".join(map(_quoted, argv))
            argv = ["script", "-qec", line, "/dev/null"]
        return run(argv, env=environment, cwd=cwd, stdin=start.stdin, timeout_s=60)

    def _command(self, who: str, words: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
        usual = ("run", "--rm", *(() if "--network" in words else ("--network", "none")))
        if who == "pybuild":
            environment = pybuild_environment(
                user=self.box.user, root=self.box.root, tmp=self.box.tmp
            )
            return pybuild_argv([*usual, *words], user=self.box.user), environment
        own = LIMITS[2:] if "nofile=100:200" in words else LIMITS
        return self.podman.argv(*usual, *own, *words), self.podman.environment()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _plain(text: str) -> str:
    text = text.replace("\r\n", "\n")
    for pattern, name in IDS:
        text = pattern.sub(name, text)
    return text


@pytest.fixture(scope="module", params=["root", "rootless"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    require_kind(request.param)
    with box_of(person_of(request.param)) as box:
        made = Both(request.param, box)
        try:
            yield made
        finally:
            made.podman.end()


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_both_do_the_same_but_for_what_is_listed(both: Both, name: str):
    ours, theirs = (both.answer(who, BEHAVIOURS[name]) for who in ("pybuild", "podman"))
    listed = DIFFERENCES.get(name)
    if listed is None or both.kind not in listed.callers:
        assert ours == theirs
        return
    assert ours != theirs, f"{name} is listed in {PAGE.name}, and does not differ any more"
    assert [part for part in listed.pybuild if part not in ours] == [], ours
    assert [part for part in listed.podman if part not in theirs] == [], theirs


def test_each_listed_difference_is_looked_at_and_has_a_reason():
    assert [name for name in DIFFERENCES if name not in BEHAVIOURS] == []
    assert [name for name, listed in DIFFERENCES.items() if not listed.why] == []
