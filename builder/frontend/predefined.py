"""Build arguments that have a meaning of their own: platforms, proxies, BUILDKIT_*, the epoch."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import SyntaxProblemError
from builder.graph.model import Pairs
from builder.image.model import Platform
from cache.record import record

EPOCH = "SOURCE_DATE_EPOCH"
CHECK = "BUILDKIT_DOCKERFILE_CHECK"
NOT_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""ARGs that no process sees."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_PLATFORM_ARGS = frozenset(
    f"{side}{part}"
    for side in ("BUILD", "TARGET")
    for part in ("PLATFORM", "OS", "ARCH", "VARIANT")
)


@record
class BuildSettings:
    """What build arguments say about the build itself."""

    epoch: int | None
    proxies: Pairs  # for the environment of RUN
    hostname: str
    cache_namespace: str


def build_settings(build_args: Mapping[str, str], epoch_text: str) -> BuildSettings:
    """`epoch_text` is SOURCE_DATE_EPOCH, "" for none."""
    return BuildSettings(
        epoch=_epoch(epoch_text),
        proxies=_proxies(build_args),
        hostname=build_args.get("BUILDKIT_SANDBOX_HOSTNAME", ""),
        cache_namespace=build_args.get("BUILDKIT_CACHE_MOUNT_NS", ""),
    )


def is_predefined(name: str) -> bool:
    """Whether a build argument needs no ARG to make a difference."""
    return (
        name in {EPOCH, *_PLATFORM_ARGS, "TARGETSTAGE"}
        or name.startswith("BUILDKIT_")
        or name.lower() in _PROXIES
    )


def platform_args(
    build: Platform, target: Platform, target_stage: str, build_args: Mapping[str, str]
) -> dict[str, str]:
    """The global ARGs that exist without being declared; a build argument overrides its value."""
    values = {
        **_platform_values("BUILD", build),
        **_platform_values("TARGET", target),
        "TARGETSTAGE": target_stage or "default",
    }
    return {name: build_args.get(name, value) for name, value in values.items()}


def _platform_values(side: str, platform: Platform) -> dict[str, str]:
    return {
        f"{side}PLATFORM": str(platform),
        f"{side}OS": platform.os,
        f"{side}ARCH": platform.architecture,
        f"{side}VARIANT": platform.variant,
    }


def _proxies(build_args: Mapping[str, str]) -> Pairs:
    """Programs look for either case, so each gets both; one given in both keeps its values."""
    by_name = {name.lower(): value for name, value in build_args.items()}
    return tuple(
        (name, build_args.get(name, by_name[proxy]))
        for proxy in _PROXIES
        if by_name.get(proxy)
        for name in (proxy.upper(), proxy)
    )


def _epoch(text: str) -> int | None:
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise SyntaxProblemError(
            f"invalid {EPOCH}: {text}", hint="it is a number of seconds since 1970"
        )
    return int(text)
