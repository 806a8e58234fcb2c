"""Text of the options about confinement → values. Pure: files are read by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from builder.errors import UnsupportedError
from builder.runtime.errors import InvalidOptionError
from builder.runtime.security import ALL_PATHS
from cache.record import record, replace

_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in (
        *("msgmax", "msgmnb", "msgmni", "sem"),
        *("shmall", "shmmax", "shmmni", "shm_rmid_forced"),
    )
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")
_LABEL_PARTS = ("user", "role", "type", "level")
_KNOWN = (
    "no-new-privileges, seccomp=FILE|unconfined|builtin, apparmor=PROFILE|unconfined, "
    "label=disable|type:T, mask=PATHS, unmask=PATHS, systempaths=unconfined are"
)
_WITH_VALUE = frozenset({"seccomp", "apparmor", "label", "mask", "unmask"})
_SECCOMP_WORDS = {"builtin": "default", "default": "default", "unconfined": "unconfined"}
_MODES = {
    "ipc": ("private", "shareable", "none", "host"),
    "pid": ("private", "host"),
    "uts": ("private", "host"),
    "cgroupns": ("private", "host"),
}


@record
class SecurityOptions:
    """What `--security-opt` said."""

    no_new_privileges: bool = False
    seccomp: str = "default"
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    unmasked: tuple[str, ...] = ()


def parse_security_options(
    entries: Iterable[str], read_profile: Callable[[str], str]
) -> SecurityOptions:
    """All the options together; those that there are not are refused by name.

    `read_profile` gives the text of a seccomp profile's file.
    """
    options = SecurityOptions()
    for text in entries:
        options = _with_option(options, text, read_profile)
    return options


def _with_option(
    options: SecurityOptions, text: str, read_profile: Callable[[str], str]
) -> SecurityOptions:
    # Docker takes "=" and, from old times, ":"
    name, _, value = text.partition("=" if "=" in text else ":")
    if name == "no-new-privileges" and value in {"", "true", "false"}:
        return replace(options, no_new_privileges=value != "false")
    if name == "systempaths" and value == "unconfined":
        return replace(options, unmasked=(ALL_PATHS,))
    if not value or name not in _WITH_VALUE:
        raise UnsupportedError(f'--security-opt "{text}" is not supported', hint=_KNOWN)
    return _with_value(options, name, value, read_profile)


def _with_value(
    options: SecurityOptions, name: str, value: str, read_profile: Callable[[str], str]
) -> SecurityOptions:
    match name:
        case "seccomp":
            known = _SECCOMP_WORDS.get(value)
            return replace(options, seccomp=known or read_profile(value))
        case "apparmor":
            return replace(options, apparmor=value)
        case "label":
            return replace(options, labels=(*options.labels, _label(value)))
        case "mask":
            return replace(options, masked=(*options.masked, *_paths(value)))
        case _:
            return replace(options, unmasked=(*options.unmasked, *_unmasked(value)))


def _unmasked(value: str) -> tuple[str, ...]:
    return (ALL_PATHS,) if value.upper() == ALL_PATHS else _paths(value)


def _label(value: str) -> str:
    part, separator, rest = value.partition(":")
    if value != "disable" and not (separator and rest and part in _LABEL_PARTS):
        raise InvalidOptionError(
            f'--security-opt "label={value}" is no SELinux label',
            hint="label=disable, or label=PART:VALUE where PART is user, role, type or level",
        )
    return value


def _paths(value: str) -> tuple[str, ...]:
    paths = tuple(path for path in value.split(":") if path)
    for path in paths:
        if not path.startswith("/") or "/../" in f"{path}/":
            raise InvalidOptionError(f'--security-opt: "{path}" is not an absolute path')
    return paths


def parse_capability(text: str) -> str:
    """A capability with or without CAP_, in any case, or ALL; in the kernel's spelling."""
    name = text.upper()
    if name == "ALL":
        return name
    return name if name.startswith("CAP_") else f"CAP_{name}"


def parse_namespace(text: str, option: str) -> str:
    """The mode of --ipc, --pid, --uts or --cgroupns; another container's namespace by its name."""
    modes = _MODES[option]
    kind, separator, name = text.partition(":")
    if separator and kind == "container" and name:
        return text
    if text not in modes:
        raise InvalidOptionError(
            f'--{option} "{text}" is not known',
            hint=f"there are {', '.join(modes)} and container:NAME",
        )
    return text


def parse_sysctl(text: str) -> tuple[str, str]:
    """`NAME=VALUE`; only a setting that belongs to a namespace, as Docker has it."""
    name, separator, value = text.partition("=")
    name = name.strip()
    if not separator or not name:
        raise InvalidOptionError(f'--sysctl "{text}" is not NAME=VALUE')
    if "/" in name and "." not in name.partition("/")[0]:  # sysctl(8)'s other way to write it
        name = name.translate(str.maketrans("./", "/."))
    if any(part in {"", "/", "//"} for part in name.split(".")):
        raise InvalidOptionError(f'--sysctl "{text}": there is no such setting')
    if name not in _IPC_SYSCTLS and not name.startswith(_SYSCTL_PREFIXES):
        raise InvalidOptionError(
            f'--sysctl "{name}" is not allowed: it would be set for this machine',
            hint="net.* and the kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* of IPC are",
        )
    return name, value


def parse_group(text: str) -> str:
    """A group of --group-add."""
    if not text or ":" in text:
        raise InvalidOptionError(f'--group-add "{text}" is no group')
    return text
