from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import pytest

from builder.commands.bootstrap import BootstrapRequest, bootstrap
from builder.commands.images import history, list_images, tag
from builder.commands.import_image import ImportRequest, import_image
from builder.commands.inspect import inspect
from builder.commands.load import load
from builder.commands.rmi import ImageInUseError, remove_image
from builder.commands.save import SaveRequest, save
from builder.errors import UnknownImageError, UnsupportedError, UsageError
from builder.image.errors import InvalidReferenceError
from builder.image.model import Platform
from cache.descriptor import chain_id
from support.images import Entry, directory, layer_tar
from support.layers import image_of, writing
from support.stores import engine_of, open_store

APP = "docker.io/library/app:latest"
OWNER = {"uid": os.getuid(), "gid": os.getgid()}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def engine(store):
    return engine_of(store)


def names_of(lines):
    return [line.reference.familiar if line.reference else "<none>" for line in lines]


def test_an_image_is_listed_under_each_of_its_names(store, engine):
    image_of(store, writing("a"), names=(APP, "localhost:5000/app:v1"))
    image_of(store, writing("b"))
    assert sorted(names_of(list_images(engine))) == [
        "<none>",
        "app:latest",
        "localhost:5000/app:v1",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"pattern": "app"}, ["app:latest", "app:v2"]),
        ({"pattern": "app:v*"}, ["app:v2"]),
        ({"pattern": "*"}, ["app:latest", "app:v2"]),
        ({"pattern": "team/*"}, ["team/app:latest"]),
        ({"filters": ("reference=team/app:latest",)}, ["team/app:latest"]),
        ({"filters": ("dangling=true",)}, ["<none>"]),
        ({"filters": ("dangling=false", "reference=*:v2")}, ["app:v2"]),
        ({"filters": ("label=no",)}, []),
    ],
)
def test_images_are_listed_by_pattern_and_filter(store, engine, options, names):
    image_of(store, writing("a"), names=(APP, "docker.io/library/app:v2"))
    image_of(store, writing("b"), names=("docker.io/team/app:latest",))
    image_of(store, writing("c"))
    assert sorted(names_of(list_images(engine, **options))) == names


@pytest.mark.parametrize("text", ["color=red", "dangling", "=x"])
def test_an_unknown_filter_is_refused(engine, text):
    with pytest.raises(UsageError, match="is not known"):
        list_images(engine, filters=(text,))


def test_a_new_name_is_given_by_any_old_one(store, engine):
    image = image_of(store, writing("a"), names=(APP,))
    tag(engine, image.image_id[7:19], "reg.example/app:v1")
    assert store.images.find("reg.example/app:v1").image_id == image.image_id
    with pytest.raises(UnknownImageError):
        tag(engine, "nothing", "app:v2")
    with pytest.raises(InvalidReferenceError):
        tag(engine, "app", "App")
    with pytest.raises(InvalidReferenceError, match="has a digest"):
        tag(engine, "app", f"app@{image.image_id}")


def test_removing_one_of_two_names_leaves_the_image(store, engine):
    image = image_of(store, writing("a"), names=(APP, "docker.io/library/app:v2"))
    removed = remove_image(engine, "app", force=False)
    assert (removed.untagged, removed.deleted) == ((APP,), ())
    removed = remove_image(engine, "app:v2", force=False)
    assert removed.deleted == (image.image_id,)
    assert store.images.list() == ()


def test_an_id_with_names_in_several_repositories_needs_force(store, engine):
    names = (APP, "docker.io/library/other:latest")
    image = image_of(store, writing("a"), names=names)
    with pytest.raises(ImageInUseError, match="several names: app:latest, other:latest"):
        remove_image(engine, image.image_id[7:19], force=False)
    assert remove_image(engine, image.image_id, force=True).untagged == names


def container_of(store, image):
    with store.database.transaction() as connection:
        connection.execute(
            "INSERT INTO containers VALUES (?, ?, ?, ?, ?)",
            ("c" * 64, "busy", image.image_id, 1, 0),
        )


def test_an_image_that_a_container_was_made_from_needs_force(store, engine):
    image = image_of(store, writing("a"), names=(APP,))
    container_of(store, image)
    with pytest.raises(ImageInUseError, match="the stopped container busy was made from app"):
        remove_image(engine, "app", force=False)
    assert store.images.find("app") is not None
    assert remove_image(engine, "app", force=True).deleted == (image.image_id,)


def test_removing_what_is_not_there_is_an_error(engine):
    with pytest.raises(UnknownImageError, match='no image "nothing"'):
        remove_image(engine, "nothing", force=True)


def test_a_history_has_the_latest_instruction_first(store, engine):
    image = image_of(store, writing("a"), writing("b"), names=(APP,))
    lines = history(engine, "app")
    assert [line.entry.created_by for line in lines] == ["layer 1", "layer 0"]
    assert [line.image_id for line in lines] == [image.image_id, None]
    assert [line.size_bytes for line in lines] == list(reversed(image.layer_sizes))


def test_an_inspected_image_tells_what_docker_tells(store, engine):
    image = image_of(store, writing("a"), names=(APP,))
    document = inspect(engine, "app")
    assert document["Id"] == image.image_id
    assert document["RepoTags"] == ["app:latest"]
    assert document["RootFS"] == {"Type": "layers", "Layers": list(image.config.diff_ids)}
    assert (document["Os"], document["Architecture"]) == ("linux", "amd64")
    assert document["Size"] == sum(image.layer_sizes)
    assert document["Config"]["Cmd"] == ["sh"]
    assert document["Config"]["Labels"] is None
    assert inspect(engine, "app", kind="container") is None
    assert inspect(engine, "nothing") is None
    assert inspect(engine, "Not A Name") is None


@pytest.mark.parametrize("archive_format", ["docker-archive", "oci-archive", "oci-dir"])
def test_saved_images_are_loaded_as_they_were(store, engine, tmp_path, archive_format):
    first = image_of(store, writing("a"), writing("b"), names=(APP, "docker.io/library/app:v2"))
    second = image_of(store, writing("c"), names=("reg.example:5000/team/other:latest",))
    dest = str(tmp_path / "saved")
    asked = ("app", "app:v2", second.names[0], first.image_id[:19])
    save(engine, SaveRequest(asked, dest, archive_format))
    with open_store(tmp_path / "elsewhere") as other:
        loaded = load(engine_of(other), dest)
        assert {(one.images[0].image_id, one.names) for one in loaded} == {
            (first.image_id, first.names),
            (second.image_id, second.names),
        }
        for image in (first, second):
            assert other.images.get(image.image_id).layer_sizes == image.layer_sizes
            assert other.snapshots.info(chain_id(image.config.diff_ids)) is not None


def test_an_image_saved_by_id_has_no_name_in_the_archive(store, engine, tmp_path):
    image = image_of(store, writing("a"), names=(APP,))
    save(engine, SaveRequest((image.image_id,), str(tmp_path / "saved")))
    with open_store(tmp_path / "elsewhere") as other:
        assert [one.names for one in load(engine_of(other), str(tmp_path / "saved"))] == [()]


def test_nothing_is_written_where_one_image_is_missing(store, engine, tmp_path):
    image_of(store, writing("a"), names=(APP,))
    with pytest.raises(UnknownImageError):
        save(engine, SaveRequest(("app", "nothing"), str(tmp_path / "saved")))
    assert not (tmp_path / "saved").exists()


@dataclass
class Stdin:
    """Standard input that is no terminal."""

    buffer: BinaryIO

    def isatty(self):
        return False


@pytest.fixture
def piped(monkeypatch):
    """Makes bytes come through a pipe."""
    with ExitStack() as stack:

        def pipe(content):
            reading, writing = os.pipe()
            buffer = stack.enter_context(open(reading, "rb"))
            monkeypatch.setattr(sys, "stdin", Stdin(buffer))
            thread = threading.Thread(target=write, args=(writing, content))
            thread.start()
            stack.callback(thread.join)

        yield pipe


def write(descriptor, content):
    with open(descriptor, "wb") as pipe:
        pipe.write(content)


def test_an_archive_can_come_through_a_pipe(store, engine, tmp_path, piped):
    image = image_of(store, writing("a"), names=(APP,))
    save(engine, SaveRequest(("app",), str(tmp_path / "saved")))
    for content in (
        (tmp_path / "saved").read_bytes(),
        gzip.compress((tmp_path / "saved").read_bytes()),
    ):
        piped(content)
        (loaded,) = load(engine, "-")
        assert loaded.images[0].image_id == image.image_id
    assert os.listdir(os.path.join(store.state.root_dir, "tmp", store.state.owner)) == ["lock"]


def test_a_missing_archive_is_said(engine, tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(engine, str(tmp_path / "nowhere"))


ROOTFS = layer_tar({"etc": directory(), "etc/os": Entry(b"tiny", **OWNER)})


def rootfs_at(path, content=ROOTFS):
    path.write_bytes(content)
    return str(path)


def test_an_imported_root_filesystem_is_one_layer(store, engine, tmp_path):
    changes = ('CMD ["sh", "-c", "true"]', "ENV A=1", "LABEL k=v")
    path = rootfs_at(tmp_path / "r.tar")
    image = import_image(engine, ImportRequest(path, "tiny", changes=changes))
    assert image.names == ("docker.io/library/tiny:latest",)
    assert image.config.config.cmd == ("sh", "-c", "true")
    assert ("A", "1") in image.config.config.env
    assert [entry.comment for entry in image.config.history] == ["Imported from r.tar"]
    assert image.config.created == "2023-11-14T22:13:20Z"
    snapshot = store.snapshots.info(chain_id(image.config.diff_ids))
    with open(os.path.join(snapshot.diff_dir, "etc/os")) as file:
        assert file.read() == "tiny"


def test_the_same_tree_gives_the_same_image_whichever_way_it_was_packed(engine, tmp_path):
    other = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(ROOTFS)) as archive,
        tarfile.open(fileobj=other, mode="w:gz", format=tarfile.GNU_FORMAT) as again,
    ):
        for member in reversed(archive.getmembers()):
            member.name = f"./{member.name}"
            again.addfile(member, archive.extractfile(member) if member.isfile() else None)
    requests = [
        ImportRequest(rootfs_at(tmp_path / "a" / "r.tar"), epoch=0),
        ImportRequest(rootfs_at(tmp_path / "b" / "r.tar", other.getvalue()), epoch=0),
    ]
    first, second = (import_image(engine, request) for request in requests)
    assert first.image_id == second.image_id


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()


def test_an_import_says_for_which_platform_it_is(engine, tmp_path):
    request = ImportRequest(rootfs_at(tmp_path / "r.tar"), platform=Platform("linux", "arm64"))
    assert import_image(engine, request).config.platform == Platform("linux", "arm64")


def test_a_url_is_not_imported(engine):
    with pytest.raises(UnsupportedError) as caught:
        import_image(engine, ImportRequest("https://example.com/r.tar"))
    assert caught.value.hint.startswith("curl -sL https://example.com/r.tar | pybuild import -")


def test_a_failed_import_leaves_nothing(store, engine, tmp_path):
    for content in (b"no archive" * 100, ROOTFS[:700]):
        with pytest.raises(Exception, match="archive"):
            import_image(engine, ImportRequest(rootfs_at(tmp_path / "r.tar", content), "tiny"))
    assert store.images.list() == ()
    assert os.listdir(os.path.join(store.state.root_dir, "tmp", store.state.owner)) == ["lock"]


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to root")


@needs_root
def test_a_bootstrapped_image_is_the_same_each_time(store, engine):
    first = bootstrap(engine, BootstrapRequest("tools", ("sh",)))
    second = bootstrap(engine, BootstrapRequest("again"))
    assert first.image_id == second.image_id
    assert store.images.find("tools").image_id == first.image_id
    assert first.config.config.cmd == ("/bin/sh",)


@needs_root
def test_a_bootstrapped_image_has_a_shell_tools_and_accounts_owned_by_root(store, engine):
    image = bootstrap(engine, BootstrapRequest())
    assert image.names == ("docker.io/library/host-tools:latest",)
    root = store.snapshots.info(chain_id(image.config.diff_ids)).diff_dir
    with open(os.path.join(root, "etc/passwd")) as file:
        assert file.readline() == "root:x:0:0:root:/root:/bin/sh\n"
    assert os.stat(os.path.join(root, "tmp")).st_mode & 0o7777 == 0o1777
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            status = os.lstat(os.path.join(parent, name))
            assert (status.st_uid, status.st_gid) == (0, 0)
