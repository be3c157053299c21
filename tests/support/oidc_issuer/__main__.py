"""The issuer's process: discovery, key rotation, tokens on demand, and faults. It prints its port.

`POST /_control/token {claims, header?, forged?}` signs a token; `/_control/rotate {keep?}` creates a new signing
key; `/_control/fault {kind?}` makes the documents fail: `500`, `hang`, `garbage`, `huge`, `redirect`, `impostor`.
`GET /_control/asked` returns the number of requests for each document.
"""

import asyncio
import json
import time
from collections import Counter
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey

from tests.support.oidc_issuer.authorization import Authorizations
from tests.support.oidc_issuer.authorization import routes as authorization_routes

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


class Issuer:
    """The state of the issuer."""

    def __init__(self) -> None:
        self.url = ""
        self.count = 0
        self.keys: list[RSAKey | ECKey] = []
        self.fault: str | None = None
        self.asked: Counter[str] = Counter()
        self.rotate(keep=False)

    def rotate(self, *, keep: bool) -> None:
        """Create a new signing key; former keys stay published with `keep`."""
        self.count += 1
        parameters: KeyParameters = {"kid": f"key-{self.count}", "use": "sig"}
        made: RSAKey | ECKey = (
            RSAKey.generate_key(2048, parameters) if self.count % 2 else ECKey.generate_key("P-256", parameters)
        )
        self.keys = [made, *(self.keys if keep else [])]

    def sign(self, claims: dict[str, Any], header: dict[str, Any], *, forged: bool) -> str:
        """Return a token of this issuer, by default valid for five minutes; claims given as null are left out."""
        now = int(time.time())
        standard = {"iss": self.url, "aud": "gospablik-tests", "iat": now, "exp": now + 300}
        payload = {name: value for name, value in (standard | claims).items() if value is not None}
        text = json.dumps(payload)  # ASCII escapes, so that claims may contain lone surrogates
        key = self.keys[0]
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        if forged:
            key = type(key).generate_key(parameters={"kid": key.kid or ""})
        whole = {"alg": algorithm, "kid": key.kid} | header
        return jws.serialize_compact(whole, text, key, algorithms=[algorithm])


def application(issuer: Issuer) -> web.Application:
    """Return an application with the routes of the issuer."""
    routes = web.RouteTableDef()

    async def document(path: str, body: dict[str, Any]) -> web.StreamResponse:
        issuer.asked[path] += 1
        match issuer.fault:
            case "500":
                return web.Response(status=500)
            case "hang":
                await asyncio.sleep(3600)
            case "garbage":
                return web.Response(text="<html>")
            case "huge":
                return web.json_response({"keys": ["x" * 1_000_000]})
            case "redirect":
                raise web.HTTPFound("/elsewhere")
            case "impostor":
                return web.json_response(body | {"issuer": "http://impostor.invalid"})
        return web.json_response(body)

    @routes.get(DISCOVERY)
    async def discovery(_request: web.Request) -> web.StreamResponse:
        endpoints = {
            f"{name}_endpoint": f"{issuer.url}{path}"
            for name, path in (("authorization", "/authorize"), ("token", "/token"), ("revocation", "/revoke"))
        }
        known = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}{KEYS}"}
        return await document("discovery", known | endpoints)

    @routes.get(KEYS)
    async def keys(_request: web.Request) -> web.StreamResponse:
        published = KeySet(list(issuer.keys)).as_dict(private=False)
        return await document("keys", {"keys": published["keys"]})

    @routes.post("/_control/token")
    async def token(request: web.Request) -> web.Response:
        asked = await request.json()
        return web.Response(
            text=issuer.sign(asked["claims"], asked.get("header", {}), forged=asked.get("forged", False))
        )

    @routes.post("/_control/rotate")
    async def rotate(request: web.Request) -> web.Response:
        issuer.rotate(keep=bool((await request.json()).get("keep")))
        return web.Response()

    @routes.post("/_control/fault")
    async def fault(request: web.Request) -> web.Response:
        issuer.fault = (await request.json()).get("kind")
        return web.Response()

    @routes.get("/_control/asked")
    async def asked(_request: web.Request) -> web.Response:
        return web.json_response(dict(issuer.asked))

    app = web.Application()
    app.add_routes(routes)
    signed = Authorizations(lambda subject: issuer.sign({"sub": subject}, {}, forged=False))
    app.add_routes(authorization_routes(signed))
    return app


async def serve() -> None:
    """Serve on a free port until a signal stops the process."""
    issuer = Issuer()
    runner = web.AppRunner(application(issuer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    issuer.url = f"http://127.0.0.1:{port}"
    print(port, flush=True)  # noqa: T201 — the parent process reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
