"""Root filesystems made visible: a snapshot's `Mount`, which is data, becomes a real mount."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from builder.errors import IsolationError
from builder.kernel import mount as kernel_mount
from builder.kernel.namespaces import CLONE_FS, unshare
from builder.sandbox.userns import Shift, shifted_clone, writing_as_root_of
from cache.record import replace
from cache.snapshot.api import Mount

_MAX_OPTION_BYTES = 4095  # mount(2) takes a page
_MAX_LOWERDIRS = 500  # the kernel's limit
_ESCAPED = str.maketrans({"\\": "\\\\", ":": "\\:", ",": "\\,"})


@contextmanager
def mounted(mount: Mount, at: str, *, volatile: bool, shift: Shift | None = None) -> Generator[str]:
    """The root filesystem at the directory `at` for as long as the block lasts.

    `volatile` leaves writes to the page cache alone: for what is worthless after a crash. `shift`
    shows it under the ids of a user namespace. To be called in the namespace of
    `idmap.enter_private_namespaces`.
    """
    if mount.copied:
        with _copied(mount, at):
            yield at
        return
    try:
        attach(mount, at, volatile=volatile, shift=shift)
    except OSError as error:
        raise denied(mount, error) from error
    try:
        yield at
    finally:
        detach(at)


@contextmanager
def _copied(mount: Mount, at: str) -> Generator[None]:
    """As a copy; what was changed in it goes to the upperdir, if the block ends well."""
    from cache.snapshot.copied import CopiedRootfs  # noqa: PLC0415 - where nothing else can be had

    copy = CopiedRootfs(mount, at)
    try:
        copy.show()
        yield
        copy.harvest()
    finally:
        copy.remove()


def attach(mount: Mount, at: str, *, volatile: bool, shift: Shift | None = None) -> None:
    """Mount; the caller detaches. OSError as the kernel gives it."""
    mount = distinct(mount)
    if shift is not None:
        _attach_shifted(mount, at, shift, volatile=volatile)
        return
    tree_dir = _single_tree(mount)
    if tree_dir is not None:
        _bind(tree_dir, at, readonly=mount.upperdir is None)
        return
    options = overlay_options(mount, volatile=volatile)
    if len(os.fsencode(options)) <= _MAX_OPTION_BYTES:
        kernel_mount.mount("overlay", at, "overlay", 0, options)
    else:
        _mount_with_relative_names(mount, at, volatile=volatile)


def _attach_shifted(mount: Mount, at: str, shift: Shift, *, volatile: bool) -> None:
    """An overlay over mounts with other ids, by the names of their descriptors.

    On disk all ids stay as they are, those of new files too. The kernel makes directories of its
    own in the workdir, as whoever mounts.
    """
    with ExitStack() as stack:

        def shown(directory: str) -> str:
            fd = shifted_clone(directory, shift)
            stack.callback(os.close, fd)
            return f"/proc/self/fd/{fd}"

        lowerdirs = tuple(map(shown, mount.lowerdirs))
        upperdir, workdir = mount.upperdir, mount.workdir
        if upperdir is not None and workdir is not None:
            parent = os.path.commonpath((upperdir, workdir))  # both must be of one mount
            place = shown(parent)
            upperdir = os.path.join(place, os.path.relpath(upperdir, parent))
            workdir = os.path.join(place, os.path.relpath(workdir, parent))
        named = Mount(lowerdirs, upperdir, workdir, userxattr=mount.userxattr)
        options = overlay_options(named, volatile=volatile)
        if len(os.fsencode(options)) > _MAX_OPTION_BYTES:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), at)
        with writing_as_root_of(shift):
            kernel_mount.mount("overlay", at, "overlay", 0, options)


def detach(at: str) -> None:
    """Take the mount away, though processes of another namespace may still be leaving it."""
    kernel_mount.unmount(at, kernel_mount.MNT_DETACH | kernel_mount.UMOUNT_NOFOLLOW)


def overlay_options(mount: Mount, *, volatile: bool, relative_to: str = "") -> str:
    """mount(2)'s option string of an overlay, with names relative to a directory where asked.

    What the upperdir holds must be the whole diff: so no metacopy, no redirects, and no index,
    which would tie it to these lowerdirs. With `userxattr` the kernel refuses the first two itself.
    """

    def name(directory: str) -> str:
        shown = os.path.relpath(directory, relative_to) if relative_to else directory
        return shown.translate(_ESCAPED)

    options = ["lowerdir=" + ":".join(map(name, mount.lowerdirs))]
    if mount.upperdir is not None and mount.workdir is not None:
        options += [f"upperdir={name(mount.upperdir)}", f"workdir={name(mount.workdir)}"]
        options += ["volatile"] * volatile
    options += ["userxattr"] if mount.userxattr else ["redirect_dir=off", "metacopy=off"]
    return ",".join([*options, "index=off"])


def distinct(mount: Mount) -> Mount:
    """The same root filesystem with no lowerdir named twice, which the kernel refuses (ELOOP).

    Equal layers share a tree, so that a stack may hold one twice. The lower one shows nothing: each
    of its names is in the upper one, which also hides all that it hides.
    """
    lowerdirs = tuple(dict.fromkeys(mount.lowerdirs))
    return replace(mount, lowerdirs=lowerdirs)


def denied(mount: Mount, error: OSError) -> IsolationError:
    """What to tell a user whose kernel does not mount this."""
    if error.errno == errno.ENODEV:
        return IsolationError(
            "the kernel has no overlay file system", hint="load the module: modprobe overlay"
        )
    hint = "look at the kernel's log (dmesg) for a line that starts with overlayfs"
    if error.errno == errno.E2BIG or len(mount.lowerdirs) > _MAX_LOWERDIRS:
        hint = f"an overlay has at most {_MAX_LOWERDIRS} layers: join some of the image's"
    elif error.errno in {errno.EPERM, errno.EACCES}:
        hint = (
            "overlay mounts by ordinary users need Linux 5.11 or newer, and a container around "
            "this process, if there is one, must allow mount"
        )
    elif error.errno == errno.EINVAL and mount.upperdir is not None:
        hint = (
            "the store's file system may not carry an upperdir (overlay and NFS do not): set "
            "PYBUILD_ROOT to a directory on a local file system"
        )
    return IsolationError(f"the kernel does not mount the layers: {error.strerror}", hint=hint)


def _single_tree(mount: Mount) -> str | None:
    """The directory to bind, where there is nothing to lay over each other."""
    if not mount.lowerdirs:
        return mount.upperdir
    if mount.upperdir is None and len(mount.lowerdirs) == 1:
        return mount.lowerdirs[0]
    return None


def _bind(source: str, at: str, *, readonly: bool) -> None:
    target_fd = os.open(at, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tree_fd = kernel_mount.clone_tree(target_fd, source)
        try:
            if readonly:
                kernel_mount.set_attributes(tree_fd, kernel_mount.ATTR_RDONLY)
            kernel_mount.attach(tree_fd, target_fd)
        finally:
            os.close(tree_fd)
    finally:
        os.close(target_fd)


def _mount_with_relative_names(mount: Mount, at: str, *, volatile: bool) -> None:
    """Mount from a thread that stands in the layers' common directory, so that names are short."""
    directories = [*mount.lowerdirs, *filter(None, (mount.upperdir, mount.workdir))]
    base = os.path.commonpath(directories)
    options = overlay_options(mount, volatile=volatile, relative_to=base)
    if len(os.fsencode(options)) > _MAX_OPTION_BYTES:  # the kernel would cut them without a word
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG), at)
    failures: list[OSError] = []

    def mount_from_base() -> None:
        try:
            unshare(CLONE_FS)  # a working directory of this thread's own
            os.chdir(base)
            kernel_mount.mount("overlay", at, "overlay", 0, options)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=mount_from_base, name="mount")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
