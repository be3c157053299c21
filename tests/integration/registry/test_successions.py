"""Successions: renamed, merged and split organisations, their last day, and refused input."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine

from services.registry.organisations import successions
from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, pointers
from tests.support.service_under_test import ServiceUnderTest

PATH = "/api/v1/organisations"
NOW = "2026-06-15T04:00:00+00:00"


async def bodies(registry: ServiceUnderTest, *names: str) -> list[dict[str, Any]]:
    return [await make(registry, "/organisations", name=name, kind="institution") for name in names]


def took_over(day: str, kind: str, *successors: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "successors": [{"organisation_id": successor["id"]} for successor in successors],
        "kind": kind,
        "effective_on": day,
        **more,
    }


async def post(registry: ServiceUnderTest, body: dict[str, Any], wanted: dict[str, Any]) -> Any:
    return await registry.client.post(
        f"{PATH}/{body['id']}/successions", json=wanted, headers=registry.headers("moderator")
    )


async def seen(registry: ServiceUnderTest, body: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    answer = await registry.client.get(f"{PATH}/{body['id']}/successions", headers=registry.headers("head"))
    assert answer.status_code == 200, answer.text
    return [
        (item["predecessor"]["name"], item["kind"], item["successor"]["name"], item["effective_on"])
        for item in answer.json()["items"]
    ]


async def state(registry: ServiceUnderTest, body: dict[str, Any]) -> tuple[bool, str | None]:
    found = (await registry.client.get(f"{PATH}/{body['id']}", headers=registry.headers("head"))).json()
    return found["active"], found["valid_to"]


async def test_merger_ends_the_predecessor_and_keeps_its_appeals(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    old, new = await bodies(registry, "Школа № 1", "Школа № 2")
    page = await make(
        registry, "/pages", organisation_id=old["id"], network="vk", external_id="101", name="Страница"
    )
    connection = await database.connect("appeals")
    case = await connection.fetchval(
        """INSERT INTO appeals (id, status, version, urgency, organisation_id, page_id, text, route, written_at,
           opened_at, created_at, updated_at)
           VALUES (gen_random_uuid(), 'in_progress', 1, 'normal', $1, $2, 'Не горят фонари', '{}', now(), now(),
                   now(), now()) RETURNING id""",
        UUID(old["id"]),
        UUID(page["id"]),
    )
    await connection.close()
    answer = await post(registry, old, took_over("2024-09-01", "merged", new, document="Приказ № 5"))
    assert answer.status_code == 201, answer.text
    assert [item["document"] for item in answer.json()["items"]] == ["Приказ № 5"]
    expected = [("Школа № 1", "merged", "Школа № 2", "2024-09-01")]
    assert await seen(registry, old) == expected
    assert await seen(registry, new) == expected
    assert await state(registry, old) == (False, "2024-08-31")
    assert await state(registry, new) == (True, None)
    kept = await registry.client.get(f"/api/v1/pages/{page['id']}", headers=registry.headers("head"))
    assert kept.json()["organisation_id"] == old["id"]
    connection = await database.connect()
    kept_case = await connection.fetchrow(
        "SELECT organisation_id, status, version FROM appeals WHERE id = $1", case
    )
    assert tuple(kept_case) == (UUID(old["id"]), "in_progress", 1)
    events = await connection.fetch(
        "SELECT type, data FROM events WHERE type LIKE 'organisation.%' AND type <> 'organisation.registered'"
        " ORDER BY type"
    )
    await connection.close()
    assert [row["type"] for row in events] == ["organisation.changed", "organisation.succession_recorded"]
    assert new["id"] in events[1]["data"]


async def test_organisation_with_a_future_last_day_is_deactivated_after_that_day(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    with time_machine.travel(NOW, tick=False):
        old, left, right = await bodies(registry, "Район", "Округ", "Город")
        answer = await post(registry, old, took_over("2026-07-01", "split", left, right))
        assert len(answer.json()["items"]) == 2
        assert await state(registry, old) == (True, "2026-06-30")
    # The last hour of its last day in the region, then the first hour of the next day.
    for moment, closed in (("2026-06-30T15:30:00+00:00", 0), ("2026-06-30T16:30:00+00:00", 1)):
        with time_machine.travel(moment, tick=False):
            async with registry.service.database.write() as session:
                assert await successions.deactivate_ended(session) == closed
    assert await state(registry, old) == (False, "2026-06-30")
    assert await state(registry, left) == (True, None)
    connection = await database.connect()
    actors = await connection.fetch(
        "SELECT actor, data->'changed' FROM events WHERE type = 'organisation.changed'"
    )
    await connection.close()
    assert ("registry", '["active"]') in [tuple(row) for row in actors]


async def test_second_succession_for_the_same_day_adds_successors(registry: ServiceUnderTest) -> None:
    old, left, right, third = await bodies(registry, "Больница", "Поликлиника 1", "Поликлиника 2", "Поликлиника 3")
    assert (await post(registry, old, took_over("2020-01-01", "split", left, right))).status_code == 201
    assert (await post(registry, old, took_over("2020-01-01", "split", third))).status_code == 201
    assert len(await seen(registry, old)) == 3
    again = await post(registry, old, took_over("2020-01-01", "split", third))
    assert (again.status_code, pointers(again)) == (409, {"/successors/0/organisation_id"})
    another = await post(registry, old, took_over("2021-01-01", "split", third))
    assert (another.status_code, another.json()["type"]) == (409, "/problems/conflict")


async def test_cycle_of_successions_is_refused(registry: ServiceUnderTest) -> None:
    a, b, c = await bodies(registry, "А", "Б", "В")
    assert (await post(registry, a, took_over("2010-01-01", "renamed", b))).status_code == 201
    assert (await post(registry, b, took_over("2015-01-01", "reorganised", c))).status_code == 201
    for body, successor in ((c, a), (c, b), (c, c)):
        ring = await post(registry, body, took_over("2020-01-01", "renamed", successor))
        assert (ring.status_code, pointers(ring)) == (422, {"/successors/0/organisation_id"})
    assert await seen(registry, c) == [("Б", "reorganised", "В", "2015-01-01")]
    assert await seen(registry, b) == [
        ("Б", "reorganised", "В", "2015-01-01"),
        ("А", "renamed", "Б", "2010-01-01"),
    ]


async def test_concurrent_successions_cannot_close_a_cycle(registry: ServiceUnderTest) -> None:
    a, b = await bodies(registry, "А", "Б")
    answers = await asyncio.gather(
        post(registry, a, took_over("2020-01-01", "renamed", b)),
        post(registry, b, took_over("2020-01-01", "renamed", a)),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 422]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"successors": []}, {"/successors"}),
        ({"successors": [{"organisation_id": str(uuid4())}]}, {"/successors/0/organisation_id"}),
        ({"kind": "split"}, {"/successors"}),
        ({"kind": "closed"}, {"/kind"}),
        ({"effective_on": "2011-01-01"}, {"/effective_on"}),
        ({"effective_on": "9999-01-01"}, {"/effective_on"}),
        ({"document": ""}, {"/document"}),
    ],
)
async def test_invalid_succession_is_refused(
    registry: ServiceUnderTest, change: dict[str, Any], named: set[str]
) -> None:
    old = await make(registry, "/organisations", name="Школа", kind="institution", valid_from="2011-01-01")
    (new,) = await bodies(registry, "Гимназия")
    answer = await post(registry, old, took_over("2020-01-01", "renamed", new) | change)
    assert answer.status_code == 422, answer.text
    assert pointers(answer) == named
    twice = await post(registry, old, took_over("2020-01-01", "split", new, new))
    assert pointers(twice) == {"/successors"}
    assert await seen(registry, old) == []
    assert await state(registry, old) == (True, None)


async def test_succession_can_be_deleted(registry: ServiceUnderTest) -> None:
    old, new = await bodies(registry, "Школа", "Гимназия")
    made = (await post(registry, old, took_over("2020-01-01", "renamed", new))).json()["items"][0]
    headers = registry.headers("moderator", **{"If-Match": "*"})
    foreign = await registry.client.delete(f"{PATH}/{new['id']}/successions/{made['id']}", headers=headers)
    assert foreign.status_code == 404
    path = f"{PATH}/{old['id']}/successions/{made['id']}"
    assert (await registry.client.delete(path, headers=headers)).status_code == 204
    assert (await registry.client.delete(path, headers=headers)).status_code == 404
    assert await seen(registry, new) == []
    back = {"active": True, "valid_to": None}
    answer = await registry.client.patch(f"{PATH}/{old['id']}", json=back, headers=headers)
    assert answer.json()["active"] is True
    assert (await registry.client.get(f"{PATH}/{uuid4()}/successions", headers=headers)).status_code == 404
    assert date.fromisoformat(made["effective_on"]) == date(2020, 1, 1)
