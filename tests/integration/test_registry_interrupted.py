"""Interrupts while a registry says and takes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.images import Entry, layer_tar, write_layout
from support.pybuild import Pybuild
from support.registry import FakeRegistry, Fault, running

pytestmark = pytest.mark.privileged

SILENT_S = 30.0
SOON_S = 5.0  # on a busy machine; alone it takes a few tenths


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running() as made:
        yield made


@pytest.fixture
def context(pybuild: Pybuild) -> Path:
    context = pybuild.context({"Dockerfile": "FROM scratch\nCOPY data /data\n"})
    (context / "data").write_bytes(os.urandom(24 << 20))
    return pybuild.give(context)


@pytest.mark.parametrize("way", ["streamed", "whole"])
def test_an_interrupt_ends_a_stalled_upload_at_once_and_a_second_try_succeeds(
    pybuild: Pybuild, registry: FakeRegistry, context: Path, way: str
) -> None:
    name = f"{registry.host}/app:v1"
    pybuild("build", "-t", name, context).ok()
    method = "PATCH" if way == "streamed" else "PUT"
    if way == "whole":  # it is packed already
        pybuild("save", "--format", "oci-archive", "-o", context / "saved.tar", name).ok()
    registry.faults.append(Fault(method, "uploads", stall_s=SILENT_S))
    silent = subprocess.DEVNULL
    pushing = pybuild.start("push", name, stdout=silent, stderr=silent)
    wait_for(lambda: registry.requests(method, "uploads"))
    time.sleep(0.5)
    interrupted = time.monotonic()
    pushing.send_signal(signal.SIGINT)
    assert pushing.wait(SILENT_S) == 130
    assert time.monotonic() - interrupted < SOON_S
    assert pybuild("push", name).ok().stdout.startswith("v1: digest: sha256:")
    assert ("app", "v1") in registry.manifests


def test_an_interrupt_ends_a_pull_whose_lowest_layers_stall_and_leaves_nothing(
    pybuild: Pybuild, registry: FakeRegistry, tmp_path: Path
) -> None:
    name = f"{registry.host}/app:v1"
    layers = put_layers(registry, tmp_path / "layout", 6)
    registry.faults += [
        Fault("GET", f"blobs/{layer}", times=9, stall_s=SILENT_S) for layer in layers[:2]
    ]
    silent = subprocess.DEVNULL
    pulling = pybuild.start("pull", name, stdout=silent, stderr=silent)
    wait_for(lambda: registry.requests("GET", f"blobs/{layers[5]}"))
    time.sleep(1)  # all that can be unpacked is
    interrupted = time.monotonic()
    pulling.send_signal(signal.SIGINT)
    assert pulling.wait(SILENT_S) == 130
    assert time.monotonic() - interrupted < SOON_S
    assert os.listdir(pybuild.root / "tmp") == []
    assert os.listdir(pybuild.root / "snapshots") == ["0"]
    registry.faults.clear()
    pybuild("pull", name).ok()
    assert len(os.listdir(pybuild.root / "snapshots")) == 1 + len(layers)


def put_layers(registry: FakeRegistry, layout: Path, count: int) -> list[str]:
    """app:v1, with so many layers; their digests, base first."""
    tars = [layer_tar({f"file{n}": Entry(os.urandom(3 << 20))}) for n in range(count)]
    write_layout(layout, tars)
    for blob in (layout / "blobs" / "sha256").iterdir():
        registry.put_blob("app", blob.read_bytes())
    index = json.loads((layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"]
    manifest = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
    registry.put_manifest("app", "v1", manifest)
    return [layer["digest"] for layer in json.loads(manifest)["layers"]]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
