"""Sign-in of people at the issuer: authorization code with PKCE, rotating refresh tokens, and revocation.

`POST /_control/person {sub}` sets the person who signs in next, without a form; null: the person refuses.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

EXPIRES_IN = 300


@dataclass
class Authorizations:
    """Issued authorization codes with their requests, and issued refresh tokens with their persons."""

    sign: Callable[[str], str]
    person: str | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)

    def given(self, subject: str) -> dict[str, Any]:
        """Return a token response with new tokens of this person."""
        refresh = secrets.token_urlsafe(16)
        self.refresh_tokens[refresh] = subject
        access = self.sign(subject)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": EXPIRES_IN,
        }

    def by_code(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return new tokens for an unused code, if the form matches the code's request; None otherwise."""
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or asked["code_challenge_method"] != "S256":
            return None
        if any(form.get(name) != asked[name] for name in ("client_id", "redirect_uri")):
            return None
        return self.given(asked["sub"])

    def by_refresh_token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return new tokens for a refresh token; None if it was used or revoked."""
        subject = self.refresh_tokens.pop(form.get("refresh_token", ""), None)
        return None if subject is None else self.given(subject)


def routes(authorizations: Authorizations) -> web.RouteTableDef:
    """Return the routes of the sign-in."""
    table = web.RouteTableDef()

    @table.get("/authorize")
    async def authorize(request: web.Request) -> web.Response:
        asked = dict(request.query)
        answer = {"state": asked["state"], "error": "access_denied"}
        if authorizations.person is not None:
            code = secrets.token_urlsafe(16)
            authorizations.codes[code] = asked | {"sub": authorizations.person}
            answer = {"state": asked["state"], "code": code}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    @table.post("/token")
    async def token(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        grants = {
            "authorization_code": authorizations.by_code,
            "refresh_token": authorizations.by_refresh_token,
        }
        given = grants[form["grant_type"]](form)
        if given is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(given)

    @table.post("/revoke")
    async def revoke(request: web.Request) -> web.Response:
        authorizations.refresh_tokens.pop(str((await request.post())["token"]), None)
        return web.Response()

    @table.post("/_control/person")
    async def person(request: web.Request) -> web.Response:
        authorizations.person = (await request.json())["sub"]
        return web.Response()

    @table.get("/_control/refresh_tokens")
    async def refresh_tokens(_request: web.Request) -> web.Response:
        return web.json_response(authorizations.refresh_tokens)

    return table
