"""One embedded run for all end-to-end tests: the processes that `make run` starts, on free ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.actors import NetworkControl, Person
from tests.support.embedded_stack import RunningSystem, running_stack
from tests.support.service_under_test import CLIENT_LIMITS

# The first test waits until the whole system is started and its region is filled.
_TIMEOUT_WITH_START = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a longer timeout for tests that may have to start the system; long tests set their own."""
    for item in items:
        if "demo" in getattr(item, "fixturenames", ()) and item.get_closest_marker("long") is None:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_WITH_START))


@dataclass
class RunningDemo:
    """The embedded run and its users."""

    system: RunningSystem
    vk: NetworkControl
    ok: NetworkControl
    centre: Person
    org: Person
    anyone: httpx.AsyncClient
    pages: list[dict[str, Any]]
    organisation_id: str

    def network(self, name: str) -> NetworkControl:
        """Return the emulated network of that name."""
        return self.vk if name == "vk" else self.ok

    def page(self, network: str) -> dict[str, Any]:
        """Return a page of the organisation whose staff is signed in."""
        return next(
            p for p in self.pages if p["network"] == network and p["organisation_id"] == self.organisation_id
        )

    def other_organisations_page(self, network: str) -> dict[str, Any]:
        """Return a page of another organisation."""
        return next(
            p for p in self.pages if p["network"] == network and p["organisation_id"] != self.organisation_id
        )


STARTER_RULES = "Начальный набор правил"
PAGE_OWNERS = "Отвечают владельцы страниц"


async def activate_rules(centre: Person, note: str) -> None:
    """Activate the rule set with this note, unless it is active."""
    found = next(one for one in await centre.list_all("/rule-sets") if one["note"] == note)
    if found["status"] != "active":
        version = {"If-Match": f'"{found["version"]}"'}
        await centre.post(f"/rule-sets/{found['id']}/activation", {}, **version)


async def connect_to_demo(system: RunningSystem, exits: AsyncExitStack) -> RunningDemo:
    """Sign in all people at an embedded run, and activate rules that assign appeals to the owners of pages."""

    async def at(url: str) -> httpx.AsyncClient:
        return await exits.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30, limits=CLIENT_LIMITS))

    gateway = await at(system.gateway)
    centre = await Person.sign_in(gateway, "centre")
    org = await Person.sign_in(gateway, "org")
    await centre.post("/rule-sets", {"note": PAGE_OWNERS, "default": {"send_to": "page_owner"}, "rules": []})
    await activate_rules(centre, PAGE_OWNERS)
    return RunningDemo(
        system=system,
        vk=NetworkControl("vk", await at(system.vk)),
        ok=NetworkControl("ok", await at(system.ok)),
        centre=centre,
        org=org,
        anyone=gateway,
        pages=await centre.list_all("/pages"),
        organisation_id=(await org.get("/me"))["organisation"]["id"],
    )


@pytest.fixture(scope="package")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningDemo]:
    """The embedded run with the demo registry; citizens write only in tests."""
    folder: Path = tmp_path_factory.mktemp("stack")
    async with running_stack(folder, seed_demo=True) as system, AsyncExitStack() as exits:
        yield await connect_to_demo(system, exits)
