"""A person's tokens, and the token endpoint of the API: sign-in by password, refresh and revocation."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import aiohttp

from services.console.api_calls.browser_headers import browser_headers

# A password check may wait in a queue; a refresh holds a database connection, so its timeout is short.
_SIGN_IN_TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
_TIMEOUT = aiohttp.ClientTimeout(total=5)


class SessionEnded(Exception):  # noqa: N818
    """The refresh token is no longer accepted: the person has to sign in again."""


class EndpointUnavailable(Exception):  # noqa: N818
    """The endpoint did not respond, or its response cannot be used."""


class SignInRefused(Exception):  # noqa: N818
    """The name or password is wrong or, with `retry_after` in seconds, there were too many attempts."""

    def __init__(self, status: int, retry_after: int | None) -> None:
        super().__init__(str(status))
        self.status = status
        self.retry_after = retry_after

    @property
    def is_throttled(self) -> bool:
        """Return whether a later attempt may succeed: a throttled name gives 400 and `retry_after`, a full queue
        429.
        """
        return self.status == 429 or self.retry_after is not None


@dataclass(frozen=True)
class Tokens:
    """A person's tokens; `expires_in` is the lifetime of the access token in seconds from the moment of issue.

    `issuer` is the region's OIDC issuer, which gave them to the client `client_id`; empty if the API gave them.
    """

    access: str
    refresh: str
    expires_in: int
    issuer: str = ""
    client_id: str = ""

    def stored(self) -> dict[str, Any]:
        """Return the tokens as a dictionary, to be stored."""
        return asdict(self)

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> Self:
        """Return the tokens from a dictionary that `Tokens.stored` returned."""
        return cls(**stored)


class TokenIssuer(Protocol):
    """The issuer of a session's tokens: the API, or the region's OIDC issuer."""

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Return the tokens that replace these.

        Raises `SessionEnded` if the issuer refuses these tokens, `EndpointUnavailable` if it does not respond.
        """
        ...

    async def revoke(self, tokens: Tokens) -> None:
        """End the session of these tokens. Raises `EndpointUnavailable` if the issuer does not respond."""
        ...


@dataclass(frozen=True)
class SignInMethods:
    """How people sign in: with a password, at the OIDC issuer `issuer` as the client `client_id`, or either."""

    password: bool
    issuer: str | None = None
    client_id: str | None = None


class TokenEndpoint:
    """The endpoints `/auth/token` and `/auth/revoke` of the API."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base

    async def methods(self) -> SignInMethods:
        """Return how people sign in. Raises `EndpointUnavailable` if the API does not respond with the methods."""
        try:
            async with self._http.get(
                f"{self._base}/methods", headers=browser_headers(), timeout=_TIMEOUT
            ) as response:
                if response.status != 200:
                    raise EndpointUnavailable(f"/auth/methods responded with status {response.status}")
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EndpointUnavailable(f"the request to /auth/methods failed: {error!r}") from error
        external = document["external"]
        if external is None or external["client_id"] is None:
            return SignInMethods(document["password"])
        return SignInMethods(document["password"], external["issuer"], external["client_id"])

    async def sign_in(self, username: str, password: str) -> Tokens:
        """Return the tokens of the person who signs in.

        Raises `SignInRefused` for a wrong password or after too many failures, `EndpointUnavailable` if the API
        does not respond.
        """
        form = {"grant_type": "password", "username": username, "password": password}
        return await self._tokens(form, _SIGN_IN_TIMEOUT)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Return the tokens that replace these.

        Raises `SessionEnded` if the API refuses these tokens, `EndpointUnavailable` if it does not respond or
        throttles.
        """
        try:
            return await self._tokens({"grant_type": "refresh_token", "refresh_token": tokens.refresh}, _TIMEOUT)
        except SignInRefused as refused:
            if refused.is_throttled:
                raise EndpointUnavailable("/auth/token throttled the refresh: try again later") from refused
            raise SessionEnded from refused

    async def revoke(self, tokens: Tokens) -> None:
        """End the session of these tokens. Raises `EndpointUnavailable` if the API does not respond."""
        try:
            async with self._http.post(
                f"{self._base}/revoke",
                data={"token": tokens.refresh},
                headers=browser_headers(),
                timeout=_TIMEOUT,
            ) as response:
                await response.read()
                if response.status != 200:
                    raise EndpointUnavailable(f"/auth/revoke responded with status {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EndpointUnavailable(f"the request to /auth/revoke failed: {error!r}") from error

    async def _tokens(self, form: dict[str, str], timeout: aiohttp.ClientTimeout) -> Tokens:  # noqa: ASYNC109
        try:
            async with self._http.post(
                f"{self._base}/token", data=form, headers=browser_headers(), timeout=timeout
            ) as response:
                if response.status in {400, 401, 403, 429}:
                    after = response.headers.get("Retry-After", "")
                    raise SignInRefused(response.status, int(after) if after.isdigit() else None)
                if response.status != 200:
                    raise EndpointUnavailable(f"/auth/token responded with status {response.status}")
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EndpointUnavailable(f"the request to /auth/token failed: {error!r}") from error
        return Tokens(document["access_token"], document["refresh_token"], int(document["expires_in"]))
