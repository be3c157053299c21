"""The doors the demo goes through: the gateway as `centre`, and the control doors of the emulators."""

import asyncio
import time
from typing import Any

import aiohttp
import stamina

from cli.demo.region import Organisation
from cli.embedded.settings import NETWORKS, EmbeddedSettings


class DemoError(Exception):
    """A door refused what the demo asked of it; the message holds its answer."""


class Doors:
    """Calls to the gateway and the emulators; what exists already is found and left as it is."""

    def __init__(self, settings: EmbeddedSettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http
        self._api = f"{settings.url('gateway')}/api/v1"
        self._headers: dict[str, str] = {}

    async def sign_in(self, username: str, password: str) -> None:
        """Act as this person from now on."""
        form = {"grant_type": "password", "username": username, "password": password}
        _, answer = await self._call("POST", f"{self._api}/auth/token", data=form)
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def organisation(self, code: str) -> str | None:
        """The id of the organisation with this code."""
        _, answer = await self._call("GET", f"{self._api}/organisations", params={"code": code})
        return str(answer["items"][0]["id"]) if answer["items"] else None

    async def ensure_organisation(self, one: Organisation, parent: str | None) -> str:
        """Make an organisation, or find the one with its code; answers its id."""
        body = {
            "name": one.name,
            "short_name": one.short_name,
            "code": one.code,
            "kind": one.kind,
            "sphere": one.sphere,
            "municipality": one.municipality,
            "parent_id": parent,
        }
        status, answer = await self._call("POST", f"{self._api}/organisations", json=_given(body), also=409)
        found = str(answer["id"]) if status == 201 else await self.organisation(one.code)
        if found is None:
            raise DemoError(f"the organisation {one.code} exists and is not to be found")
        return found

    async def emulated_page(self, network: str, one: Organisation) -> dict[str, Any]:
        """Make a page in an emulated network, or find the one with its screen name."""
        body = {"name": one.short_name, "screen_name": one.pages[network], "description": one.name}
        _, page = await self._call("POST", self._control(network, "pages"), json=body)
        return page

    async def ensure_page(self, network: str, organisation: str, one: Organisation, page: dict[str, Any]) -> str:
        """Register a page, or find it; answers its id in the registry."""
        external = str(page["id"])
        body = {
            "organisation_id": organisation,
            "network": network,
            "external_id": external,
            "name": one.short_name,
            "screen_name": one.pages[network],
            "url": page.get("url"),
        }
        status, answer = await self._call("POST", f"{self._api}/pages", json=_given(body), also=409)
        if status == 201:
            return str(answer["id"])
        query = {"organisation_id": organisation, "network": network}
        _, known = await self._call("GET", f"{self._api}/pages", params=query)
        for item in known["items"]:
            if item["network"] == network and item["external_id"] == external:
                return str(item["id"])
        raise DemoError(f"the page {external} of {network} exists and is not to be found at {one.code}")

    async def tokens(self, network: str) -> list[dict[str, Any]]:
        """Working credentials of an emulated network."""
        _, answer = await self._call("GET", self._control(network, "tokens"))
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def hand_over(self, network: str, token: dict[str, Any], page_id: str | None) -> None:
        """Enter one token at ingest."""
        named = ("kind", "token", "application_key", "application_secret_key", "session_secret_key")
        body = {"network": network, "page_id": page_id, **{name: token.get(name) for name in named}}
        await self._call("POST", f"{self._api}/sources/tokens", json=_given(body))

    async def until_heard(self, patience: float = 40) -> None:
        """Wait until ingest follows every page: from then on what citizens write arrives within seconds.

        Raises DemoError naming a page that is not followed after `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while (deaf := await self._unheard_page()) is not None:
            if time.monotonic() > deadline:
                raise DemoError(f"ingest does not follow the page {deaf}; see its log and GET /api/v1/sources")
            await asyncio.sleep(0.3)

    async def _unheard_page(self) -> str | None:
        cursor: dict[str, str] = {}
        while True:
            _, answer = await self._call("GET", f"{self._api}/sources", params={"limit": "200", **cursor})
            for source in answer["items"]:
                ways = {way["way"] for way in source["ways"] if way["last_success_at"]}
                if not ways & {"long_poll", "discussions_poll"}:
                    return str(source["name"])
            if answer["next_cursor"] is None:
                return None
            cursor = {"cursor": answer["next_cursor"]}

    async def let_citizens_write(self) -> None:
        """Switch on the invented citizens of both networks."""
        body = {"per_minute": self._settings.citizens_per_minute}
        for network in NETWORKS:
            await self._call("POST", self._control(network, "citizens"), json=body)

    def _control(self, network: str, what: str) -> str:
        return f"{self._settings.url(network)}/_control/{what}"

    async def _call(
        self, method: str, url: str, *, also: int | None = None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        """One call; any answer but 2xx and `also` is a DemoError. No secret goes into the message.

        Every call may be repeated: a connection that the server closed while idle is no reason to fail.
        """
        try:
            async for attempt in stamina.retry_context(on=aiohttp.ClientConnectionError, attempts=4, timeout=30):
                with attempt:
                    return await self._call_once(method, url, also=also, **options)
        except aiohttp.ClientError as error:
            raise DemoError(f"{method} {url}: {error!r}") from error
        raise AssertionError("unreachable: the retry returns or raises")

    async def _call_once(
        self, method: str, url: str, *, also: int | None, **options: Any
    ) -> tuple[int, dict[str, Any]]:
        # The control doors belong to strangers: our token stays at our own door.
        headers = self._headers if url.startswith(self._api) else {}
        async with self._http.request(method, url, headers=headers, **options) as response:
            if response.status < 300 or response.status == also:
                answer: dict[str, Any] = await response.json(content_type=None) or {}
                return response.status, answer
            raise DemoError(f"{method} {url} answered {response.status}: {(await response.text())[:500]}")


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
