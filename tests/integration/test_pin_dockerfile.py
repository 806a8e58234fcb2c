"""`pybuild pin` as people use it: load, pin, build what was pinned."""

import json

import pytest

from support.images import busybox_root, layer_tar, write_layout

pytestmark = pytest.mark.privileged
NAME = "registry.example/base:1"


@pytest.fixture
def digest(pybuild):
    layout = write_layout(pybuild.folder / "layout", [layer_tar(busybox_root())], tag=NAME)
    pybuild("load", "-i", layout).ok()
    return json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]


def test_a_pinned_dockerfile_builds_the_image_that_it_built_before(pybuild, digest):
    text = f"FROM {NAME} AS a\nRUN echo made > /made\nFROM a\nCOPY --from={NAME} /etc/passwd /x\n"
    context = pybuild.context({"Dockerfile": text})
    before = pybuild("-q", context).ok().stdout

    checked = pybuild("pin", "--check", context)
    assert checked.status == 1
    assert checked.stdout.splitlines() == [
        f"Dockerfile:1: {NAME} is not pinned: it has no digest",
        f"Dockerfile:4: {NAME} is not pinned: it has no digest",
    ]
    pinned = pybuild("pin", context).ok()
    assert pinned.stdout.splitlines() == [
        f"Dockerfile:1: {NAME}@{digest}",
        f"Dockerfile:4: {NAME}@{digest}",
    ]
    assert (context / "Dockerfile").read_text() == text.replace(NAME, f"{NAME}@{digest}")
    pybuild("pin", "--check", context).ok()
    assert pybuild("-q", context).ok().stdout == before


def test_a_built_image_has_no_digest_to_pin(pybuild, digest):
    context = pybuild.context({"Dockerfile": f"FROM {NAME}\nENV A=1\n"})
    pybuild("-t", "built", context).ok()
    above = pybuild.context({"Dockerfile": "FROM built\n"}, "above")
    pinned = pybuild("pin", above)
    assert pinned.status == 1
    assert "Dockerfile:1: built is not pinned: the store's image has no manifest" in pinned.stdout
    assert (above / "Dockerfile").read_text() == "FROM built\n"


def test_the_digest_of_a_loaded_image_is_listed(pybuild, digest):
    listed = pybuild("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").ok()
    assert listed.stdout == f"registry.example/base 1 {digest}\n"
