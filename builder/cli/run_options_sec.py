"""Options of `run` about what a container may do: capabilities, filters, namespaces, settings."""

from __future__ import annotations

from builder.cli.run_words import Line, repeated, single, switch
from builder.runtime import security_options as parse
from builder.runtime.errors import InvalidOptionError
from builder.runtime.security import Security

OPTIONS = (
    repeated("--cap-add", metavar="CAP", text="A capability more, or ALL."),
    repeated("--cap-drop", metavar="CAP", text="A capability less, or ALL."),
    switch("--privileged", text="All capabilities and devices; nothing masked, no seccomp."),
    repeated(
        "--security-opt",
        metavar="OPTION",
        text="no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=disable, "
        "mask=PATHS, unmask=PATHS, systempaths=unconfined.",
    ),
    single("--ipc", metavar="MODE", text="private, shareable, none, host, container:NAME."),
    single("--pid", metavar="MODE", text="private, host, container:NAME."),
    single("--uts", metavar="MODE", text="private, host, container:NAME."),
    single("--cgroupns", metavar="MODE", text="private, host, container:NAME."),
    single(
        "--userns",
        metavar="MODE",
        text="Ids of its own: auto[:size=N], keep-id[:uid=N,gid=N], nomap; host (the default).",
    ),
    repeated("--sysctl", metavar="NAME=VALUE", text="A kernel setting of its namespaces."),
    repeated("--group-add", metavar="GROUP", text="A supplementary group more, by name or id."),
)

_MAX_PROFILE_BYTES = 4 << 20


def security_of(line: Line) -> Security:
    """What the line says about it. Errors as `builder.runtime.security_options` has them."""
    options = parse.parse_security_options(line.lists.get("security-opt", ()), _profile_text)
    return Security(
        privileged="privileged" in line.switches,
        cap_add=tuple(map(parse.parse_capability, line.lists.get("cap-add", ()))),
        cap_drop=tuple(map(parse.parse_capability, line.lists.get("cap-drop", ()))),
        no_new_privileges=options.no_new_privileges,
        seccomp=options.seccomp,
        apparmor=options.apparmor,
        labels=options.labels,
        masked=options.masked,
        unmasked=options.unmasked,
        ipc=_mode(line, "ipc"),
        pid=_mode(line, "pid"),
        uts=_mode(line, "uts"),
        cgroupns=_mode(line, "cgroupns"),
        userns=_userns(line),
        sysctls=tuple(dict(map(parse.parse_sysctl, line.lists.get("sysctl", ()))).items()),
        groups=tuple(map(parse.parse_group, line.lists.get("group-add", ()))),
    )


def _userns(line: Line) -> str:
    text = line.values.get("userns", "")
    if text:
        from builder.runtime.userns import parse_userns

        parse_userns(text)
    return text


def _mode(line: Line, option: str) -> str:
    text = line.values.get(option, "")
    return parse.parse_namespace(text, option) if text else ""


def _profile_text(path: str) -> str:
    """The profile, checked: a mistake in it is told before anything starts."""
    from builder.sandbox.seccomp import checked_profile

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_PROFILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InvalidOptionError(f"the seccomp profile {path} cannot be read: {reason}") from error
    if len(text) > _MAX_PROFILE_BYTES:
        raise InvalidOptionError(f"the seccomp profile {path} is larger than 4 MiB")
    return checked_profile(text)
