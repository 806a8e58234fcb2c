"""What can go wrong between this machine and a registry."""

from __future__ import annotations

from typing import ClassVar

from cache.errors import PybuildError


class RegistryError(PybuildError):
    """A registry that does not do what it should, or says no."""

    code: ClassVar[str] = "registry"


class TroubledRegistryError(RegistryError):
    """The registry has troubles of its own: a later try may go better."""

    code: ClassVar[str] = "registry-trouble"


class UnreachableRegistryError(RegistryError):
    """Nobody answers there, or not over a connection that can be trusted."""

    code: ClassVar[str] = "registry-unreachable"


class RegistryAccessError(RegistryError):
    """The registry wants other credentials, or refuses the ones it got."""

    code: ClassVar[str] = "registry-access"


class NotInRegistryError(RegistryError):
    """The registry has no such image, or hides it from this user."""

    code: ClassVar[str] = "not-in-registry"


class RateLimitedError(RegistryError):
    """The registry asks for a pause that is too long to wait for."""

    code: ClassVar[str] = "registry-rate-limit"


class CredentialsError(PybuildError):
    """A file of credentials, or a credential helper, that can't be used."""

    code: ClassVar[str] = "credentials"
