"""The region's OIDC issuer as the console's source of tokens: authorization code, refresh and revocation.

The access tokens are sent to the API, which verifies them; the console does not read them.
"""

import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from pydantic import SecretStr

from services.console.browser_sessions.token_endpoint import EndpointUnavailable, SessionEnded, Tokens

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
# Short: a refresh holds a database connection until the issuer responds.
_REFRESH_TIMEOUT = aiohttp.ClientTimeout(total=5)
_DISCOVERY_SECONDS = 600.0
# Assumed lifetime of an access token, in seconds, if the issuer does not give `expires_in`.
_EXPIRES_IN = 60
_REFUSALS = frozenset({400, 401, 403})


class CodeRefused(Exception):  # noqa: N818
    """The issuer refused the authorization code, for example because it was already used or has expired."""


class OidcIssuer:
    """An OIDC issuer that the console uses as the client `client_id`; the secret of a public client is empty."""

    def __init__(self, http: aiohttp.ClientSession, issuer: str, client_id: str, client_secret: SecretStr) -> None:
        self._http = http
        self._issuer = issuer
        self._client_id = client_id
        self._secret = client_secret.get_secret_value()
        self._document: dict[str, Any] | None = None
        self._document_until = 0.0

    async def authorization_url(self, *, redirect_uri: str, state: str, challenge: str) -> str:
        """Return the address where the person signs in.

        Raises `EndpointUnavailable` if the issuer's configuration cannot be read or has no such endpoint.
        """
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = await self._endpoint("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """Return the tokens that the issuer gives for an authorization code.

        Raises `CodeRefused` if the issuer refuses the code, `EndpointUnavailable` if it does not respond with
        tokens.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        document = await self._sent("token_endpoint", form)
        if document is None:
            raise CodeRefused
        return self._tokens(document)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Return the tokens that replace these.

        Raises `SessionEnded` if there is no refresh token or the issuer refuses it, `EndpointUnavailable` if the
        issuer does not respond with tokens.
        """
        if not tokens.refresh:
            raise SessionEnded
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
        document = await self._sent("token_endpoint", form, _REFRESH_TIMEOUT)
        if document is None:
            raise SessionEnded
        return self._tokens({"refresh_token": tokens.refresh} | document)

    async def revoke(self, tokens: Tokens) -> None:
        """End the session of these tokens, if the issuer has a revocation endpoint.

        Raises `EndpointUnavailable` if the issuer does not respond.
        """
        if tokens.refresh and (await self._discovered()).get("revocation_endpoint"):
            form = {"token": tokens.refresh, "token_type_hint": "refresh_token"}
            await self._sent("revocation_endpoint", form)

    def _tokens(self, document: dict[str, Any]) -> Tokens:
        try:
            return Tokens(
                access=str(document["access_token"]),
                refresh=str(document.get("refresh_token") or ""),
                expires_in=int(document.get("expires_in", _EXPIRES_IN)),
                issuer=self._issuer,
                client_id=self._client_id,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise EndpointUnavailable("the issuer's response has no valid access token") from error

    async def _discovered(self) -> dict[str, Any]:
        if self._document is None or time.monotonic() >= self._document_until:
            self._document = await self._discover()
            self._document_until = time.monotonic() + _DISCOVERY_SECONDS
        return self._document

    async def _discover(self) -> dict[str, Any]:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            async with self._http.get(url, timeout=_REFRESH_TIMEOUT, allow_redirects=False) as response:
                document = await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EndpointUnavailable(f"the issuer's configuration cannot be read: {error!r}") from error
        if not isinstance(document, dict) or document.get("issuer") != self._issuer:
            raise EndpointUnavailable("the discovery document is missing or belongs to another issuer")
        return document

    async def _endpoint(self, name: str) -> str:
        found = (await self._discovered()).get(name)
        # `http` is accepted only if the issuer's own address has it, as in an embedded run.
        if not isinstance(found, str) or urlsplit(found).scheme not in {"https", urlsplit(self._issuer).scheme}:
            raise EndpointUnavailable(f"the issuer's configuration has no valid {name}")
        return found

    async def _sent(
        self,
        endpoint: str,
        form: dict[str, str],
        timeout: aiohttp.ClientTimeout = _TIMEOUT,  # noqa: ASYNC109 — aiohttp limits parts of the call
    ) -> dict[str, Any] | None:
        """Post a form to an endpoint of the issuer; return its response, None if the form was refused."""
        authorization = aiohttp.BasicAuth(self._client_id, self._secret) if self._secret else None
        public = {} if self._secret else {"client_id": self._client_id}
        url = await self._endpoint(endpoint)
        try:
            async with self._http.post(
                url, data=form | public, auth=authorization, timeout=timeout, allow_redirects=False
            ) as response:
                content = await response.read()
                if response.status in _REFUSALS:
                    return None
                if response.status != 200:
                    raise EndpointUnavailable(f"the issuer's {endpoint} responded with status {response.status}")
                document = await response.json(content_type=None) if content else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise EndpointUnavailable(f"the request to the issuer's {endpoint} failed: {error!r}") from error
        if not isinstance(document, dict):
            raise EndpointUnavailable(f"the issuer's {endpoint} did not return a JSON object")
        return document
