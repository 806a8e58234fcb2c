from __future__ import annotations

from builder.image.model import ContainerConfig, HistoryEntry, ImageConfig, Platform
from builder.runtime.commit import committed_config
from builder.runtime.container import Container, HostConfig
from cache.digest import sha256_digest

BASE = ImageConfig(
    platform=Platform("linux", "arm64"),
    config=ContainerConfig(cmd=("old",)),
    diff_ids=(sha256_digest(b"1"),),
    history=(HistoryEntry(created_by="base"),),
    created="2020-01-01T00:00:00Z",
    author="someone",
)
CONTAINER = Container(
    "1" * 64, "c", 0.0, sha256_digest(b"i"), "i", BASE.platform, BASE.diff_ids,
    ContainerConfig(entrypoint=("sh", "-c"), cmd=("make",)), HostConfig(),
)  # fmt: skip


def committed(diff_id):
    return committed_config(
        BASE,
        CONTAINER,
        ContainerConfig(cmd=("new",)),
        diff_id=diff_id,
        created="2026-01-01T00:00:00Z",
        author="me",
        message="why",
    )


def test_a_commit_is_one_more_layer_and_one_more_entry_of_history():
    layer = sha256_digest(b"2")
    image = committed(layer)
    assert image.diff_ids == (*BASE.diff_ids, layer)
    assert image.history == (
        *BASE.history,
        HistoryEntry("2026-01-01T00:00:00Z", "sh -c make", "me", "why", empty_layer=False),
    )
    assert (image.author, image.created) == ("me", "2026-01-01T00:00:00Z")
    assert image.config == ContainerConfig(cmd=("new",))
    assert image.platform == BASE.platform


def test_a_commit_of_nothing_is_an_entry_of_history_alone():
    image = committed(None)
    assert image.diff_ids == BASE.diff_ids
    assert image.history[-1].empty_layer
