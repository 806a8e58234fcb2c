"""Debian's docker-registry on loopback, with TLS and a user where a test wants them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD = "someone", "pass:word"
BCRYPT = "$2y$05$abcdefghijklmnopqrstuuDIEddBSuRWBBEY6g5zv60IAP5bSSfki"
"""Of PASSWORD; made by perl's crypt."""


@dataclass(frozen=True)
class DockerRegistry:
    """A running registry; `ca` is the certificate that it shows, if it speaks TLS."""

    host: str
    data: Path
    ca: Path | None

    def links(self, repository: str) -> list[str]:
        """The digests of a repository's layers."""
        base = self.data / "docker/registry/v2/repositories" / repository / "_layers/sha256"
        return sorted(path.name for path in base.iterdir()) if base.exists() else []


@contextmanager
def docker_registry(folder: Path, *, closed: bool = False) -> Iterator[DockerRegistry]:
    """A registry with its files in the new directory `folder`; `closed`: TLS and htpasswd."""
    folder.mkdir()
    port = _free_port()
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}",
        f'http: {{addr: "127.0.0.1:{port}"' + (_tls(folder) if closed else "") + "}",
    ]
    if closed:
        (folder / "htpasswd").write_text(f"{USER}:{BCRYPT}\n")
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}")
    (folder / "config.yml").write_text("\n".join(lines) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _wait(port, folder / "log")
        ca = folder / "ca.pem" if closed else None
        yield DockerRegistry(f"127.0.0.1:{port}", folder / "data", ca)
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, log: Path) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"docker-registry does not start: {log.read_text()}")


def _tls(folder: Path) -> str:
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    subprocess.run(argv, check=True, capture_output=True)
    (folder / "ca.pem").chmod(0o644)
    return f", tls: {{certificate: {folder}/ca.pem, key: {folder}/key.pem}}"
