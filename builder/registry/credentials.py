"""Who the user is to a registry: docker's config.json, containers' auth.json, their helpers.

    {"auths": {HOST: {"auth": base64(USER:PASSWORD), "identitytoken": ...}},
     "credHelpers": {HOST: HELPER}, "credsStore": HELPER}

HELPER stands for the program docker-credential-HELPER. Docker Hub goes by the name of an address
that it no longer has.
"""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from typing import cast

from builder.registry.access import Credentials
from builder.registry.errors import CredentialsError
from builder.registry.hosts import DOCKER_HUB
from cache.record import field, record
from cache.statedir import write_atomically

HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = (HUB_KEY, "index.docker.io", "registry-1.docker.io", DOCKER_HUB)
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers call the user of an identity token
_HELPER_TIMEOUT_S = 60


@record
class CredentialFiles:
    """Where credentials are looked for, in this order; `writable` is where `login` puts them."""

    paths: tuple[str, ...]
    writable: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def find(self, domain: str, path: str = "") -> Credentials | None:
        """Those for a repository of the registry, if any are known."""
        for file in self.paths:
            document = _read(file)
            found = self._of_document(document, domain, path) if document else None
            if found:
                return found
        return None

    def _of_document(
        self, document: dict[str, object], domain: str, path: str
    ) -> Credentials | None:
        helpers = _table(document.get("credHelpers"))
        for name in _names_of(domain, path):
            if name in helpers:
                return self._helped(str(helpers[name]), name)
        entries = _table(document.get("auths"))
        known = {_plain_name(name): entry for name, entry in entries.items()}
        for name in _names_of(domain, path):
            found = _of_entry(known.get(_plain_name(name)), domain)
            if found:
                return found
        store = document.get("credsStore")
        if isinstance(store, str) and store:
            return self._helped(store, _names_of(domain, "")[0])
        return None

    def _helped(self, helper: str, name: str) -> Credentials | None:
        answer = run_helper(helper, "get", name.encode(), self.environment)
        if answer is None:
            return None
        document = _object_of(answer, f"the credential helper {helper}")
        username, secret = str(document.get("Username", "")), str(document.get("Secret", ""))
        if username == _TOKEN_USER:
            return Credentials(identity_token=secret)
        return Credentials(username, secret)


def credential_files(environment: Mapping[str, str], authfile: str = "") -> CredentialFiles:
    """Where this user's credentials lie; one named by `authfile` or REGISTRY_AUTH_FILE is alone."""
    only = authfile or environment.get("REGISTRY_AUTH_FILE", "")
    if only:
        return CredentialFiles((only,), only, environment)
    home = environment.get("HOME", "/")
    docker_dir = environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    docker = os.path.join(docker_dir, "config.json")
    config_home = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    runtime_dir = environment.get("XDG_RUNTIME_DIR", "")
    containers = [os.path.join(config_home, "containers", "auth.json")]
    if runtime_dir:
        containers.insert(0, os.path.join(runtime_dir, "containers", "auth.json"))
    return CredentialFiles((docker, *containers), docker, environment)


def store_credentials(files: CredentialFiles, domain: str, credentials: Credentials) -> str:
    """Keep them for the registry; where: the file, or the helper that has them now."""
    document = _read(files.writable) or {}
    name = _names_of(domain, "")[0]
    helper = _helper_of(document, name)
    entries = _table(document.get("auths"))
    if helper:
        secret = {
            "ServerURL": name,
            "Username": credentials.username,
            "Secret": credentials.password,
        }
        run_helper(helper, "store", json.dumps(secret).encode(), files.environment)
        entries[name] = {}
    else:
        entries[name] = {"auth": credentials.basic.removeprefix("Basic ")}
    document["auths"] = entries
    _write(files.writable, document)
    return f"docker-credential-{helper}" if helper else files.writable


def erase_credentials(files: CredentialFiles, domain: str) -> bool:
    """Forget them; whether there were any."""
    document = _read(files.writable)
    if document is None:
        return False
    name = _names_of(domain, "")[0]
    helper = _helper_of(document, name)
    if helper:
        run_helper(helper, "erase", name.encode(), files.environment)
    wanted = {_plain_name(one) for one in _names_of(domain, "")}
    entries = _table(document.get("auths"))
    kept = {one: entry for one, entry in entries.items() if _plain_name(one) not in wanted}
    if kept == entries:
        return bool(helper)
    document["auths"] = kept
    _write(files.writable, document)
    return True


def run_helper(
    helper: str, action: str, text: bytes, environment: Mapping[str, str]
) -> bytes | None:
    """What docker-credential-HELPER answers; None where it has no such credentials."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise CredentialsError(f'"{helper}" is not the name of a credential helper')
    try:
        done = subprocess.run(
            [program, action],
            input=text,
            capture_output=True,
            check=False,
            timeout=_HELPER_TIMEOUT_S,
            env=dict(environment),
        )
    except FileNotFoundError as error:
        raise CredentialsError(
            f"there is no program {program}, which the file of credentials names",
            hint="install it, or take its name out of credHelpers and credsStore",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CredentialsError(f"{program} {action} does not answer") from error
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout.strip() or done.stderr.strip()).decode(errors="replace")
    if "not found" in said.lower():
        return None
    raise CredentialsError(f"{program} {action} failed: {said[:200]}")


def _helper_of(document: dict[str, object], name: str) -> str:
    helper = _table(document.get("credHelpers")).get(name) or document.get("credsStore")
    return helper if isinstance(helper, str) else ""


def _names_of(domain: str, path: str) -> list[str]:
    """What the registry may be called in a file, the nearest first: podman knows repositories."""
    names = list(_HUB_NAMES) if domain == DOCKER_HUB else [domain]
    parts = path.split("/") if path else []
    longer = ["/".join((domain, *parts[:count])) for count in range(len(parts), 0, -1)]
    return longer + names


def _plain_name(name: str) -> str:
    """HOST[:PORT][/PATH] of a key that may be a URL: https://HOST/v1/."""
    if name == HUB_KEY:
        return name
    plain = name.removeprefix("https://").removeprefix("http://").rstrip("/")
    return plain.removesuffix("/v1").removesuffix("/v2")


def _of_entry(entry: object, domain: str) -> Credentials | None:
    fields = _table(entry)
    token = fields.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(identity_token=token)
    encoded = fields.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            username, colon, password = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError as error:
            raise CredentialsError(f"the credentials for {domain} are damaged") from error
        return Credentials(username, password.rstrip("\0")) if colon else None
    name, secret = fields.get("username"), fields.get("password")
    if isinstance(name, str) and isinstance(secret, str) and name:
        return Credentials(name, secret)
    return None


def _read(path: str) -> dict[str, object] | None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return _object_of(content, path) if content.strip() else {}


def _object_of(content: bytes, what: str) -> dict[str, object]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CredentialsError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CredentialsError(f"{what} is not a JSON object")
    return cast("dict[str, object]", document)


def _table(value: object) -> dict[str, object]:
    return dict(cast("dict[str, object]", value)) if isinstance(value, dict) else {}


def _write(path: str, document: dict[str, object]) -> None:
    target = os.path.realpath(path)  # dotfiles are often links
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    write_atomically(target, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)
