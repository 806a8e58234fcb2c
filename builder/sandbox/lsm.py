"""The security modules of this kernel: which there are, found by asking them for this process."""

from __future__ import annotations

import os

from builder.errors import UnsupportedError

_ATTRIBUTES = "/proc/self/attr"
_SELINUX = "/sys/fs/selinux/enforce"
_PARTS = ("user", "role", "type", "level")


def has_apparmor() -> bool:
    """Whether AppArmor confines processes here."""
    return _is_y("/sys/module/apparmor/parameters/enabled") and bool(
        _attribute("apparmor/current") or _attribute("current")
    )


def has_selinux() -> bool:
    """Whether SELinux labels processes here."""
    return os.path.exists(_SELINUX) and _attribute("current").count(":") >= 3


def security_features(*, rootless: bool) -> tuple[str, ...]:
    """As Docker's `info` lists them: what containers of this user are confined by."""
    found = ["name=apparmor"] * has_apparmor() + ["name=selinux"] * has_selinux()
    return (*found, "name=seccomp,profile=builtin", *["name=rootless"] * rootless, "name=cgroupns")


def checked_profile(profile: str) -> str:
    """The AppArmor profile to start a program in: "" for none. UnsupportedError without AppArmor.

    "unconfined" is a profile of AppArmor's, and nothing at all where there is no AppArmor.
    """
    if not profile or has_apparmor():
        return profile
    if profile == "unconfined":
        return ""
    raise UnsupportedError(
        f'the AppArmor profile "{profile}" cannot be applied: this kernel runs without AppArmor',
        hint="leave --security-opt apparmor out, or boot with apparmor=1 security=apparmor",
    )


def process_label(options: tuple[str, ...]) -> str:
    """The SELinux label that `label=` options ask for: this process's own with parts replaced.

    "" where none is asked for, or `disable`. UnsupportedError where SELinux is not there.
    """
    parts = dict(text.split(":", 1) for text in options if ":" in text)
    if "disable" in options or not parts:
        return ""
    if not has_selinux():
        raise UnsupportedError(
            f'the SELinux label "{options[-1]}" cannot be applied: this kernel has no SELinux on',
            hint="leave --security-opt label out: without SELinux nothing is labelled",
        )
    own = dict(zip(_PARTS, _attribute("current").split(":", 3), strict=True))
    return ":".join((own | parts)[part] for part in _PARTS)


def _is_y(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def _attribute(name: str) -> str:
    """One of this process's own attributes; "" where no module answers."""
    try:
        with open(f"{_ATTRIBUTES}/{name}", "rb", buffering=0) as file:
            return file.read(4096).rstrip(b"\0\n").decode("utf-8", "replace")
    except OSError:  # EINVAL: there is no such module
        return ""
