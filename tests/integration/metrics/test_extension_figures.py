"""Figures of deadline extensions equal those worked out by hand."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.metrics.test_sla import WEEK, Region, add, local, region

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
PATH = "/api/v1/metrics/extensions"
NAMES = (
    "requested",
    "approved",
    "refused",
    "withdrawn",
    "ended",
    "open",
    "stopped",
    "on_time",
    "on_time_extended",
)
# Of each appeal: opened, organisation, deadline without and with extensions, answered, statuses of its requests.
APPEALS: tuple[tuple[str, str, str | None, str, str | None, tuple[str, ...]], ...] = (
    # Answered between the two deadlines: on time only because of the extension.
    ("11-23 00:00", "school", "11-24 18:00", "11-25 18:00", "11-25 10:00", ("approved",)),
    # The second request was refused; answered exactly at the deadline without the extension.
    ("11-24 10:00", "school", "11-25 10:00", "11-26 10:00", "11-25 10:00", ("approved", "refused")),
    # Extended, but answered after the extended deadline too.
    ("11-24 11:00", "school", "11-25 10:00", "11-26 10:00", "11-26 10:01", ("approved",)),
    # Answered before the centre decided on the request.
    ("11-25 11:00", "ministry", None, "11-27 10:00", "11-26 10:00", ("ended",)),
    # The organisation withdrew its request.
    ("11-26 11:00", "ministry", None, "11-27 10:00", "11-27 10:01", ("withdrawn",)),
    ("11-29 23:59", "ministry", None, "12-01 10:00", None, ("open",)),
    # Opened in other weeks.
    ("11-22 23:59", "school", "11-24 18:00", "11-25 18:00", "11-25 10:00", ("approved",)),
    ("11-30 00:00", "ministry", None, "12-02 10:00", None, ("open",)),
)


@pytest.fixture
async def extended(region: Region) -> Region:
    """Insert the appeals with their clocks and requests."""
    connection = await region.database.connect()
    try:
        for opened, name, unextended, due, answered, statuses in APPEALS:
            owner: UUID = getattr(region, name)
            case = await add(connection, opened_at=opened, organisation_id=owner)
            clock = await _clock(connection, case, owner, unextended=unextended, due=due, answered=answered)
            for status in statuses:
                await connection.execute(
                    """INSERT INTO extension_requests (id, appeal_id, clock_id, clock, organisation_id,
                       extension_seconds, unit, ground, status, requested_by, version, created_at, updated_at)
                       VALUES ($1, $2, $3, 'final_answer', $4, 3600, 'working', 'Ждём акт', $5, 'x', 1, $6, $6)""",
                    uuid4(), case, clock, owner, status, local(opened),
                )  # fmt: skip
    finally:
        await connection.close()
    return region


async def _clock(
    connection: asyncpg.Connection,
    case: UUID,
    owner: UUID,
    *,
    unextended: str | None,
    due: str,
    answered: str | None,
) -> UUID:
    clock, stopped = uuid4(), local(answered) if answered else None
    await connection.execute(
        """INSERT INTO sla_clocks (id, appeal_id, kind, state, written_at, received_at, due_at, unextended_due_at,
           stopped_at, on_time, organisation_id, created_at, updated_at)
           VALUES ($1, $2, 'final_answer', $3, now(), now(), $4, $5, $6, $7, $8, now(), now())""",
        clock, case, "stopped" if stopped else "running", local(due), local(unextended) if unextended else None,
        stopped, stopped <= local(due) if stopped else None, owner,
    )  # fmt: skip
    return clock


def figures(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in NAMES)


async def test_extensions_are_counted_per_organisation(extended: Region) -> None:
    body = await extended.get(PATH, **WEEK)
    assert (body["from"], body["to"]) == ("2026-11-23T00:00:00+08:00", "2026-11-30T00:00:00+08:00")
    assert [(group["name"], figures(group)) for group in body["groups"]] == [
        ("Министерство", (3, 0, 0, 1, 1, 1, 2, 1, 0)),
        ("Школа", (4, 3, 1, 0, 0, 0, 3, 2, 1)),
    ]
    assert figures(body["total"]) == (7, 3, 1, 1, 1, 1, 5, 3, 1)


async def test_staff_see_only_their_own_organisation(extended: Region) -> None:
    body = await extended.get(PATH, headers=extended.metrics.headers("manager", extended.school), **WEEK)
    assert [group["key"] for group in body["groups"]] == [str(extended.school)]
    assert figures(body["total"]) == (4, 3, 1, 0, 0, 0, 3, 2, 1)


async def test_figures_of_a_period_without_appeals_are_zero(region: Region) -> None:
    body = await region.get(PATH, **WEEK)
    assert (figures(body["total"]), body["groups"]) == ((0,) * len(NAMES), [])
