import json
import os
from dataclasses import dataclass

import pytest

from builder.commands.images import list_images, tag
from builder.commands.import_image import ImportRequest, import_image
from builder.commands.inspect import inspect
from builder.commands.load import load
from builder.commands.pin import check_file, pin_file
from builder.commands.rmi import remove_image
from builder.commands.save import SaveRequest, save
from builder.errors import SyntaxProblemError, UsageError
from builder.image.errors import InvalidReferenceError
from builder.image.reference import Reference
from builder.registry.errors import UnreachableRegistryError
from cache.record import replace
from support.images import Entry, layer_tar, write_layout
from support.layers import image_of, writing
from support.stores import engine_of, open_store

OWNER = {"uid": os.getuid(), "gid": os.getgid()}
NAME = "registry.example/team/base:1"


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


class Registries:
    """What stands for all registries: tags by repository."""

    def __init__(self):
        self.digests = {}
        self.asked = []

    def for_reading(self, reference):
        return (Mirror(), Remote(self, reference))


class Mirror:
    """Asked for nothing: it may be behind its registry."""


@dataclass
class Remote:
    registries: Registries
    reference: Reference

    def manifest_digest(self, tag):
        name = f"{self.reference.repository}:{tag}"
        self.registries.asked.append(name)
        if name.startswith("down.example"):
            raise UnreachableRegistryError("the registry down.example cannot be reached")
        return self.registries.digests.get(name)


@pytest.fixture
def registries():
    return Registries()


@pytest.fixture
def engine(store, registries):
    return replace(engine_of(store), registries=lambda: registries)


@pytest.fixture
def digest(engine, tmp_path):
    """Of the manifest of an image that is loaded from a layout."""
    layout = write_layout(tmp_path / "layout", [layer_tar({"f": Entry(b"x", **OWNER)})], tag=NAME)
    load(engine, str(layout))
    return json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]


@pytest.fixture
def written(tmp_path):
    """Writes the Dockerfile of a context."""

    def write(content, name="Dockerfile"):
        path = tmp_path / "context" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def test_the_manifests_digest_is_written_and_every_other_byte_stays(engine, digest, written):
    before = b"\xef\xbb\xbf# \xc3\xa9\r\nFROM %s\r\n\r\n\tCOPY --from=%s a\x0cb /\nRUN true # end"
    path = written(before % (NAME.encode(), NAME.encode()))
    pinned = pin_file(engine, str(path.parent), None)
    name = f"{NAME}@{digest}".encode()
    assert path.read_bytes() == before % (name, name)
    assert [(pin.name, pin.digest, pin.span.first_line) for pin in pinned.result.pins] == [
        (NAME, digest, 2),
        (NAME, digest, 4),
    ]


def test_a_pinned_name_finds_the_image_with_and_without_its_tag(store, digest):
    image = store.images.find(NAME)
    assert store.images.find(f"{NAME}@{digest}") == image
    assert store.images.find(f"registry.example/team/base@{digest}") == image
    assert store.images.find(f"registry.example/team/other@{digest}") is None
    assert store.images.find(f"{NAME}@sha256:{'0' * 64}") is None


def test_the_mode_stays_and_nothing_lies_beside_the_file(engine, digest, written):
    path = written(b"FROM %s\n" % NAME.encode())
    path.chmod(0o640)
    pin_file(engine, str(path.parent), None)
    assert path.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(path.parent) == ["Dockerfile"]


def test_behind_a_link_the_file_changes_and_the_link_stays(engine, digest, written):
    path = written(b"FROM %s\n" % NAME.encode(), "real")
    link = path.with_name("Dockerfile")
    link.symlink_to("real")
    pin_file(engine, str(path.parent), None)
    assert link.is_symlink()
    assert digest.encode() in path.read_bytes()


def test_a_file_may_be_named_from_here_or_from_the_context(engine, digest, written):
    path = written(b"FROM %s\n" % NAME.encode(), "app.dockerfile")
    pin_file(engine, str(path.parent), "app.dockerfile")
    assert digest.encode() in path.read_bytes()
    other = written(b"FROM %s\n" % NAME.encode(), "other")
    pin_file(engine, "/", str(other))
    assert digest.encode() in other.read_bytes()


def test_what_cannot_be_pinned_is_told_with_its_reason(store, engine, digest, written):
    image_of(store, writing("a"), names=("docker.io/library/built:latest",))
    prefix = store.images.find("built").image_id[7:15]
    text = f"ARG V=1\nFROM built\nFROM absent\nFROM x:$V\nFROM {prefix}\n".encode()
    path = written(text)
    pinned = pin_file(engine, str(path.parent), None)
    assert [(one.name, one.reason.partition(":")[0]) for one in pinned.result.unpinned] == [
        ("built", "the store's image has no manifest"),
        ("absent", "neither the store nor its registry has such an image"),
        ("x:$V", "it depends on a variable"),
        (prefix, "neither the store nor its registry has such an image"),
    ]
    assert path.read_bytes() == text


def test_a_registry_is_asked_for_what_the_store_lacks(engine, registries, digest, written):
    other = f"sha256:{'1' * 64}"
    registries.digests["docker.io/library/debian:12"] = other
    path = written(f"FROM debian:12\nFROM {NAME}\nFROM down.example/x\n".encode())
    pinned = pin_file(engine, str(path.parent), None)
    assert path.read_text() == (
        f"FROM debian:12@{other}\nFROM {NAME}@{digest}\nFROM down.example/x\n"
    )
    assert registries.asked == ["docker.io/library/debian:12", "down.example/x:latest"]
    assert [(one.name, one.reason) for one in pinned.result.unpinned] == [
        (
            "down.example/x",
            "the store has no such image, and the registry down.example cannot be reached",
        )
    ]


def test_a_check_lists_what_is_not_pinned_and_writes_nothing(digest, written):
    text = b"FROM %s AS a\nFROM a\nCOPY --from=busybox@sha256:%s a b\nFROM other\n"
    path = written(text % (NAME.encode(), b"0" * 64))
    before = path.read_bytes()
    found = check_file(str(path.parent), None)
    assert [(one.name, one.reason) for one in found.result.unpinned] == [
        (NAME, "it has no digest"),
        ("other", "it has no digest"),
    ]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("context", "file"), [("-", None), (".", "-"), ("nowhere", None), (".", "nowhere")]
)
def test_what_cannot_be_read_or_written_is_said(engine, tmp_path, monkeypatch, context, file):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        pin_file(engine, context, file)


def test_a_dockerfile_that_is_wrong_stays_as_it_is(engine, digest, written):
    path = written(b"FROM %s\nNOPE\n" % NAME.encode())
    before = path.read_bytes()
    with pytest.raises(SyntaxProblemError):
        pin_file(engine, str(path.parent), None)
    assert path.read_bytes() == before


# --- an image that came with a manifest ----------------------------------------------------------


def test_an_image_with_a_digest_is_listed_once_a_tag(engine, store, digest):
    (line,) = list_images(engine)
    assert (line.reference.familiar, line.digest) == (NAME, digest)
    store.images.tag("docker.io/library/mine:latest", line.image.image_id)
    lines = {one.reference.familiar: one.digest for one in list_images(engine)}
    assert lines == {NAME: digest, "mine:latest": None}


def test_an_image_whose_tag_went_to_another_is_listed_by_its_repository(engine, store, digest):
    old = store.images.find(NAME)
    store.images.tag(NAME, image_of(store, writing("a")).image_id)
    (line,) = list_images(engine, filters=("dangling=true",))
    assert line.image.image_id == old.image_id
    assert (line.reference.familiar_repository, line.reference.tag, line.digest) == (
        "registry.example/team/base",
        "",
        digest,
    )


def test_inspect_tells_the_digest_apart_from_the_tags(engine, digest):
    document = inspect(engine, NAME)
    assert document["RepoTags"] == [NAME]
    assert document["RepoDigests"] == [f"registry.example/team/base@{digest}"]


def test_with_a_repositorys_last_tag_its_digest_goes(engine, store, digest):
    image = store.images.find(NAME)
    store.images.tag("docker.io/library/mine:latest", image.image_id)
    removed = remove_image(engine, NAME, force=False)
    assert set(removed.untagged) == {NAME, f"registry.example/team/base@{digest}"}
    assert removed.deleted == ()
    assert store.images.get(image.image_id).names == ("docker.io/library/mine:latest",)


def test_with_an_images_last_tag_all_of_it_goes(engine, store, digest):
    image = store.images.find(NAME)
    removed = remove_image(engine, NAME, force=False)
    assert removed.deleted == (image.image_id,)
    assert store.images.names() == ()


@pytest.mark.parametrize("name", ["new", "new:1"])
def test_nobody_can_give_an_image_a_digest(engine, digest, name):
    tar = layer_tar({"f": Entry(b"x", **OWNER)})
    path = os.path.join(engine.state.root_dir, "root.tar")
    with open(path, "wb") as file:
        file.write(tar)
    for give in (
        lambda text: tag(engine, NAME, text),
        lambda text: import_image(engine, ImportRequest(path, text)),
    ):
        with pytest.raises(InvalidReferenceError, match="has a digest"):
            give(f"{name}@{digest}")


def test_an_archive_cannot_give_an_image_a_digest(engine, store, tmp_path):
    wrong = f"{NAME}@sha256:{'0' * 64}"
    layout = write_layout(tmp_path / "claims", [layer_tar({"g": Entry(b"x", **OWNER)})], tag=wrong)
    (loaded,) = load(engine, str(layout))
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert loaded.images[0].names == (NAME, f"registry.example/team/base@{entry['digest']}")


def test_an_image_can_be_saved_by_its_digest(engine, store, digest, tmp_path):
    save(engine, SaveRequest((f"{NAME}@{digest}", NAME), str(tmp_path / "a.tar")))
    remove_image(engine, NAME, force=False)
    (loaded,) = load(engine, str(tmp_path / "a.tar"))
    assert loaded.names == (NAME,)
