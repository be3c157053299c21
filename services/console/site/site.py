"""What all requests share: the sessions, the calls of the API, the links of the navigation."""

from collections.abc import Sequence

from fastapi import Request

from services.console.api_calls.client import Api, TokenSource
from services.console.browser_sessions.oidc_issuer import OidcIssuer
from services.console.browser_sessions.oidc_sign_in import SignInStore
from services.console.browser_sessions.session_store import SessionStore, purge_expired
from services.console.browser_sessions.token_endpoint import TokenEndpoint, TokenIssuer, Tokens
from services.console.settings import console_settings
from services.console.site.page import NavigationLink, Section
from shared.service import Service, get_service
from shared.supervision import run_periodically

PURGE_EVERY_SECONDS = 3600.0


class Site:
    """A part of the service; in each process it also deletes ended sessions."""

    name = "sessions"

    def __init__(self, links: Sequence[NavigationLink]) -> None:
        _refuse_repeated(links)
        self.links = sorted(links, key=lambda link: (list(Section).index(link.section), link.order))
        self._service: Service | None = None

    def connect(self, service: Service) -> None:
        """Use the database and the HTTP client of this service."""
        self._service = service

    @property
    def token_endpoint(self) -> TokenEndpoint:
        """Return the token endpoint of the API."""
        return TokenEndpoint(self._connected.http, f"{console_settings().gateway_url.rstrip('/')}/api/v1/auth")

    @property
    def sessions(self) -> SessionStore:
        """Return the sessions of browsers."""
        return SessionStore(self._connected.database, console_settings().encryption_keys, self._issuer_of)

    @property
    def sign_ins(self) -> SignInStore:
        """Return the sign-ins under way at the region's OIDC issuer."""
        return SignInStore(self._connected.database, console_settings().encryption_keys)

    def oidc_issuer(self, issuer: str, client_id: str) -> OidcIssuer:
        """Return the region's OIDC issuer, as this client of it."""
        secret = console_settings().oidc_client_secret
        return OidcIssuer(self._connected.http, issuer, client_id, secret)

    def _issuer_of(self, tokens: Tokens) -> TokenIssuer:
        return self.oidc_issuer(tokens.issuer, tokens.client_id) if tokens.issuer else self.token_endpoint

    def new_api(self, token: TokenSource, page: str) -> Api:
        """Return the API for one request; `page` is its route."""
        settings = console_settings()
        return Api(
            self._connected.http,
            settings.gateway_url,
            token,
            timeout_seconds=settings.api_timeout_seconds,
            page=page,
        )

    async def run(self, service: Service) -> None:
        """Delete expired sessions every hour until cancelled."""

        async def one_round() -> float:
            await purge_expired(service.database)
            return PURGE_EVERY_SECONDS

        await run_periodically(one_round)

    def stop(self) -> None:
        """No response lasts on."""

    @property
    def _connected(self) -> Service:
        assert self._service is not None
        return self._service


def _refuse_repeated(links: Sequence[NavigationLink]) -> None:
    """Raise ValueError where two links have the same key, or the same order in a section."""
    seen: dict[object, str] = {}
    for link in links:
        for what in (link.key, (link.section, link.order)):
            if what is None:
                continue
            if what in seen:
                raise ValueError(f"{seen[what]} and {link.path} have the same key or order: {what}")
            seen[what] = link.path


def get_site(request: Request) -> Site:
    """Return the site that serves this request."""
    return get_service(request).part(Site)
