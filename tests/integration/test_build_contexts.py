"""Where a context and a Dockerfile may come from, besides a directory."""

import gzip
import io
import tarfile

import pytest

from support.pybuild import Pybuild
from support.servers import git_server, web_server, write_repository

pytestmark = pytest.mark.privileged

DOCKERFILE = "FROM scratch\nCOPY . /all/\n"
FILES = {"Dockerfile": DOCKERFILE, "a.txt": "a", "sub/b.txt": "b"}


def archive_of(files, *, compressed=True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return gzip.compress(buffer.getvalue()) if compressed else buffer.getvalue()


def built(pybuild: Pybuild, *words, stdin=None) -> set[str]:
    """The files of the image that a build gives."""
    tree = pybuild.folder / "tree.tar"
    pybuild(*words, "-o", f"type=tar,dest={tree}", stdin=stdin).ok()
    with tarfile.open(tree) as archive:
        return {member.name.removeprefix("./") for member in archive if member.isfile()}


WHOLE = {f"all/{name}" for name in FILES}


def test_an_archive_is_a_context_as_a_file_and_on_stdin(pybuild):
    for compressed in (True, False):
        data = archive_of(FILES, compressed=compressed)
        path = pybuild.folder / "context.tar"
        path.write_bytes(data)
        assert built(pybuild, path) == WHOLE
        assert built(pybuild, "-", stdin=data) == WHOLE


def test_a_dockerfile_on_stdin_has_an_empty_context_or_a_directory(pybuild):
    assert built(pybuild, "-", stdin="FROM scratch\nCOPY <<x /\nx\n") == {"x"}
    context = pybuild.context({"a.txt": "a"})
    assert built(pybuild, "-f", "-", context, stdin=DOCKERFILE) == {"all/a.txt"}


def test_a_dockerfile_may_lie_outside_and_bring_its_own_ignore_file(pybuild):
    context = pybuild.context({"a.txt": "a", "b.md": "b", ".dockerignore": "*.txt"})
    outside = pybuild.folder / "app.dockerfile"
    outside.write_text(DOCKERFILE)
    assert built(pybuild, "-f", outside, context) == {"all/b.md", "all/.dockerignore"}
    (pybuild.folder / "app.dockerfile.dockerignore").write_text("*.md\n.*\n")
    assert built(pybuild, "-f", outside, context) == {"all/a.txt"}


def test_a_url_is_a_context(pybuild):
    served = pybuild.folder / "served"
    served.mkdir()
    (served / "context.tar.gz").write_bytes(archive_of(FILES))
    (served / "plain").write_text("FROM scratch\nCOPY <<x /\nx\n")
    with web_server(served) as address:
        assert built(pybuild, f"http://{address}/context.tar.gz") == WHOLE
        assert built(pybuild, f"http://{address}/plain") == {"x"}
        missing = pybuild(f"http://{address}/nowhere")
        assert missing.status == 1
        assert "404" in missing.stderr
        named = ["--build-context", f"other=http://{address}/context.tar.gz"]
        text = "FROM scratch\nCOPY --from=other sub /\n"
        assert built(pybuild, *named, "-", stdin=text) == {"b.txt"}


@pytest.mark.needs("git")
def test_a_repository_is_a_context(pybuild):
    write_repository(pybuild.folder / "git" / "app.git", FILES | {"sub/Dockerfile": DOCKERFILE})
    with git_server(pybuild.folder / "git") as address:
        url = f"git://{address}/app.git"
        assert built(pybuild, url) == WHOLE | {"all/sub/Dockerfile"}
        assert built(pybuild, f"{url}#v1:sub") == {"all/b.txt", "all/Dockerfile"}
        kept = built(pybuild, "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", url)
        assert "all/.git/HEAD" in kept
        missing = pybuild(f"{url}#nothing")
        assert missing.status == 1
        assert "nothing" in missing.stderr
