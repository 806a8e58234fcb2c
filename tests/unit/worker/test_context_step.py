"""Contexts that come as a tar archive."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from contextlib import ExitStack

import pytest
import zstandard

from builder.errors import UsageError
from builder.worker.context_step import extract_context, is_archive

ZSTD = zstandard.ZstdCompressor().compress


def context_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in (("./", ""), ("./Dockerfile", "FROM x\n"), ("../up", "u"), ("d/f", "f")):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.mode = 0o755 if name.endswith("/") else 0o640
            info.uid = info.gid = 4711
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("l")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
        through = tarfile.TarInfo("l/passwd")
        archive.addfile(through, io.BytesIO(b""))
    return out.getvalue()


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, ZSTD])
def test_a_tar_of_every_compression_becomes_a_directory_that_goes_again(compress):
    content = compress(context_tar())
    assert is_archive(content[:512])
    with ExitStack() as stack:
        directory = extract_context(io.BytesIO(content), stack)
        assert sorted(os.listdir(directory)) == ["Dockerfile", "d", "etc", "l", "up"]
        assert os.listdir(os.path.join(directory, "etc")) == ["passwd"]
        assert os.stat(os.path.join(directory, "d/f")).st_uid == os.geteuid()
    assert not os.path.exists(directory)


@pytest.mark.parametrize("content", [b"", b"FROM scratch\n", b"FROM x\n" + b"RUN y\n" * 200])
def test_a_dockerfile_is_no_archive(content):
    assert not is_archive(content[:512])


def test_a_damaged_context_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    damaged = pytest.raises(UsageError, match=r"the context: .*(truncated|cut short)")
    with damaged, ExitStack() as stack:
        extract_context(io.BytesIO(context_tar()[:1100]), stack)
    assert os.listdir(tmp_path) == []
