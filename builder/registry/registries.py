"""All registries, as one command may use them: the entry to this package."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping

from builder.image.reference import Reference
from builder.registry.access import Credentials, RegistryAccess
from builder.registry.client import Client, Request
from builder.registry.credentials import credential_files
from builder.registry.errors import RegistryAccessError
from builder.registry.hosts import DOCKER_HUB, Server, mirrors_of, read_config, server_of
from builder.registry.http import Http, finish
from builder.registry.repository import Repository

HUB_PATH = "library/hello-world"
"""A repository that everybody may read: Docker Hub tells of wrong credentials only when asked."""


class Registries:
    """Repositories by name; safe from several threads. Closed by `close`."""

    def __init__(
        self,
        access: RegistryAccess,
        environment: Mapping[str, str] | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._access = access
        self._sleep = sleep
        self._config = read_config(self._environment)
        self._files = credential_files(self._environment, access.authfile)
        self._http = Http(self._environment)
        self._guard = threading.Lock()
        self._clients: dict[tuple[Server, str], Client] = {}

    def for_reading(self, reference: Reference) -> tuple[Repository, ...]:
        """Where the image may be had: the registry's mirrors in order, then the registry."""
        mirrors = mirrors_of(reference.domain, self._config)
        return tuple(
            Repository(self._client(server, reference, is_mirror=server in mirrors), reference)
            for server in (*mirrors, self._server(reference.domain))
        )

    def for_writing(self, reference: Reference) -> Repository:
        """The registry's own repository."""
        server = self._server(reference.domain)
        return Repository(self._client(server, reference, is_mirror=False), reference, writes=True)

    def check(self, domain: str, credentials: Credentials) -> None:
        """RegistryAccessError where the registry doesn't take the credentials."""
        client = Client(self._http, self._server(domain), lambda: credentials, name=domain)
        scopes = (f"repository:{HUB_PATH}:pull",) if domain == DOCKER_HUB else ()
        response = client.request(Request("GET", "v2/", scopes), expect=(200, 401, 403))
        finish(response)
        if response.status != 200:
            raise RegistryAccessError(
                f"{domain} does not take these credentials", hint="are name and password right?"
            )

    def close(self) -> None:
        """End all connections. Idempotent."""
        self._http.close()

    def _server(self, domain: str) -> Server:
        return server_of(domain, self._config, tls_verify=self._access.tls_verify)

    def _client(self, server: Server, reference: Reference, *, is_mirror: bool) -> Client:
        """One for each repository: credentials may be a repository's own."""
        domain = server.host if is_mirror else reference.domain

        def find() -> Credentials | None:
            if self._access.credentials is not None and not is_mirror:
                return self._access.credentials
            return self._files.find(domain, reference.path)

        with self._guard:
            key = (server, reference.repository)
            if key not in self._clients:
                self._clients[key] = Client(
                    self._http, server, find, name=domain, sleep=self._sleep
                )
            return self._clients[key]
