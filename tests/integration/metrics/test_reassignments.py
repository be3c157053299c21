"""Figures of transfers of appeals equal those worked out by hand."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.metrics.test_sla import WEEK, Region, add, local, region
from tests.support.service_under_test import insert_organisation

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
PATH = "/api/v1/metrics/transfers"


async def chain(
    connection: asyncpg.Connection, opened_at: str, *steps: tuple[str, UUID | None, UUID | None]
) -> UUID:
    """Insert an appeal that was assigned to these organisations in turn."""
    case = await add(connection, opened_at=opened_at)
    for number, (kind, former, to) in enumerate(steps):
        await connection.execute(
            """INSERT INTO assignments (id, appeal_id, at, kind, from_organisation_id, to_organisation_id, actor)
               VALUES ($1, $2, $3, $4, $5, $6, 'somebody')""",
            uuid4(), case, local(f"11-29 10:{number:02}"), kind, former, to,
        )  # fmt: skip
    return case


@pytest.fixture
async def water(region: Region) -> UUID:
    """Insert a third organisation, whose id is returned, and a week of appeals with figures worked out by hand."""
    water = await insert_organisation(region.database, name="Водоканал")
    school, ministry = region.school, region.ministry
    connection = await region.database.connect()
    try:
        await chain(connection, "11-23 00:00", ("routed", None, school))
        # Back and forth, then to a third organisation.
        lost = await chain(
            connection, "11-24 10:00", ("routed", None, school), ("transferred", school, ministry),
            ("assigned", ministry, school), ("rerouted", school, water),
        )  # fmt: skip
        # Through the centre to another organisation: a transfer; back to the same one: not a transfer.
        await chain(
            connection, "11-25 10:00", ("routed", None, ministry), ("returned", ministry, None),
            ("assigned", None, water), ("returned", water, None), ("assigned", None, water),
        )  # fmt: skip
        # The rules took the appeal back, and it is assigned to no organisation.
        await chain(connection, "11-26 10:00", ("routed", None, ministry), ("rerouted", ministry, None))
        await chain(connection, "11-27 10:00")
        # Opened in other weeks.
        for opened_at in ("11-22 23:59", "11-30 00:00"):
            await chain(connection, opened_at, ("routed", None, school), ("transferred", school, water))
        for kind in ("repeated_transfers", "urgent"):
            await connection.execute(
                "INSERT INTO alerts (id, kind, appeal_id, why, created_at) VALUES ($1, $2, $3, '', now())",
                uuid4(), kind, lost,
            )  # fmt: skip
    finally:
        await connection.close()
    return water


def figures(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(
        found[name] for name in ("appeals", "transferred_out", "transferred_in", "returns", "repeated_transfers")
    )


async def test_transfers_are_counted_per_organisation(region: Region, water: UUID) -> None:
    body = await region.get(PATH, **WEEK)
    assert (body["from"], body["to"]) == ("2026-11-23T00:00:00+08:00", "2026-11-30T00:00:00+08:00")
    assert [(group["key"], group["name"], figures(group)) for group in body["groups"]] == [
        (str(water), "Водоканал", (2, 0, 2, 1, 1)),
        (str(region.ministry), "Министерство", (3, 2, 1, 1, 1)),
        (str(region.school), "Школа", (2, 2, 1, 0, 1)),
    ]
    # An appeal that was assigned to three organisations counts once.
    assert figures(body["total"]) == (4, 4, 4, 2, 1)


async def test_staff_see_only_their_own_organisation(region: Region, water: UUID) -> None:
    body = await region.get(PATH, headers=region.metrics.headers("manager", region.school), **WEEK)
    assert [group["key"] for group in body["groups"]] == [str(region.school)]
    assert figures(body["total"]) == figures(body["groups"][0]) == (2, 2, 1, 0, 1)


async def test_figures_of_a_period_without_appeals_are_zero(region: Region) -> None:
    body = await region.get(PATH, **WEEK)
    assert (figures(body["total"]), body["groups"]) == ((0, 0, 0, 0, 0), [])
    wrong = await region.metrics.client.get(PATH, params={"from": "now"}, headers=region.metrics.headers("head"))
    assert wrong.status_code == 422
