"""An image whose layers are unpacked at once is the one that comes of one layer after the other."""

from __future__ import annotations

import os
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.image.platform import host_platform
from builder.worker.image_step import load_layout_image
from cache.descriptor import chain_ids
from cache.digest import sha256_digest
from cache.snapshot import marks
from support.images import Entry, directory, layer_tar, write_layout
from support.stores import open_store
from support.trees import tree_of_directory

OWNER = {"uid": os.getuid(), "gid": os.getgid()}
DIRECTORIES = ["", "a/", "a/b/", "c/"]
NAMES = ["a", "b", "c", "x", "y"]

places = st.builds(str.__add__, st.sampled_from(DIRECTORIES), st.sampled_from(NAMES))
times = st.integers(1_000_000, 1_000_005)
files = st.builds(
    lambda data, mode, mtime: Entry(data, mode, mtime=mtime, **OWNER),
    st.binary(max_size=3),
    st.sampled_from([0o644, 0o755]),
    times,
)
folders = st.builds(
    lambda mode, mtime: Entry(mode=mode, mtime=mtime, kind=tarfile.DIRTYPE, **OWNER),
    st.sampled_from([0o755, 0o700, 0o1777]),
    times,
)
members = st.one_of(
    st.tuples(places, files),
    st.tuples(places | st.just("./"), folders),
    st.tuples(st.sampled_from(DIRECTORIES).map("{}.wh..wh..opq".format), st.just(Entry())),
    st.builds(
        lambda directory, name: (f"{directory}.wh.{name}", Entry()),
        st.sampled_from(DIRECTORIES),
        st.sampled_from(NAMES),
    ),
    st.tuples(places, places.map(lambda to: Entry(kind=tarfile.LNKTYPE, target=to, **OWNER))),
    st.tuples(places, places.map(lambda to: Entry(kind=tarfile.SYMTYPE, target=to, **OWNER))),
)
layers = st.lists(members, max_size=6).map(dict)


def loaded(folder: Path, tars: list[bytes], steps: list[int]) -> list[object]:
    """What each layer is in a store that took the first few in, then more, then all."""
    with open_store(folder / "store") as store:
        outcome = ""
        for count in steps:
            layout = write_layout(folder / f"layout{count}", tars[:count])
            with store.leases.hold() as lease:
                try:
                    load_layout_image(store, f"oci-layout://{layout}", host_platform(), lease)
                except Exception as error:  # noqa: BLE001 - both ways must have the same
                    outcome = str(error)
                    break
        owned = os.path.join(store.state.root_dir, "tmp", store.state.owner)
        assert os.listdir(owned) == ["lock"]
        found = [store.snapshots.info(each) for each in chain_ids(list(map(sha256_digest, tars)))]
        return [outcome, *(info and seen(Path(info.diff_dir)) for info in found)]


def seen(tree: Path) -> object:
    """All of a layer's tree, but for when its whiteouts were made: no layer says that."""
    nodes = {
        name: replace(node, mtime=0) if node.kind == "char" and node.device == (0, 0) else node
        for name, node in tree_of_directory(tree).items()
    }
    opaque = {
        name: marks.opacity(str(tree / name), userxattr=True)
        for name, node in nodes.items()
        if node.kind == "dir"
    }
    return nodes, opaque


@settings(deadline=None, max_examples=60)
@given(st.lists(layers, min_size=2, max_size=6))
def test_layers_unpacked_at_once_are_those_unpacked_one_by_one(
    drawn: list[dict[str, Entry]],
) -> None:
    drawn[0] = {"./": directory(), **drawn[0]}  # else it has the time of its unpacking
    tars = [layer_tar(entries) for entries in drawn]
    with tempfile.TemporaryDirectory() as folder:
        at_once = loaded(Path(folder, "at-once"), tars, [len(tars)])
        one_by_one = loaded(Path(folder, "one-by-one"), tars, list(range(1, len(tars) + 1)))
        assert at_once == one_by_one
