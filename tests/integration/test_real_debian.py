"""Debian, nginx and a compiler: what people build, built, run, changed and committed."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.oci import Image, read_image
from support.pybuild import Pybuild
from support.real import RealImages

pytestmark = [
    pytest.mark.privileged,
    pytest.mark.slow,
    pytest.mark.needs("debian", "mmdebstrap"),
]

START_S = 20.0
SITE = "server { listen 127.0.0.1:%d; root /var/www/html; }\n"
NGINX = ("nginx", "-g", "daemon off;")


class Server:
    """A container that runs nginx on a loopback port of the host."""

    def __init__(self, pybuild: Pybuild, port: int, process: subprocess.Popen[bytes]) -> None:
        self.pybuild = pybuild
        self.port = port
        self.process = process

    def get(self, path: str = "/") -> str:
        """The page, once the server answers."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                    return str(answer.read().decode())
            except OSError:
                assert self.process.poll() is None, self._ended()
                assert time.monotonic() < deadline, "nginx doesn't answer"
                time.sleep(0.05)

    def _ended(self) -> str:
        stdout, stderr = self.process.communicate()
        return f"ended with {self.process.returncode}: {stdout!r} {stderr!r}"

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=START_S)
        return int(self.process.returncode)


@contextmanager
def serving(
    pybuild: Pybuild, image: str, *options: str, command: tuple[str, ...]
) -> Iterator[Server]:
    """`pybuild run IMAGE` with nginx on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    site = pybuild.context({"site.conf": SITE % port}, name=f"site-{port}") / "site.conf"
    volume = f"{site}:/etc/nginx/sites-available/default:ro"
    process = pybuild.start("run", *options, "--network", "host", "-v", volume, image, *command)
    try:
        yield Server(pybuild, port, process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=START_S)


def test_nginx_from_debian_answers_on_loopback(real_images: RealImages) -> None:
    web = real_images.web
    with serving(real_images.pybuild, web.name, "--rm", command=()) as server:
        assert server.get() == "as built\n"
        assert server.get("/same.html") == "as built\n"
        assert server.stop(signal.SIGTERM) == 0
    assert real_images.pybuild("ps", "-aq").ok().stdout == ""


@pytest.fixture(scope="module")
def web_image(real_images: RealImages) -> Image:
    return read_image(real_images.web.archives[0])


def test_the_image_config_says_what_the_dockerfile_says(web_image: Image) -> None:
    config = web_image.runtime
    assert config["Cmd"] == list(NGINX)
    assert list(config["Volumes"]) == ["/srv/data"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["StopSignal"] == "SIGQUIT"
    assert config["Healthcheck"]["Interval"] == 5_000_000_000
    assert "DEBIAN_FRONTEND=noninteractive" in config["Env"]


def test_the_layers_hold_what_the_steps_made(web_image: Image) -> None:
    tree = web_image.tree()
    assert len(web_image.layers) == 6
    passwd = next(
        line for line in _text(web_image.layers, "etc/passwd").splitlines() if "web:" in line
    )
    web_uid = int(passwd.split(":")[2])
    assert (tree["srv/data"].uid, tree["srv/data"].mode) == (web_uid, 0o755)
    assert tree["var/www/html/index.html"].uid == web_uid
    assert tree["var/www/html/same.html"].same_file_as == "var/www/html/index.html"
    assert "var/www/html/index.nginx-debian.html" not in tree
    assert dict(tree["usr/sbin/nginx"].xattrs)["security.capability"]
    assert tree["etc/shadow"].mode == 0o640
    assert not [path for path in tree if path.startswith("var/lib/apt/lists/")]


def _text(layers: tuple[bytes, ...], path: str) -> str:
    for layer in reversed(layers):
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            names = {name.lstrip("./"): name for name in archive.getnames()}
            if path in names:
                stream = archive.extractfile(names[path])
                assert stream
                return stream.read().decode()
    raise AssertionError(path)


def test_the_runs_own_files_stay_out_of_the_layers(web_image: Image) -> None:
    base = 1  # the layers of Debian itself
    names = {name.lstrip("./") for layer in web_image.layers[base:] for name in _names(layer)}
    mounted = {"etc/resolv.conf", "etc/hosts", "etc/hostname"}
    assert names & mounted == set()
    assert not [name for name in names if name.startswith(("proc/", "sys/", "dev/"))]


def _names(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return archive.getnames()


def test_a_running_container_is_committed_and_its_image_serves_the_change(
    real_images: RealImages,
) -> None:
    pybuild = real_images.pybuild
    change = "echo changed > /var/www/html/index.html; echo x > /srv/data/kept"
    command = ("sh", "-c", f"{change}; exec nginx -g '{NGINX[2]}'")
    with serving(pybuild, real_images.web.name, "--name", "site", command=command) as server:
        assert server.get() == "changed\n"
        assert "C /var/www/html/index.html" in pybuild("diff", "site").ok().stdout.splitlines()
        changes = ("-c", "LABEL changed=yes", "-c", f'CMD ["nginx", "-g", "{NGINX[2]}"]')
        committed = pybuild("commit", "-m", "new page", "-a", "test", *changes, "site", "site:2")
        assert committed.ok().stdout.strip() == pybuild.image_id("site:2")
        assert server.get() == "changed\n"  # it was paused and goes on
        assert server.stop(signal.SIGTERM) == 0
    pybuild("rm", "site").ok()

    with serving(pybuild, "site:2", "--rm", command=()) as server:
        assert server.get() == "changed\n"
        server.stop(signal.SIGTERM)
    inside = pybuild("run", "--rm", "--network", "none", "site:2", "ls", "-A", "/srv/data")
    assert inside.ok().stdout == ""  # a volume's content is no part of the image
    assert pybuild.inspect("site:2")["Config"]["Labels"]["changed"] == "yes"


def test_a_compiled_program_stands_alone_in_an_image_from_scratch(
    real_images: RealImages,
) -> None:
    image = read_image(real_images.compiled.archives[0])
    files = [path for path in image.tree() if path]
    assert (len(image.layers), files) == (1, ["hello"])
    ran = real_images.pybuild("run", "--rm", "--network", "none", "compiled", "reader")
    assert ran.ok().stdout == "hello, reader\n"


def test_building_again_runs_nothing_and_gives_the_same_image(
    real_images: RealImages, tmp_path: Path
) -> None:
    pybuild = real_images.pybuild
    before = pybuild.image_id(real_images.web.name)
    again = pybuild("build", "--progress", "plain", "-t", "again", real_images.context("web")).ok()
    assert pybuild.image_id("again") == before
    assert "DONE" not in [line.split()[1] for line in again.stderr.splitlines() if "RUN" in line]
    assert again.stderr.count("CACHED") == 6
