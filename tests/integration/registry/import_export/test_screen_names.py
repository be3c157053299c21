"""Pages given only by a short name: resolved by the networks, through ingest, on request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.registry.api.import_export import WORKBOOK_QUEUE
from services.registry.import_export.short_name_lookup import MAX_LOOKUPS
from shared import caller_queue
from shared.auth.callers import Caller
from shared.auth.rights import Role
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import registry_asking
from tests.integration.registry.import_export.conftest import counted, csv_file, imported, send
from tests.support.eventually import eventually_true
from tests.support.service_under_test import ServiceUnderTest

HEADINGS = ("Код", "Наименование", "Вид", "Ссылка ВК", "Ссылка ОК")


class Ingest:
    """A stand-in for ingest that resolves some short names and records the requests."""

    def __init__(self) -> None:
        self.known = {("vk", "school1"): "101", ("ok", "school1"): "5301"}
        self.asked: list[tuple[str, str]] = []
        self.away = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def resolve(self, request: web.Request) -> web.Response:
        """Handle `POST /internal/pages/resolve`."""
        body: dict[str, Any] = await request.json()
        key = body["network"], body["screen_name"]
        self.asked.append(key)
        await self.may_answer.wait()
        if self.away:
            return web.json_response({"outcome": "later", "reason": "The network is away", "community": None})
        if key not in self.known:
            return web.json_response(
                {"outcome": "no_community", "reason": "Nobody has this name", "community": None}
            )
        community = {"external_id": self.known[key], "name": "Школа", "screen_name": key[1]}
        return web.json_response({"outcome": "found", "reason": None, "community": community})


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


@pytest.fixture
async def registry(ingest: Ingest, database: TestDatabase, keys_dir: Path) -> AsyncIterator[ServiceUnderTest]:
    """Return the registry's API with a stand-in for ingest."""
    async with registry_asking(ingest.resolve, database, keys_dir) as running:
        yield running


async def test_short_names_are_resolved_on_request(registry: ServiceUnderTest, ingest: Ingest) -> None:
    content = csv_file(HEADINGS, ["s1", "Школа", "учреждение", "vk.com/School1", "https://ok.ru/school1"])
    assert (await send(registry, content)).status_code == 422
    assert ingest.asked == []
    answer = await imported(registry, content, resolve_short_names=True)
    assert answer["pages"]["added"] == 2
    assert sorted(ingest.asked) == [("ok", "school1"), ("vk", "school1")]
    # A registered page is not looked up again.
    again = await imported(registry, content, resolve_short_names=True)
    assert (again["pages"]["unchanged"], len(ingest.asked)) == (2, 2)
    assert (await imported(registry, content))["pages"]["unchanged"] == 2


async def test_unknown_short_name_is_reported_at_its_cell(registry: ServiceUnderTest, ingest: Ingest) -> None:
    content = csv_file(
        HEADINGS,
        ["s1", "Школа", "учреждение", "vk.com/school1", ""],
        ["s2", "Клуб", "учреждение", "vk.com/club_of_ours", ""],
    )
    answer = await send(registry, content, resolve_short_names=True)
    assert answer.status_code == 422
    assert [(one["cell"], one["reason"]) for one in answer.json()["rejected_cells"]] == [
        ("D3", "Nobody has this name")
    ]


async def test_import_with_an_unavailable_network_gets_503(registry: ServiceUnderTest, ingest: Ingest) -> None:
    ingest.away = True
    content = csv_file(HEADINGS, ["s1", "Школа", "учреждение", "vk.com/school1", ""])
    assert (await send(registry, content, resolve_short_names=True)).status_code == 503


async def test_slow_networks_end_an_import_before_the_gateway_does(
    registry: ServiceUnderTest, ingest: Ingest, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = csv_file(HEADINGS, ["s1", "Школа", "учреждение", "vk.com/school1", ""])
    monkeypatch.setattr(caller_queue, "LONGEST_WAIT_SECONDS", 1)
    ingest.may_answer.clear()
    before = await counted(database)
    asked = asyncio.create_task(send(registry, content, resolve_short_names=True))
    try:
        answer = await asyncio.wait_for(asked, 10)
    finally:
        ingest.may_answer.set()
    assert (answer.status_code, len(ingest.asked)) == (503, 1)
    assert "Only 0 of 1 short names were found in time, and nothing was imported" in answer.json()["detail"]
    assert await counted(database) == before
    monkeypatch.undo()
    assert (await imported(registry, content, resolve_short_names=True))["pages"]["added"] == 1


async def test_import_that_gets_one_of_its_turns_too_late_is_refused(
    registry: ServiceUnderTest, ingest: Ingest, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = csv_file(HEADINGS, ["s1", "Школа", "учреждение", "vk.com/school1", ""])
    monkeypatch.setattr(caller_queue, "LONGEST_WAIT_SECONDS", 2)
    colleague = Caller("colleague", "", Role.MODERATOR, None)
    before = await counted(database)
    async with WORKBOOK_QUEUE.turn(colleague):
        first = await asyncio.wait_for(send(registry, content, resolve_short_names=True), 10)
    assert (first.status_code, ingest.asked) == (429, [])
    ingest.may_answer.clear()
    asked = asyncio.create_task(send(registry, content, resolve_short_names=True))
    try:
        await eventually_true(lambda: bool(ingest.asked))
        async with WORKBOOK_QUEUE.turn(colleague):
            ingest.may_answer.set()
            second = await asyncio.wait_for(asked, 10)
    finally:
        ingest.may_answer.set()
    assert (second.status_code, second.headers["retry-after"]) == (429, "5")
    assert await counted(database) == before


async def test_too_many_short_names_are_refused(registry: ServiceUnderTest, ingest: Ingest) -> None:
    rows = [[f"s{n}", f"Школа {n}", "учреждение", f"vk.com/school_no_{n}", ""] for n in range(MAX_LOOKUPS + 1)]
    answer = await send(registry, csv_file(HEADINGS, *rows), resolve_short_names=True)
    assert answer.status_code == 422
    assert f"at most {MAX_LOOKUPS} can be looked up" in answer.json()["detail"]
    assert ingest.asked == []
