"""Files to import, and two registries: a filled and an empty one."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import httpx

from tests.conftest import TestDatabase
from tests.integration.registry.conftest import registry, registry_with_people
from tests.support.service_under_test import ServiceUnderTest

__all__ = ["registry", "registry_with_people"]

IMPORT = "/api/v1/organisations/import"
EXPORT = "/api/v1/organisations/export"


def csv_file(headings: Sequence[str], *rows: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([headings, *rows])
    return text.getvalue().encode()


async def send(
    registry: ServiceUnderTest, content: bytes, *, role: str = "moderator", **query: Any
) -> httpx.Response:
    return await registry.client.post(IMPORT, content=content, params=query, headers=registry.headers(role))


async def imported(registry: ServiceUnderTest, content: bytes, **query: Any) -> dict[str, Any]:
    answer = await send(registry, content, **query)
    assert answer.status_code == 200, answer.text[:3_000]
    found: dict[str, Any] = answer.json()
    return found


async def refusals(registry: ServiceUnderTest, content: bytes) -> dict[str, str]:
    """Import the content, which must be refused; return the reason of each rejected cell."""
    answer = await send(registry, content)
    assert answer.status_code == 422, answer.text[:3_000]
    problem = answer.json()
    assert problem["type"] == "/problems/import-rejected"
    assert problem["rejected_cell_count"] == len(problem["rejected_cells"]) == len(problem["errors"])
    assert [f"cell/{one['cell']}" for one in problem["rejected_cells"]] == [
        one["pointer"] for one in problem["errors"]
    ]
    return {one["cell"]: one["reason"] for one in problem["rejected_cells"]}


async def exported(registry: ServiceUnderTest, **query: Any) -> bytes:
    answer = await registry.client.get(EXPORT, params=query, headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    return answer.content


async def counted(database: TestDatabase) -> dict[str, int]:
    """Return the number of rows of each table that an import writes."""
    connection = await database.connect()
    tables = ("organisations", "organisation_names", "pages", "page_steps", "events", "audit")
    found = {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
    await connection.close()
    return found


async def emptied(database: TestDatabase) -> None:
    """Delete the content of the registry except its calendars."""
    connection = await database.connect()
    await connection.execute("TRUNCATE organisations, pages, organisation_names, page_steps, events CASCADE")
    await connection.close()
