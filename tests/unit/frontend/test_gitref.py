import pytest

from builder.errors import UnsupportedError
from builder.frontend.gitref import GitRef, is_http_url, read_git_ref
from builder.frontend.problems import WordProblemError

URL = "https://example.com/a/b.git"


@pytest.mark.parametrize(
    ("source", "git_ref"),
    [
        (URL, GitRef(URL)),
        (f"{URL}#v1", GitRef(URL, ref="v1")),
        (f"{URL}#v1:sub/dir", GitRef(URL, ref="v1", subdir="sub/dir")),
        (f"{URL}#:sub", GitRef(URL, subdir="sub")),
        (f"{URL}?tag=v1", GitRef(URL, ref="refs/tags/v1")),
        (f"{URL}?branch=b&subdir=d", GitRef(URL, ref="refs/heads/b", subdir="d")),
        (f"{URL}?commit=abc1234&keep-git-dir", GitRef(URL, checksum="abc1234", keep_git_dir=True)),
        ("git@example.com:a/b", GitRef("git@example.com:a/b")),
        ("ssh://git@example.com/a#r", GitRef("ssh://git@example.com/a", ref="r")),
        ("git://example.com/a", GitRef("git://example.com/a")),
    ],
)
def test_git_urls_are_taken_apart(source, git_ref):
    assert read_git_ref(source) == git_ref


@pytest.mark.parametrize(
    "source", ["a/b.git", "https://example.com/x.tar", "user@host", "./git@x:y/z", "C:\\x", "."]
)
def test_other_sources_are_no_repositories(source):
    assert read_git_ref(source) is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("ref=a&tag=b", "ref conflicts"),
        ("colour=red", "unexpected query"),
        ("ref=", "has no value"),
        ("ref=a&ref=b", "multiple values"),
        ("keep-git-dir=maybe", "invalid keep-git-dir value"),
    ],
)
def test_wrong_options_of_a_url_are_refused(query, message):
    with pytest.raises(WordProblemError, match=message):
        read_git_ref(f"{URL}?{query}")


def test_leaving_submodules_out_is_not_supported():
    with pytest.raises(UnsupportedError):
        read_git_ref(f"{URL}?submodules=0")


def test_an_http_url_of_a_file_is_no_repository():
    assert is_http_url("https://example.com/x.git.tar")
    assert not is_http_url(URL)
    assert not is_http_url("ftp://example.com/x")
