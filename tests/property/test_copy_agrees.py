"""COPY of any tree gives that tree: names, types, modes, times, data, links and hard links."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.copying import Copying
from support.trees import tree_of_directory

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", max_codepoint=0x1F600),
    min_size=1,
    max_size=5,
).filter(lambda name: name not in {".", ".."} and not name.startswith(".wh."))
FILES = st.tuples(
    st.just("file"), st.binary(max_size=40), st.sampled_from([0o400, 0o644, 0o755, 0o4711])
)
LINKS = st.tuples(st.just("link"), st.sampled_from(["a", "/etc", "../..", "x//y"]), st.just(0))
HARD = st.tuples(st.just("hard"), st.integers(0, 9), st.just(0))
TREES = st.recursive(
    st.dictionaries(NAMES, st.one_of(FILES, LINKS, HARD), max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(FILES, LINKS, HARD, inner), max_size=4),
    max_leaves=20,
)


def write(directory: Path, tree: dict, files: list[Path]) -> None:
    for number, (name, what) in enumerate(tree.items()):
        path = directory / name
        if isinstance(what, dict):
            path.mkdir()
            write(path, what, files)
            path.chmod(0o700 + number)
        elif what[0] == "link":
            path.symlink_to(what[1])
        elif what[0] == "hard" and files:
            os.link(files[what[1] % len(files)], path)
        else:
            path.write_bytes(what[1] if what[0] == "file" else b"")
            path.chmod(what[2] or 0o600)
            files.append(path)
        os.utime(path, ns=(number, 1_000_000_007 * number + 1), follow_symlinks=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.booleans())
def test_a_copied_tree_is_the_tree(tree, is_stage):
    work = Path(tempfile.mkdtemp(prefix="pybuild-copy-"))
    copying = Copying(work)
    try:
        write(copying.source, tree, [])
        copied = copying.copy(".", dest="/to", is_stage=is_stage)
        found = tree_of_directory(copied.upper / "to")
        expected = tree_of_directory(copying.source)
        assert {**found, "": expected[""]} == {
            k: replace(v, xattrs=()) for k, v in expected.items()
        }
    finally:
        copying.close()
        shutil.rmtree(work)
