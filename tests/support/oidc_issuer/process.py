"""Start the issuer in its own process, with a client of its control API."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import HANG_SECONDS

AUDIENCE = "gospablik-tests"


@dataclass(frozen=True)
class RunningIssuer:
    """A running issuer and its control API."""

    url: str
    _control: httpx.AsyncClient

    async def token(
        self, subject: str | None, *, header: dict[str, Any] | None = None, forged: bool = False, **claims: Any
    ) -> str:
        """Return a token with these claims; claims given as None are left out."""
        body = {"claims": {"sub": subject} | claims, "header": header or {}, "forged": forged}
        text = json.dumps(body)
        return (await self._control.post("/_control/token", content=text)).raise_for_status().text

    async def bearer(self, subject: str | None, **claims: Any) -> dict[str, str]:
        """Return request headers with a token with these claims."""
        return {"Authorization": f"Bearer {await self.token(subject, **claims)}"}

    async def rotate(self, *, keep: bool = False) -> None:
        """Rotate the signing key."""
        (await self._control.post("/_control/rotate", json={"keep": keep})).raise_for_status()

    async def fail(self, kind: str | None) -> None:
        """Set the fault of the issuer's documents; None: no fault."""
        (await self._control.post("/_control/fault", json={"kind": kind})).raise_for_status()

    async def signs_in(self, subject: str | None) -> None:
        """Set the person who signs in at the issuer next; None: the person refuses."""
        (await self._control.post("/_control/person", json={"sub": subject})).raise_for_status()

    async def follow(self, address: str) -> str:
        """Open a URL of the issuer as a browser does; return the URL that it redirects to."""
        return (await self._control.get(address)).headers["location"]

    async def refresh_tokens(self) -> dict[str, str]:
        """Return the valid refresh tokens with their persons."""
        found: dict[str, str] = (await self._control.get("/_control/refresh_tokens")).json()
        return found

    async def revoke(self, refresh_token: str) -> None:
        """End a session at the issuer."""
        (await self._control.post("/revoke", data={"token": refresh_token})).raise_for_status()

    async def asked(self) -> int:
        """Return the number of requests for the keys."""
        return int((await self._control.get("/_control/asked")).json().get("keys", 0))


@asynccontextmanager
async def running_issuer() -> AsyncIterator[RunningIssuer]:
    """Run an issuer in its own process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.oidc_issuer",
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_SECONDS):
            url = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        async with httpx.AsyncClient(base_url=url, timeout=HANG_SECONDS) as control:
            yield RunningIssuer(url, control)
    finally:
        process.terminate()
        await process.wait()
