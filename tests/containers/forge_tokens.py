"""Run inside a container, from standard input: call routes with tokens signed by the container's keys.

Prints one JSON document: the private keys found, and each attempt with its status and whether it was forged.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import OKPKey

KEYS = Path("/keys")
SOME_ID = "01890000-0000-7000-8000-000000000000"
# Method, callee, path, and the services that may call it.
INTERNAL_ROUTES = (
    ("POST", "ingest", "/internal/publications", {"appeals", "webhooks"}),
    ("POST", "ingest", "/internal/pages/describe", {"registry"}),
    ("GET", "appeals", f"/internal/attachments/{SOME_ID}", {"ingest"}),
    ("POST", "metrics", "/internal/erasures/grades", {"ingest"}),
    ("POST", "registry", "/internal/identity", {"ingest", "appeals", "metrics", "webhooks"}),
)


def call(method: str, url: str, token: str) -> int:
    """Call a route with a token and return the status of the response."""
    body = b"{}" if method == "POST" else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": SOME_ID}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, headers, method=method), timeout=20
        ) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def sign(key: OKPKey, kid: str, issuer: str, audience: str, **claims: Any) -> str:
    """Return a token with this issuer and key id, signed with any key, even that of another service."""
    now = int(time.time())
    payload = {"iss": issuer, "aud": audience, "iat": now, "exp": now + 60, **claims}
    return jwt.encode({"alg": "Ed25519", "kid": kid}, payload, key, algorithms=["Ed25519"])


def public_kids() -> dict[str, str]:
    """Return the id of a public key by issuer, from the container's key files."""
    documents = [json.loads(path.read_text()) for path in KEYS.glob("*.jwks")]
    kids = [key["kid"] for document in documents for key in document["keys"]]
    return {kid.partition(".")[0]: kid for kid in kids}


def attempts(own: str, key: OKPKey) -> list[dict[str, Any]]:
    """Call routes with all kinds of tokens that this container can make; return the attempts."""
    kids, found = public_kids(), []

    def attempt(what: str, method: str, url: str, token: str, *, forged: bool) -> None:
        found.append({"what": what, "url": url, "status": call(method, url, token), "forged": forged})

    for method, callee, path, callers in INTERNAL_ROUTES:
        url, use = f"http://{callee}:8000{path}", f"{method} {path}"
        if own in kids and own != callee:
            token = sign(key, key.kid or "", own, callee, sub=own, act=own, use=use)
            attempt("its own name", method, url, token, forged=own not in callers)
            other_use = sign(key, key.kid or "", own, callee, sub=own, act=own, use="POST /internal/other")
            attempt("a token for another route", method, url, other_use, forged=True)
        for other in sorted(callers - {own}):
            for kid in (key.kid or f"{own}.0", kids.get(other, f"{other}.0")):
                token = sign(key, kid, other, callee, sub=other, act=other, use=use)
                attempt(f"as {other}, key {kid.partition('.')[0]}", method, url, token, forged=True)
    # Not the registry: it has the key of people's tokens, so its tokens are not forged.
    if own != "registry":
        for kid in (key.kid or f"{own}.0", kids.get("gospablik", "gospablik.0")):
            token = sign(key, kid, "gospablik", "gospablik", sub=SOME_ID, name="x", role="moderator")
            attempt(
                f"a person, key {kid.partition('.')[0]}",
                "GET",
                "http://registry:8000/api/v1/me",
                token,
                forged=True,
            )
    return found


def main() -> None:
    """Make and try tokens as the service given as the argument; print the result."""
    own = sys.argv[1]
    private = sorted(path.name for path in KEYS.rglob("*.jwk"))
    path = KEYS / f"{own}.jwk"
    key = OKPKey.import_key(json.loads(path.read_text())) if path.exists() else OKPKey.generate_key("Ed25519")
    json.dump({"private_keys": private, "attempts": attempts(own, key)}, sys.stdout)


if __name__ == "__main__":
    main()
