"""Files of credentials and their helpers."""

from __future__ import annotations

import json
import stat
from base64 import b64encode

import pytest

from builder.registry.access import Credentials
from builder.registry.credentials import credential_files, erase_credentials, store_credentials
from builder.registry.errors import CredentialsError

HELPER = """#!/bin/sh
case $1 in
get) read name; test -f "$STORE/$name" && cat "$STORE/$name" || {
  echo "credentials not found in native keychain"; exit 1; } ;;
store) cat > "$STORE/registry.example" ;;
erase) read name; rm "$STORE/$name" ;;
esac
"""


def encoded(text):
    return b64encode(text.encode()).decode()


@pytest.fixture
def files(tmp_path):
    return credential_files({"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"})


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))


@pytest.mark.parametrize(
    ("key", "domain"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry.example", "registry.example"),
        ("https://registry.example/v2/", "registry.example"),
        ("http://registry.example:5000", "registry.example:5000"),
    ],
)
def test_docker_finds_a_registry_under_each_of_its_names(tmp_path, files, key, domain):
    write(tmp_path / ".docker/config.json", {"auths": {key: {"auth": encoded("me:a:b")}}})
    assert files.find(domain) == Credentials("me", "a:b")
    assert files.find("other.example") is None


def test_the_nearest_repository_wins(tmp_path, files):
    auths = {
        "registry.example": {"auth": encoded("all:1")},
        "registry.example/team": {"auth": encoded("team:2")},
    }
    write(tmp_path / ".config/containers/auth.json", {"auths": auths})
    assert files.find("registry.example", "team/app") == Credentials("team", "2")
    assert files.find("registry.example", "teams/app") == Credentials("all", "1")


def test_an_identity_token_takes_the_place_of_a_password(tmp_path, files):
    entry = {"auth": encoded("me:"), "identitytoken": "long"}
    write(tmp_path / ".docker/config.json", {"auths": {"registry.example": entry}})
    assert files.find("registry.example") == Credentials(identity_token="long")


@pytest.mark.parametrize("document", ["{", "[]", {"auths": {"a.example": {"auth": "%%%"}}}])
def test_a_damaged_file_is_said(tmp_path, files, document):
    write(tmp_path / ".docker/config.json", document)
    with pytest.raises(CredentialsError):
        files.find("a.example")


def test_credentials_are_kept_for_the_user_alone_and_beside_others(tmp_path, files):
    config = tmp_path / ".docker/config.json"
    write(config, {"auths": {"a.example": {"auth": encoded("a:1")}}, "psFormat": "x"})
    config.chmod(0o644)
    store_credentials(files, "docker.io", Credentials("me", "secret"))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    document = json.loads(config.read_text())
    assert document["psFormat"] == "x"
    assert document["auths"]["https://index.docker.io/v1/"]["auth"] == encoded("me:secret")
    assert files.find("docker.io") == Credentials("me", "secret")
    assert erase_credentials(files, "docker.io")
    assert not erase_credentials(files, "docker.io")
    assert files.find("docker.io") is None
    assert files.find("a.example") == Credentials("a", "1")


def test_a_link_to_the_file_stays_one(tmp_path, files):
    write(tmp_path / "dotfiles/config.json", {})
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").symlink_to(tmp_path / "dotfiles/config.json")
    store_credentials(files, "a.example", Credentials("me", "secret"))
    assert (tmp_path / ".docker/config.json").is_symlink()
    assert files.find("a.example") == Credentials("me", "secret")


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_helper_keeps_what_the_file_does_not(tmp_path, setting):
    helper = tmp_path / "bin/docker-credential-test"
    write(helper, HELPER)
    helper.chmod(0o755)
    (tmp_path / "keychain").mkdir()
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "STORE": str(tmp_path / "keychain"),
    }
    value = "test" if setting == "credsStore" else {"registry.example": "test"}
    write(tmp_path / ".docker/config.json", {setting: value})
    files = credential_files(environment)
    assert files.find("registry.example") is None
    kept = store_credentials(files, "registry.example", Credentials("me", "secret"))
    assert kept == "docker-credential-test"
    assert "secret" not in (tmp_path / ".docker/config.json").read_text()
    assert files.find("registry.example") == Credentials("me", "secret")
    assert erase_credentials(files, "registry.example")
    assert files.find("registry.example") is None


def test_a_helper_that_is_not_there_is_said(tmp_path, files):
    write(tmp_path / ".docker/config.json", {"credsStore": "nowhere"})
    with pytest.raises(CredentialsError, match="docker-credential-nowhere"):
        files.find("registry.example")
    write(tmp_path / ".docker/config.json", {"credsStore": "../../bin/sh"})
    with pytest.raises(CredentialsError, match="not the name"):
        files.find("registry.example")


def test_a_file_named_by_the_user_is_the_only_one(tmp_path):
    write(tmp_path / ".docker/config.json", {"auths": {"a.example": {"auth": encoded("a:1")}}})
    files = credential_files({"HOME": str(tmp_path)}, str(tmp_path / "mine.json"))
    assert files.find("a.example") is None
    store_credentials(files, "a.example", Credentials("me", "secret"))
    assert files.find("a.example") == Credentials("me", "secret")
