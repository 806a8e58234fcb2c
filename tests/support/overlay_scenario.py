"""A program for inside a mount namespace: what real overlay mounts make of layers and back.

Run as `python overlay_scenario.py 0|1` (userxattr) by root of some user namespace; says "fine".
Everything is on a tmpfs of its own, which goes with the namespace.
"""

import io
import os
import random
import shutil
import stat
import subprocess
import sys

from builder.layer.apply import apply_layer
from builder.layer.changes import changes
from builder.layer.pack import pack
from cache.database import Database
from cache.descriptor import EMPTY_CHAIN
from cache.snapshot.overlay import MAX_LOWERDIRS, OverlaySnapshotter
from cache.statedir import StateDir

USERXATTR = sys.argv[1] == "1"
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # net_raw+ep, version 2
TOP = "/tmp"


def overlay(mount, target):
    options = ["lowerdir=" + ":".join(mount.lowerdirs)]
    if mount.upperdir:
        options += [f"upperdir={mount.upperdir}", f"workdir={mount.workdir}"]
    if USERXATTR:
        options.append("userxattr")
    os.makedirs(target, exist_ok=True)
    if len(mount.lowerdirs) == 1 and not mount.upperdir:
        subprocess.run(["mount", "--bind", mount.lowerdirs[0], target], check=True)
        return
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", ",".join(options), target], check=True
    )


def unmount(target):
    subprocess.run(["umount", target], check=True)


def seen(top):
    """All of a tree that a program could see, but not how often a file is linked."""
    found = {}
    for parent, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            what = ""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    what = file.read()
            elif stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)
            xattrs = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
                if ".overlay." not in key
            }
            found[os.path.relpath(path, top)] = (
                status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), what, xattrs,
            )  # fmt: skip
    return found


def differing(one, two):
    return {path for path in one.keys() | two.keys() if one.get(path) != two.get(path)}


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(content)


def fill(top):
    for path in ("etc/conf", "etc/gone", "opt/app/bin/tool", "opt/app/lib/a", "opt/app/lib/b",
                 "var/cache/x/y", "swap/dir/f", "swapped", "moved", "linked/one"):  # fmt: skip
        write(f"{top}/{path}", path)
    os.link(f"{top}/linked/one", f"{top}/linked/two")
    os.symlink("opt/app", f"{top}/app")
    os.chmod(f"{top}/opt/app/bin/tool", 0o4755)
    os.chown(f"{top}/opt/app/lib", 33, 33)
    os.mkfifo(f"{top}/var/pipe")


def change(top):
    """Everything that a RUN may do to a tree."""
    write(f"{top}/etc/new", "new")
    os.unlink(f"{top}/etc/gone")
    os.chmod(f"{top}/etc/conf", 0o600)
    os.chown(f"{top}/etc/conf", 1000, 1000)
    shutil.rmtree(f"{top}/opt/app/lib")
    os.mkdir(f"{top}/opt/app/lib")
    write(f"{top}/opt/app/lib/c", "made anew")
    shutil.rmtree(f"{top}/var/cache")
    shutil.rmtree(f"{top}/swap")
    write(f"{top}/swap", "a file in a directory's place")
    os.unlink(f"{top}/swapped")
    write(f"{top}/swapped/f", "a directory in a file's place")
    os.rename(f"{top}/moved", f"{top}/moved-away")
    os.link(f"{top}/etc/new", f"{top}/etc/new-link")
    write(f"{top}/linked/one", "no longer the same")
    os.symlink("/etc/new", f"{top}/link")
    os.setxattr(f"{top}/opt/app/bin/tool", "user.note", b"\0\xff")
    os.setxattr(f"{top}/etc/new", "security.capability", CAPABILITY)
    os.utime(f"{top}/link", (1, 1_234_567_890), follow_symlinks=False)
    os.utime(f"{top}/opt", (1, 1_234_567_890))


class Store:
    def __init__(self):
        self.state = StateDir(f"{TOP}/store")
        self.database = Database(self.state)
        self.snapshots = OverlaySnapshotter(self.state, self.database, userxattr=USERXATTR)

    def step(self, parent, work):
        """Does `work` in a mounted snapshot over `parent`: the snapshot, its tar, what was seen."""
        active = self.snapshots.prepare(parent)
        target = f"{TOP}/merged"
        if active.mount.lowerdirs:
            overlay(active.mount, target)
            work(target)
            after = seen(target)
            unmount(target)
        else:
            work(active.upperdir)
            after = seen(active.upperdir)
        archive = io.BytesIO()
        layer = pack(active.upperdir, archive, userxattr=USERXATTR)
        info = self.snapshots.commit(active, diff_id=layer.diff_id, size_bytes=layer.size_bytes)
        return info, archive.getvalue(), after

    def look(self, chain_id):
        overlay(self.snapshots.view(chain_id), f"{TOP}/view")
        found = seen(f"{TOP}/view")
        unmount(f"{TOP}/view")
        return found


def check_a_layer(store):
    base, _, before = store.step(EMPTY_CHAIN, fill)
    info, archive, after = store.step(base.chain_id, change)
    assert differing(store.look(base.chain_id), before) == set()
    assert differing(store.look(info.chain_id), after) == set()
    assert CAPABILITY in archive
    assert b".overlay." not in archive

    active = store.snapshots.prepare(base.chain_id)
    losses = apply_layer(
        io.BytesIO(archive), active.upperdir, userxattr=USERXATTR, lowerdirs=active.mount.lowerdirs
    )
    assert (losses.devices, losses.owners, losses.xattrs) == ([], 0, 0), losses
    overlay(active.mount, f"{TOP}/merged")
    found = seen(f"{TOP}/merged")
    unmount(f"{TOP}/merged")
    assert differing(found, after) == set()
    assert pack(active.upperdir, userxattr=USERXATTR).diff_id == info.diff_id

    kinds = {
        change.path[1:]: change.kind
        for change in changes(info.diff_dir, [base.diff_dir], userxattr=USERXATTR)
    }
    for path, kind in kinds.items():
        assert kind == ("D" if path not in after else "C" if path in before else "A"), path
    really = differing(before, after)
    named = {path for path in really if not any(path.startswith(gone + "/") for gone in kinds)}
    assert named <= kinds.keys(), named - kinds.keys()


def check_a_deep_stack(store):
    """Layers of random changes, one over the other, each seen through merged trees in the end."""
    random.seed(7)

    def scramble(top):
        for _ in range(12):
            path = f"{top}/" + "/".join(random.choices("abc", k=random.randint(1, 3)))
            kind = random.choice(["write", "remove", "remove", "mkdir", "chmod"])
            exists = os.path.lexists(path)
            is_directory = os.path.isdir(path)
            if kind == "remove" and exists:
                shutil.rmtree(path) if is_directory else os.unlink(path)
            elif kind == "chmod" and exists:
                os.chmod(path, random.choice([0o700, 0o755, 0o711]))
            elif not exists or (kind == "write" and not is_directory):
                try:
                    if kind == "mkdir":
                        os.makedirs(path)
                    else:
                        write(path, str(random.random()))
                except (NotADirectoryError, FileExistsError):
                    pass

    parent, expected = EMPTY_CHAIN, {}
    for _ in range(3 * MAX_LOWERDIRS):
        info, _, after = store.step(parent, scramble)
        parent = info.chain_id
        expected[parent] = after
    assert len(store.snapshots.view(parent).lowerdirs) <= MAX_LOWERDIRS
    for chain_id, after in expected.items():
        assert differing(store.look(chain_id), after) == set(), chain_id


def main():
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", TOP], check=True)
    store = Store()
    check_a_layer(store)
    check_a_deep_stack(store)
    store.database.close()
    store.state.close()
    print("fine")


main()
