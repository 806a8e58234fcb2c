"""Images go to other people's tools and come back from them, as root and as an ordinary user."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import run
from support.images import Entry, directory, layer_tar, symlink, write_layout
from support.oci import Layout, read_image
from support.peers import Buildah, Bundle, Podman, layout_of, skopeo_copy, skopeo_inspect
from support.pybuild import Pybuild
from support.trees import Node, differences, tree_of_layers

pytestmark = pytest.mark.privileged


def base_layers() -> list[bytes]:
    """Two layers with what is easily lost: owners, modes, links, an opaque directory."""
    lower = {
        "srv": directory(0o2755),
        "srv/owned": Entry(b"owned", 0o640, uid=7, gid=8),
        "srv/setuid": Entry(b"#!", 0o4755),
        "srv/gone": Entry(b"gone"),
        "srv/link": symlink("owned"),
        "old": directory(),
        "old/hidden": Entry(b"hidden"),
        "ümlaut": Entry("grüße".encode()),
        "long": directory(),
        "long/" + "x" * 120: Entry(b"long"),
    }
    upper = {"srv/.wh.gone": Entry(), "old/.wh..wh..opq": Entry(), "old/new": Entry(b"new")}
    return [layer_tar(lower), layer_tar(upper)]


@pytest.fixture
def layout(pybuild: Pybuild) -> Path:
    return write_layout(pybuild.folder / "given", base_layers())


def without_root(tree: dict[str, Node]) -> dict[str, Node]:
    return {path: node for path, node in tree.items() if path}


def load(pybuild: Pybuild, source: Path, name: str) -> str:
    """Load one image and call it `name`; its id."""
    printed = pybuild("load", "-i", source).ok().stdout
    image_id = printed.removeprefix("Loaded image ID: ").strip()
    pybuild("tag", image_id, name).ok()
    return image_id


def test_an_image_from_elsewhere_leaves_with_the_digests_it_came_with(
    pybuild: Pybuild, layout: Path
) -> None:
    image_id = load(pybuild, layout, "given")
    for number, archive_format in enumerate(("oci-archive", "oci-dir", "docker-archive")):
        saved = pybuild.folder / f"saved{number}"
        pybuild("save", "--format", archive_format, "-o", saved, "given").ok()
        image = read_image(saved)
        assert image.config_digest == image_id
        assert list(image.layers) == base_layers()
        if archive_format != "docker-archive":
            assert image.manifest["layers"] == Layout(layout).image().manifest["layers"]


@pytest.mark.needs("skopeo", "umoci", "root")
def test_skopeo_and_umoci_see_the_tree_of_the_layers(pybuild: Pybuild, layout: Path) -> None:
    image_id = load(pybuild, layout, "given")
    archives = {"docker-archive": pybuild.folder / "d.tar", "oci-archive": pybuild.folder / "o.tar"}
    expected = tree_of_layers(map(io.BytesIO, base_layers()))
    for archive_format, path in archives.items():
        pybuild("save", "--format", archive_format, "-o", path, "given").ok()
        reference = f"{archive_format}:{path}"
        assert skopeo_inspect(reference)["Architecture"]
        config = run(["skopeo", "inspect", "--raw", "--config", reference]).ok().stdout
        assert (
            json.loads(config)["rootfs"]["diff_ids"]
            == pybuild.inspect(image_id)["RootFS"]["Layers"]
        )
        copied = layout_of(path, pybuild.folder / f"{archive_format}-copied")
        bundle = Bundle(copied, pybuild.folder / f"{archive_format}-bundle")
        assert differences(without_root(bundle.tree()), without_root(expected)) == []


@pytest.mark.needs("podman", "buildah", "root")
def test_podman_and_buildah_load_and_run_a_saved_image(pybuild: Pybuild) -> None:
    pybuild("load", "-i", pybuild.busybox()).ok()
    image_id = pybuild("images", "-q", "--no-trunc").ok().stdout.strip()
    pybuild("tag", image_id, "tiny:v1").ok()
    saved = pybuild.folder / "saved.tar"
    pybuild("save", "-o", saved, "tiny:v1").ok()
    podman = Podman(pybuild.folder / "podman")
    assert "tiny:v1" in podman("load", "-i", saved).ok().stdout
    assert podman("inspect", "--format", "{{.Id}}", "tiny:v1").ok().stdout.strip() == image_id[7:]
    assert podman.run("tiny:v1", "echo", "hello").ok().stdout == "hello\n"
    buildah = Buildah(pybuild.folder / "buildah")
    assert buildah("from", f"docker-archive:{saved}").ok().stdout.strip()


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_wrote_is_loaded_and_run(pybuild: Pybuild, transport: str) -> None:
    written = pybuild.folder / "written"
    name = {"docker-archive": "docker.io/library/tiny:v1", "oci-archive": "", "oci": "v1"}[
        transport
    ]
    skopeo_copy(
        f"oci:{pybuild.busybox()}:latest", f"{transport}:{written}" + (f":{name}" if name else "")
    )
    pybuild.give(written)
    printed = pybuild("load", "-i", written).ok().stdout
    if transport == "docker-archive":
        assert printed == "Loaded image: tiny:v1\n"
    image_id = pybuild("images", "-q").ok().stdout.strip()
    assert pybuild("run", "--rm", image_id, "echo", "hello").ok().stdout == "hello\n"


@pytest.mark.needs("buildah", "skopeo", "root")
def test_a_build_stands_on_what_buildah_made(pybuild: Pybuild) -> None:
    buildah = Buildah(pybuild.folder / "buildah")
    given = f"docker-archive:{pybuild.folder / 'given.tar'}"  # a name in the path may be none
    skopeo_copy(f"oci:{pybuild.busybox()}:latest", f"{given}:docker.io/library/tiny:v1")
    container = buildah("from", given).ok().stdout.strip()
    buildah("config", "--label", "made=by-buildah", container).ok()
    made = pybuild.folder / "made"
    buildah("commit", "--quiet", container, f"oci:{made}:v1").ok()
    pybuild.give(made)
    context = pybuild.context({"Dockerfile": "FROM base\nRUN echo built > /built\n"})
    pybuild("build", "--build-context", f"base=oci-layout://{made}:v1", "-t", "app", context).ok()
    assert pybuild.inspect("app")["Config"]["Labels"]["made"] == "by-buildah"
    assert pybuild("run", "--rm", "app", "cat", "/built").ok().stdout == "built\n"


def test_an_archive_goes_through_pipes(
    pybuild: Pybuild, new_pybuild: Callable[[], Pybuild]
) -> None:
    load(pybuild, pybuild.busybox(), "tiny")
    saved = pybuild.folder / "saved.tar"
    pybuild("save", "-o", saved, "tiny").ok()
    other = new_pybuild()
    for content in (saved.read_bytes(), gzip.compress(saved.read_bytes(), 1)):
        assert other("load", stdin=content).ok().stdout == "Loaded image: tiny:latest\n"
    assert other.image_id("tiny") == pybuild.image_id("tiny")
    assert other("run", "--rm", "tiny", "echo", "hello").ok().stdout == "hello\n"


def test_a_root_filesystem_is_imported_and_exported(pybuild: Pybuild) -> None:
    tree = {"bin": directory(), "etc": directory(0o700), "etc/x": Entry(b"x", 0o604, uid=3)}
    given = pybuild.folder / "given.tar"
    given.write_bytes(layer_tar(tree))
    given.chmod(0o644)
    pybuild("import", "-c", "CMD true", "-c", "WORKDIR /etc", given, "small").ok()
    document = pybuild.inspect("small")
    assert document["Config"]["Cmd"] == ["/bin/sh", "-c", "true"]
    assert document["Config"]["WorkingDir"] == "/etc"
    saved = pybuild.folder / "saved"
    pybuild("save", "--format", "oci-dir", "-o", saved, "small").ok()
    expected = tree_of_layers([io.BytesIO(layer_tar(tree))])
    found = read_image(saved).tree()
    assert differences(without_root(found), without_root(expected)) == []


def test_a_bootstrapped_image_runs(pybuild: Pybuild) -> None:
    first = pybuild("bootstrap", "--with", "uniq").ok().stdout.strip()
    assert pybuild("bootstrap", "again", "--with", "uniq").ok().stdout.strip() == first
    script = (
        "printf 'b\\na\\nb\\n' | sort | uniq && id -un && test -w /tmp && awk 'BEGIN {print 6*7}'"
    )
    done = pybuild("run", "--rm", "host-tools", "sh", "-c", script).ok()
    assert done.stdout == "a\nb\nroot\n42\n"


def test_images_can_be_listed_named_and_removed(pybuild: Pybuild) -> None:
    image_id = load(pybuild, pybuild.busybox(), "tiny")
    pybuild("tag", "tiny", "localhost:5000/team/tiny:v1").ok()
    listed = pybuild("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").ok().stdout
    assert sorted(listed.splitlines()) == [
        f"localhost:5000/team/tiny:v1 {image_id[7:19]}",
        f"tiny:latest {image_id[7:19]}",
    ]
    heading, line = pybuild("images", "tiny").ok().stdout.splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert line.split()[:3] == ["tiny", "latest", image_id[7:19]]
    assert pybuild("rmi", "tiny").ok().stdout == "Untagged: tiny:latest\n"
    printed = pybuild("rmi", image_id[7:19]).ok().stdout
    assert printed == f"Untagged: localhost:5000/team/tiny:v1\nDeleted: {image_id}\n"
    assert pybuild("images", "-q").ok().stdout == ""
    failed = pybuild("rmi", "tiny")
    assert failed.status == 1
    assert 'no image "tiny"' in failed.stderr


def test_an_unknown_name_is_inspected_as_an_empty_list(pybuild: Pybuild) -> None:
    done = pybuild("inspect", "nothing")
    assert (done.status, done.stdout) == (1, "[]\n")
    assert "there is no image or container nothing" in done.stderr


def test_an_inspected_value_is_shown_by_a_template(pybuild: Pybuild) -> None:
    image_id = load(pybuild, pybuild.busybox(), "tiny")
    template = '{{.Id}} {{join .Config.Cmd "+"}} {{len .RootFS.Layers}}'
    done = pybuild("inspect", "-f", template, "tiny").ok()
    assert done.stdout == f"{image_id} /bin/sh 1\n"
    assert pybuild("inspect", "-f", "{{.Nope}}", "tiny").status == 1


@pytest.mark.parametrize("kind_of_output", ["tar", "local"])
def test_a_build_leaves_its_files_without_an_image(pybuild: Pybuild, kind_of_output: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a b/\nCOPY c /\n", "a": "A", "c": "C"}
    dest = pybuild.folder / "out"
    output = f"type={kind_of_output},dest={dest}"
    pybuild("build", "--output", output, pybuild.context(files)).ok()
    if kind_of_output == "tar":
        listed = run(["tar", "-tf", dest]).ok().stdout.split()
        assert listed == ["b/", "b/a", "c"]
    else:
        assert (dest / "b/a").read_text() == "A"
        assert (dest / "c").stat().st_uid == pybuild.user.uid


@pytest.mark.needs("skopeo")
def test_a_layout_is_pushed_into_and_pulled_from_like_a_registry(
    pybuild: Pybuild, layout: Path, new_pybuild: Callable[[], Pybuild]
) -> None:
    pulled = pybuild("pull", f"oci-layout://{layout}:latest").ok().stdout.splitlines()
    assert pulled[0].startswith("Digest: sha256:")
    pybuild("tag", pulled[1], "given:v1").ok()
    place = pybuild.give(pybuild.folder) / "pushed"
    for tag in ("v1", "other"):  # v1 is the name's own
        dest = f"oci-layout://{place}" + (":other" if tag == "other" else "")
        said = pybuild("push", "given:v1", dest).ok().stdout
        shown = run(["skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{place}:{tag}"]).ok()
        assert said == f"{tag}: digest: {shown.stdout}"
    other = new_pybuild()
    image_id = other("pull", "-q", f"oci-layout://{place}:other").ok().stdout.strip()
    assert image_id == pulled[1]
    assert other("pull", f"oci-layout://{place}:none").status == 1
    assert other("pull", f"oci-layout://{place}/nothing").status == 1
    assert pybuild("push", "--all-tags", "given", f"oci-layout://{place}").status == 2
