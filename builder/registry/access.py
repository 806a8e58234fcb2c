"""What a command line says about registries. Light: commands read it that may ask none."""

from __future__ import annotations

from cache.record import record


@record
class Credentials:
    """A name and a password, or an identity token that a token server takes instead."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"

    @property
    def basic(self) -> str:
        """The header's value."""
        from base64 import b64encode  # noqa: PLC0415 - see above

        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + b64encode(pair).decode("ascii")


@record
class RegistryAccess:
    """How registries are to be spoken to."""

    tls_verify: bool | None = None  # None: as registries.toml says, else verified
    authfile: str = ""
    credentials: Credentials | None = None
