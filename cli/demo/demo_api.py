"""The API client of the demo: calls the gateway as `centre`, and the control APIs of the emulators."""

import asyncio
import time
from typing import Any

import aiohttp
import stamina

from cli.demo.region import Organisation
from cli.embedded.settings import EMULATED_NETWORKS, EmbeddedSettings


class DemoError(Exception):
    """A request of the demo was refused; the message contains the response."""


class DemoApi:
    """Calls the gateway and the emulators; existing organisations, pages and tokens are kept."""

    def __init__(self, settings: EmbeddedSettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http
        self._api = f"{settings.url('gateway')}/api/v1"
        self._headers: dict[str, str] = {}

    async def sign_in(self, username: str, password: str) -> None:
        """Sign in; all later calls are made as this person."""
        form = {"grant_type": "password", "username": username, "password": password}
        _, answer = await self._call("POST", f"{self._api}/auth/token", data=form)
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def organisation(self, code: str) -> str | None:
        """Return the id of the organisation with this code, or None."""
        _, answer = await self._call("GET", f"{self._api}/organisations", params={"code": code})
        return str(answer["items"][0]["id"]) if answer["items"] else None

    async def ensure_organisation(self, organisation: Organisation, parent: str | None) -> str:
        """Create an organisation, or find the organisation with its code. Return its id."""
        body = {
            "name": organisation.name,
            "short_name": organisation.short_name,
            "code": organisation.code,
            "kind": organisation.kind,
            "sphere": organisation.spheres[0],
            "other_spheres": list(organisation.spheres[1:]),
            "municipality": organisation.municipality,
            "parent_id": parent,
        }
        status, answer = await self._call(
            "POST", f"{self._api}/organisations", json=_without_none(body), accept_status=409
        )
        found = str(answer["id"]) if status == 201 else await self.organisation(organisation.code)
        if found is None:
            raise DemoError(f"the organisation {organisation.code} exists but cannot be found")
        return found

    async def emulated_page(self, network: str, organisation: Organisation) -> dict[str, Any]:
        """Create a page in an emulated network, or find the page with its screen name. Return the page."""
        body = {
            "name": organisation.short_name,
            "screen_name": organisation.pages[network],
            "description": organisation.name,
        }
        _, page = await self._call("POST", self._control(network, "pages"), json=body)
        return page

    async def ensure_page(
        self, network: str, organisation_id: str, owner: Organisation, page: dict[str, Any]
    ) -> str:
        """Register a page, or find it if it is registered. Return its id in the registry."""
        external_id = str(page["id"])
        body = {
            "organisation_id": organisation_id,
            "network": network,
            "external_id": external_id,
            "name": owner.short_name,
            "screen_name": owner.pages[network],
            "url": page.get("url"),
        }
        status, answer = await self._call(
            "POST", f"{self._api}/pages", json=_without_none(body), accept_status=409
        )
        if status == 201:
            return str(answer["id"])
        query = {"organisation_id": organisation_id, "network": network}
        _, pages = await self._call("GET", f"{self._api}/pages", params=query)
        for item in pages["items"]:
            if item["network"] == network and item["external_id"] == external_id:
                return str(item["id"])
        raise DemoError(f"the page {external_id} of {network} exists but cannot be found at {owner.code}")

    async def tokens(self, network: str) -> list[dict[str, Any]]:
        """Return working tokens of an emulated network."""
        _, answer = await self._call("GET", self._control(network, "tokens"))
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def add_token(self, network: str, token: dict[str, Any], page_id: str | None) -> None:
        """Store a token in ingest."""
        fields = ("kind", "token", "application_key", "application_secret_key", "session_secret_key")
        body = {"network": network, "page_id": page_id, **{name: token.get(name) for name in fields}}
        await self._call("POST", f"{self._api}/sources/tokens", json=_without_none(body))

    async def wait_until_followed(self, timeout_seconds: float = 180) -> None:
        """Wait until ingest has read every page once: from then on messages arrive within seconds.

        Raises DemoError with the name of an unread page if no further page is read for `timeout_seconds`.
        """
        left, deadline = None, 0.0
        while unfollowed := await self._unfollowed_pages():
            if left is None or len(unfollowed) < left:
                left, deadline = len(unfollowed), time.monotonic() + timeout_seconds
            if time.monotonic() > deadline:
                raise DemoError(
                    f"ingest does not read the page {unfollowed[0]}; see ingest's log and GET /api/v1/sources"
                )
            await asyncio.sleep(0.3)

    async def _unfollowed_pages(self) -> list[str]:
        """Return the names of the pages that ingest has not read yet."""
        names: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            _, answer = await self._call("GET", f"{self._api}/sources", params={"limit": "200", **cursor})
            for page in answer["items"]:
                read = {source["kind"] for source in page["sources"] if source["last_success_at"]}
                if not read & {"long_poll", "discussions_poll"}:
                    names.append(str(page["name"]))
            if answer["next_cursor"] is None:
                return names
            cursor = {"cursor": answer["next_cursor"]}

    async def enable_citizens(self) -> None:
        """Make the emulated citizens of both networks write messages."""
        body = {"per_minute": self._settings.citizens_per_minute}
        for network in EMULATED_NETWORKS:
            await self._call("POST", self._control(network, "citizen-rate"), json=body)

    def _control(self, network: str, path: str) -> str:
        return f"{self._settings.url(network)}/_control/{path}"

    async def _call(
        self, method: str, url: str, *, accept_status: int | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """Return status and body of one call; raise DemoError for a status other than 2xx and `accept_status`.

        The error contains no secret. Every call is idempotent, so it is retried after a lost connection.
        """
        try:
            async for attempt in stamina.retry_context(on=aiohttp.ClientConnectionError, attempts=4, timeout=30):
                with attempt:
                    return await self._call_once(method, url, accept_status=accept_status, **options)
        except aiohttp.ClientError as error:
            raise DemoError(f"{method} {url}: {error!r}") from error
        raise AssertionError("unreachable: the retry returns or raises")

    async def _call_once(
        self, method: str, url: str, *, accept_status: int | None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        # Our access token is sent only to our own API, not to the emulators.
        headers = self._headers if url.startswith(self._api) else {}
        async with self._http.request(method, url, headers=headers, **options) as response:
            if response.status < 300 or response.status == accept_status:
                answer: dict[str, Any] = await response.json(content_type=None) or {}
                return response.status, answer
            raise DemoError(f"{method} {url} responded with {response.status}: {(await response.text())[:500]}")


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
