"""State shared by all requests: sessions, API calls, links of the navigation."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import aiohttp
from fastapi import Request

from services.console.api_calls.client import Api, TokenSource
from services.console.browser_sessions.oidc_issuer import OidcIssuer
from services.console.browser_sessions.session_store import SessionStore, purge_expired
from services.console.browser_sessions.token_endpoint import TokenEndpoint, TokenIssuer, Tokens
from services.console.settings import console_settings
from services.console.site.page import NavigationLink, Section
from shared.service import Service, get_service
from shared.supervision import run_periodically

PURGE_EVERY_SECONDS = 3600.0
# Password checks are slow on purpose. The registry queues them, so a limit keeps them from delaying pages.
PASSWORDS_AT_ONCE = 16
FILES_OF_A_PERSON = 2


class TooManyFiles(Exception):  # noqa: N818
    """The person is already downloading as many files as are allowed at once."""


class Site:
    """The service part that holds the shared state; in each process it also deletes expired sessions."""

    name = "sessions"

    def __init__(self, links: Sequence[NavigationLink]) -> None:
        _refuse_repeated(links)
        self.links = sorted(links, key=lambda link: (list(Section).index(link.section), link.order))
        self.passwords = asyncio.Semaphore(PASSWORDS_AT_ONCE)
        self._service: Service | None = None
        self._files: Counter[str] = Counter()
        self._issuers: dict[tuple[str, str], OidcIssuer] = {}

    def connect(self, service: Service) -> None:
        """Use the database and the HTTP client of this service."""
        self._service = service

    @cached_property
    def token_endpoint(self) -> TokenEndpoint:
        """Return the token endpoint of the API."""
        return TokenEndpoint(self._http_of_tokens, f"{console_settings().gateway_url.rstrip('/')}/api/v1/auth")

    @cached_property
    def sessions(self) -> SessionStore:
        """Return the store of browser sessions."""
        return SessionStore(self._connected.database, console_settings().encryption_keys, self._issuer_of)

    # Pages, files and tokens have separate connection pools, so that they do not wait for each other.
    @cached_property
    def _http_of_files(self) -> aiohttp.ClientSession:
        return self._connected.new_http()

    @cached_property
    def _http_of_tokens(self) -> aiohttp.ClientSession:
        return self._connected.new_http()

    def oidc_issuer(self, issuer: str, client_id: str) -> OidcIssuer:
        """Return the region's OIDC issuer for this client id."""
        key = (issuer, client_id)
        if key not in self._issuers:
            secret = console_settings().oidc_client_secret
            self._issuers[key] = OidcIssuer(self._http_of_tokens, issuer, client_id, secret)
        return self._issuers[key]

    def _issuer_of(self, tokens: Tokens) -> TokenIssuer:
        return self.oidc_issuer(tokens.issuer, tokens.client_id) if tokens.issuer else self.token_endpoint

    def new_api(self, token: TokenSource, page: str) -> Api:
        """Return the API client for one request; `page` is the request's route."""
        settings = console_settings()
        return Api(
            self._connected.http,
            self._http_of_files,
            settings.gateway_url,
            token,
            timeout_seconds=settings.api_timeout_seconds,
            page=page,
        )

    @contextmanager
    def file_of(self, person_id: str) -> Iterator[None]:
        """Count a download of the person until the block ends.

        Raises `TooManyFiles` if the person already has `FILES_OF_A_PERSON` downloads.
        """
        if self._files[person_id] >= FILES_OF_A_PERSON:
            raise TooManyFiles
        self._files[person_id] += 1
        try:
            yield
        finally:
            self._files[person_id] -= 1
            if not self._files[person_id]:
                del self._files[person_id]

    async def run(self, service: Service) -> None:
        """Delete expired sessions every hour until cancelled."""

        async def one_round() -> float:
            await purge_expired(service.database)
            return PURGE_EVERY_SECONDS

        await run_periodically(one_round)

    def stop(self) -> None:
        """Do nothing: the console has no long responses to end."""

    @property
    def _connected(self) -> Service:
        assert self._service is not None
        return self._service


def _refuse_repeated(links: Sequence[NavigationLink]) -> None:
    """Raise ValueError if two links have the same key, or the same order in a section."""
    seen: dict[object, str] = {}
    for link in links:
        uses = (
            (link.key, f"key {link.key}"),
            ((link.section, link.order), f"order {link.order} in the section {link.section}"),
        )
        for value, what in uses:
            if value is None:
                continue
            if value in seen:
                raise ValueError(f"{seen[value]} and {link.path} have the same {what}")
            seen[value] = link.path


def get_site(request: Request) -> Site:
    """Return the site that serves this request."""
    return get_service(request).part(Site)


async def session_exists(request: Request, secret: str) -> bool:
    """Return whether there is a browser session with this secret."""
    return await get_site(request).sessions.exists(secret)
