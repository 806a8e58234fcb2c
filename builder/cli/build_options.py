"""The values of `pybuild build`'s options: text in, data out; wrong text is a UsageError."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Mapping

from builder.errors import UsageError
from builder.frontend.goformat import truth
from builder.graph.model import NetworkMode


def fields_of(text: str, option: str) -> dict[str, str]:
    """`a=1,"b=x,y"` as a dictionary: commas between, quotes as in CSV; a bare word means ""."""
    try:
        row = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise UsageError(f'--{option} "{text}" is not a list of KEY=VALUE: {error}') from error
    fields: dict[str, str] = {}
    for part in row:
        key, _, value = part.partition("=")
        fields[key.strip().lower()] = value
    return fields


def key_values(
    texts: Iterable[str], option: str, environment: Mapping[str, str] | None
) -> dict[str, str]:
    """`K=V` each; `K` alone takes its value from `environment`, or is left out where it has none.

    Without an `environment`, `K` alone means an empty value.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f'--{option} "{text}" has no name', hint=f"--{option} NAME=VALUE")
        if equals:
            pairs[key] = value
        elif environment is None:
            pairs[key] = ""
        elif key in environment:
            pairs[key] = environment[key]
    return pairs


def keeps_git_dir(build_args: Mapping[str, str]) -> bool:
    """Whether a Git repository that is the context comes with its .git directory."""
    text = build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "false")
    try:
        return truth(text)
    except ValueError as error:
        raise UsageError(f"--build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR: {error}") from error


def network_mode(text: str) -> NetworkMode:
    """`--network`'s value, as the steps of a build have it; of another network, the default."""
    match text:
        case "default" | "host" | "none":
            return text
        case _:
            return "default"


def network_name(text: str) -> str:
    """The network of `pybuild network` that `--network` names; "" for none."""
    if text in {"default", "host", "none"}:
        return ""
    if text.startswith("container:") or text == "pasta":
        raise UsageError(
            f'--network "{text}" is not supported', hint="default, host, none or a network's name"
        )
    return text


def number(text: str, what: str) -> int | None:
    """A number without a sign; None for ""."""
    if not text:
        return None
    if not text.isdecimal():
        raise UsageError(f'{what} "{text}" is not a number')
    return int(text)


def truth_of(text: str) -> bool:
    """A switch's value; "" is on."""
    return text.lower() in {"", "1", "true", "yes"}


def secrets_of(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, bytes]:
    """`id=X[,src=FILE][,env=VAR][,type=file|env]` each, read now: id → value."""
    secrets: dict[str, bytes] = {}
    for text in texts:
        fields = fields_of(text, "secret")
        secret_id = fields.get("id", "")
        source = fields.get("src", fields.get("source", ""))
        variable = fields.get("env", "")
        unknown = set(fields) - {"id", "src", "source", "env", "type"}
        if not secret_id or unknown:
            raise UsageError(
                f'--secret "{text}" is wrong' + (f": no option {min(unknown)}" if unknown else ""),
                hint="--secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE",
            )
        secrets[secret_id] = _secret(secret_id, source, variable, fields, environment)
    return secrets


def _secret(
    secret_id: str,
    source: str,
    variable: str,
    fields: Mapping[str, str],
    environment: Mapping[str, str],
) -> bytes:
    if fields.get("type") == "env" and not variable:
        variable = source or secret_id
    if not variable and not source:
        variable = secret_id if secret_id in environment else ""
    if variable:
        if variable not in environment:
            raise UsageError(f'--secret id={secret_id}: no variable "{variable}" is set')
        return os.fsencode(environment[variable])
    path = source or secret_id
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"--secret id={secret_id}: {path}: {error.strerror}") from error


def ssh_of(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """`default`, `id` or `id=SOCKET` each: id → the agent's socket."""
    agents: dict[str, str] = {}
    for text in texts:
        ssh_id, _, path = text.partition("=")
        path = path or environment.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {text}: there is no agent to forward",
                hint="start ssh-agent (SSH_AUTH_SOCK is not set) or name a socket: --ssh ID=SOCKET",
            )
        if not _is_socket(path):
            raise UsageError(
                f"--ssh {text}: {path} is not the socket of an agent",
                hint="give a key to an agent, and forward that: ssh-add KEY, --ssh default",
            )
        agents[ssh_id] = os.path.abspath(path)
    return agents


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def size_in_bytes(text: str, option: str) -> int:
    """`64m`, `1g`, `1024`: a number with a unit of 1024's powers."""
    lowered = text.lower().removesuffix("b") or "b"
    number, unit = (lowered[:-1], lowered[-1]) if lowered[-1].isalpha() else (lowered, "")
    if unit not in SIZE_UNITS or not number.replace(".", "", 1).isdecimal():
        raise UsageError(f'--{option} "{text}" is not a size', hint="for example 64m or 1g")
    return int(float(number) * SIZE_UNITS[unit])


def ulimits_of(texts: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
    """`NAME=SOFT[:HARD]` each; -1 is unlimited."""
    limits: list[tuple[str, int, int]] = []
    for text in texts:
        name, equals, values = text.partition("=")
        soft, colon, hard = values.partition(":")
        try:
            numbers = int(soft), int(hard if colon else soft)
        except ValueError:
            equals = ""
            numbers = (0, 0)
        if not equals or not name:
            raise UsageError(f'--ulimit "{text}" is wrong', hint="for example nofile=1024:4096")
        limits.append((name.lower().removeprefix("rlimit_"), numbers[0], numbers[1]))
    return tuple(limits)


def hosts_of(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`NAME:ADDRESS` or `NAME=ADDRESS` each."""
    hosts: list[tuple[str, str]] = []
    for text in texts:
        name, separator, address = text.partition("=" if "=" in text else ":")
        if not separator or not name or not address:
            raise UsageError(f'--add-host "{text}" is wrong', hint="--add-host NAME:ADDRESS")
        hosts.append((name, address.strip("[]")))
    return tuple(hosts)
