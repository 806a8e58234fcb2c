"""Tiny images, made here: OCI layouts whose root filesystem is a static busybox.

They are the same bytes on each machine with the same busybox, and nothing of pybuild's makes them,
so that a test never checks the code by itself.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
EPOCH = 1_577_836_800  # 2020-01-01T00:00:00Z
CREATED = "2020-01-01T00:00:00Z"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE_CONFIG: Mapping[str, object] = {"Env": [SEARCH_PATH], "Cmd": ["/bin/sh"]}
USERS = (("root", 0, "/root"), ("daemon", 1, "/var"), ("app", 1000, "/tmp"), ("nobody", 65534, "/"))
MOUNT_POINTS = ("dev", "proc", "sys", "var", "root")  # what a RUN needs, so that it makes none
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MEDIA_TYPE = "application/vnd.oci.image."


@dataclass(frozen=True)
class Entry:
    """One member of a layer."""

    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = EPOCH
    kind: bytes = tarfile.REGTYPE
    target: str = ""


def directory(mode: int = 0o755) -> Entry:
    return Entry(mode=mode, kind=tarfile.DIRTYPE)


def symlink(target: str) -> Entry:
    return Entry(mode=0o777, kind=tarfile.SYMTYPE, target=target)


def layer_tar(entries: Mapping[str, Entry]) -> bytes:
    """A layer's plain tar, its members in the order of `entries`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, entry in entries.items():
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.mtime = entry.kind, entry.mode, entry.mtime
            member.uid, member.gid, member.linkname = entry.uid, entry.gid, entry.target
            member.size = len(entry.data)
            archive.addfile(member, io.BytesIO(entry.data))
    return buffer.getvalue()


def busybox_root() -> dict[str, Entry]:
    """A root filesystem that a RUN works in: a shell, all of busybox, users, mount points."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    passwd = "".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, uid, home in USERS)
    group = "".join(f"{name}:x:{gid}:\n" for name, gid, _ in USERS)
    tree = {"bin": directory(), "bin/busybox": Entry(BUSYBOX.read_bytes(), 0o755)}
    applets = sorted(set(listed.stdout.split()) - {"busybox"})
    tree |= {f"bin/{applet}": symlink("busybox") for applet in applets}
    tree |= {"etc": directory(), "etc/group": Entry(group.encode())}
    tree |= {"etc/passwd": Entry(passwd.encode()), "tmp": directory(0o1777)}
    return tree | {name: directory() for name in MOUNT_POINTS}


def write_layout(
    layout: Path,
    layers: Sequence[bytes],
    config: Mapping[str, object] = BASE_CONFIG,
    *,
    tag: str = "latest",
) -> Path:
    """An OCI layout in the new directory `layout` with one image of these plain tars."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(value: object, media_type: str) -> dict[str, object]:
        return put(json.dumps(value, sort_keys=True).encode(), media_type)

    machine = platform.machine()
    system = {"architecture": ARCHITECTURES.get(machine, machine), "os": "linux"}
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    history = [{"created": CREATED, "created_by": f"layer {n}"} for n in range(len(layers))]
    image = {
        **system,
        "created": CREATED,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }
    zipped = [gzip.compress(layer, 1, mtime=0) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA_TYPE}manifest.v1+json",
        "config": put_json(image, f"{MEDIA_TYPE}config.v1+json"),
        "layers": [put(data, f"{MEDIA_TYPE}layer.v1.tar+gzip") for data in zipped],
    }
    descriptor = put_json(manifest, f"{MEDIA_TYPE}manifest.v1+json") | {"platform": system}
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA_TYPE}index.v1+json",
        "manifests": [descriptor],
    }
    (layout / "index.json").write_text(json.dumps(index, sort_keys=True))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for path in (layout, *layout.rglob("*")):  # whoever runs the test may read it
        path.chmod(0o755 if path.is_dir() else 0o644)
    return layout


def write_busybox_layout(layout: Path) -> Path:
    return write_layout(layout, [layer_tar(busybox_root())])
