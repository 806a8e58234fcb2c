"""Servers on loopback, for what a build fetches."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serves the files in `folder`; the address, with its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_repository(path: Path, files: Mapping[str, str], *, tag: str = "v1") -> None:
    """A Git repository in the new directory `path`: one commit on main, with a tag."""
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    _git(path, "init", "-q", "-b", "main")
    _git(path, "add", "-A")
    _git(path, "commit", "-q", "-m", "m")
    _git(path, "tag", tag)
    (path / ".git" / "git-daemon-export-ok").touch()


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@contextmanager
def git_server(base: Path) -> Iterator[str]:
    """Serves the repositories in `base` as git://ADDRESS/NAME; the address, with its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    options = ["--reuseaddr", f"--listen={address[0]}", f"--port={address[1]}"]
    server = subprocess.Popen(
        ["git", "daemon", *options, f"--base-path={base}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(address)
        yield f"{address[0]}:{address[1]}"
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def _wait_for(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens at {address}"
            time.sleep(0.02)
        else:
            return
