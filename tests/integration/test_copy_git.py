"""ADD of a Git repository against git's own server on loopback."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.graph.model import GitOp
from builder.worker.git_step import GitError, check_out
from cache.statedir import StateDir

TIME = 1_000_000_000


class Repository:
    """A repository that is served, and the commits in it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.path = base / "r.git"
        self.git("init", "-q", "-b", "main", self.path, cwd=base)
        self.first = self.commit("f", "one", "sub/deep/g", "deep")
        self.git("tag", "-a", "v1", "-m", "v1")
        self.git("branch", "old")
        self.second = self.commit("f", "two")
        self.git("config", "uploadpack.allowAnySHA1InWant", "false")
        (self.path / ".git/git-daemon-export-ok").touch()
        self.url = ""

    def git(self, *args: object, cwd: Path | None = None) -> str:
        env = os.environ | {
            "GIT_AUTHOR_DATE": f"{TIME} +0000",
            "GIT_COMMITTER_DATE": f"{TIME} +0000",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        words = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *map(str, args)]
        done = subprocess.run(words, cwd=cwd or self.path, env=env, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, *names_and_texts: str) -> str:
        for name, text in zip(names_and_texts[::2], names_and_texts[1::2], strict=True):
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "m")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Iterator[Repository]:
    made = Repository(tmp_path_factory.mktemp("git"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={made.base}"]
    server = subprocess.Popen(
        ["git", "daemon", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline, "git daemon does not listen"
            time.sleep(0.02)
    made.url = f"git://127.0.0.1:{port}/r.git"
    yield made
    os.killpg(server.pid, 15)
    server.wait()


@pytest.fixture
def store(tmp_path) -> Iterator[StateDir]:
    state = StateDir(str(tmp_path / "store"))
    yield state
    state.close()


def checked_out(store, repository, ref="", **fields) -> tuple[str, Path]:
    values = {"subdir": "", "keep_git_dir": False, "checksum": ""} | fields
    digest, tree = check_out(GitOp(repository.url, ref, **values), store, None)
    return digest, Path(tree.root_dir)


def test_the_default_branch_comes_without_the_git_directory(repository, store):
    _, root = checked_out(store, repository)
    assert sorted(os.listdir(root)) == ["f", "sub"]
    assert (root / "f").read_text() == "two"


@pytest.mark.parametrize("ref", ["old", "v1", "refs/heads/old", "refs/tags/v1", "FIRST", "FIRST7"])
def test_a_branch_a_tag_a_commit_and_a_part_of_its_id_name_the_commit(repository, store, ref):
    names = {"FIRST": repository.first, "FIRST7": repository.first[:7]}
    _, root = checked_out(store, repository, names.get(ref, ref))
    assert (root / "f").read_text() == "one"


def test_one_commit_under_two_names_has_one_digest(repository, store):
    assert checked_out(store, repository, "old")[0] == checked_out(store, repository, "v1")[0]
    assert checked_out(store, repository, "old")[0] != checked_out(store, repository, "main")[0]


def test_files_have_the_commits_time_and_plain_modes(repository, store):
    _, root = checked_out(store, repository)
    assert {p.lstat().st_mtime for p in root.rglob("*")} == {TIME}
    assert (root / "f").stat().st_mode & 0o7777 == 0o644
    assert (root / "sub").stat().st_mode & 0o7777 == 0o755


def test_a_subdirectory_can_be_taken_alone(repository, store):
    _, root = checked_out(store, repository, subdir="sub/deep")
    assert os.listdir(root) == ["g"]


@pytest.mark.parametrize("subdir", ["missing", "f", "../..", "sub/../../.."])
def test_a_subdirectory_that_is_none_is_refused(repository, store, subdir):
    with pytest.raises(GitError, match="has no directory"):
        checked_out(store, repository, subdir=subdir)


def test_the_git_directory_is_kept_on_demand_the_same_every_time(repository, store):
    from support.trees import tree_of_directory

    _, one = checked_out(store, repository, keep_git_dir=True)
    _, two = checked_out(store, repository, keep_git_dir=True)
    assert tree_of_directory(one) == tree_of_directory(two)
    assert repository.git("-c", "safe.directory=*", "status", "--short", cwd=one) == ""
    assert (
        repository.git("-c", "safe.directory=*", "rev-parse", "HEAD", cwd=one) == repository.second
    )


def test_a_checksum_must_be_the_commit(repository, store):
    checked_out(store, repository, "v1", checksum=repository.first)
    checked_out(store, repository, "v1", checksum=repository.first[:12])
    with pytest.raises(GitError, match=f"{repository.second}.*{repository.first}"):
        checked_out(store, repository, "main", checksum=repository.first)


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        ("", "no-such-branch"),
        ("ext::sh -c touch% /tmp/pwned", ""),
        ("file:///etc", ""),
        ("--upload-pack=touch /tmp/pwned", ""),
        ("", "--upload-pack=touch /tmp/pwned"),
    ],
)
def test_what_is_no_ref_and_no_remote_is_refused(repository, store, url, ref):
    with pytest.raises(GitError):
        check_out(GitOp(url or repository.url, ref, "", False, ""), store, None)
    assert not os.path.exists("/tmp/pwned")
    left = [p for p in Path(store.root_dir, "tmp").rglob("*") if p.name != "lock"]
    assert [p.name for p in left if p.name.startswith("git")] == []
