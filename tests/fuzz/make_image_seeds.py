"""Write one small valid input for each reader of image_checks.py into a directory."""

import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
from pathlib import Path

DIGEST = "sha256:" + "5a" * 32
TYPE = "application/vnd.oci.image."


def descriptor(kind):
    return {"mediaType": f"{TYPE}{kind}", "digest": DIGEST, "size": 7, "annotations": {"a": "b"}}


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": f"{TYPE}manifest.v1+json",
    "config": descriptor("config.v1+json"),
    "layers": [descriptor("layer.v1.tar+gzip")],
    "annotations": {"k": "v"},
}
CONFIG = {
    "architecture": "arm",
    "variant": "v7",
    "os": "linux",
    "created": "2020-01-01T00:00:00Z",
    "author": "a",
    "config": {
        "User": "u",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["A=b"],
        "Entrypoint": ["/e"],
        "Cmd": [],
        "Volumes": {"/v": {}},
        "WorkingDir": "/w",
        "Labels": {"l": "m"},
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5, "Retries": 2},
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/sh", "-c"],
    },
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "x", "empty_layer": True}],
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": f"{TYPE}index.v1+json",
    "manifests": [
        descriptor("manifest.v1+json")
        | {"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
        descriptor("manifest.v1+json") | {"platform": {"os": "unknown", "architecture": "unknown"}},
    ],
}


def archive(tar_format):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as made:
        for kind in (tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo("d" * 60 + "/" + "n" * 60 + kind.decode())
            member.type, member.mode = kind, 0o755
            member.linkname = "t" * (90 if tar_format == tarfile.USTAR_FORMAT else 130)
            if tar_format == tarfile.PAX_FORMAT:
                member.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "1.5"}
            content = b"hello" if kind == tarfile.REGTYPE else b""
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def seeds():
    """Each valid input, with the number of its reader before it."""
    plain = archive(tarfile.GNU_FORMAT)
    inputs = [
        *((0, MANIFEST), (1, CONFIG), (2, INDEX)),
        (3, b"docker.io/library/app:v1@" + DIGEST.encode()),
        (3, b"localhost:5000/a/b-c__d.e"),
        *(
            (4, archive(one))
            for one in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
        ),
        *((5, compress(plain)) for compress in (gzip.compress, bz2.compress, lzma.compress)),
        (6, b'Bearer realm="https://auth.example/t",service="s",scope="repository:a:pull"'),
        *((7, text) for text in (b"linux/arm/v7", b"arm64", b"linux")),
    ]
    for reader, content in inputs:
        blob = content if isinstance(content, bytes) else json.dumps(content).encode()
        yield bytes([reader]) + blob


def main(directory):
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (target / f"seed-{number:02}").write_bytes(seed)


if __name__ == "__main__":
    main(sys.argv[1])
