"""Shares of agreement between classifier and reviewers equal those worked out by hand."""

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.metrics.test_sla import WEEK, Region, local, region
from tests.support.service_under_test import insert_page

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
PATH = "/api/v1/metrics/classifier-agreement"
NOTHING = {"compared": 0, "agreed": 0, "share": None, "low": None, "high": None}


async def add(connection: asyncpg.Connection, page: UUID, organisation: UUID, at: str, **given: Any) -> None:
    """Insert a reviewed message; `given`: `need`, `topic` (agreement), `place`, `group_id`, `predicted_by`."""
    message = uuid4()
    await connection.execute(
        """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
           from_community, text, attachments, url, history, source_kind, written_at, received_at, version, raw)
           VALUES ($1, 'vk', 'comment', $5, $2, $3, 'vk:1', false, 'Яма', '[]', 'https://example.invalid',
           false, 'poll', $4, $4, 1, '{}')""",
        message, page, organisation, local(at), str(message),
    )  # fmt: skip
    decided = {"needs_answer": "yes"} | (
        {"location": {"municipality": given["place"]}} if "place" in given else {}
    )
    await connection.execute(
        """INSERT INTO reviews (message_id, predicted_by, predicted, decided, topic_group_id, organisation_id,
           agrees_needs_answer, agrees_topic, reviewed_by, created_at, updated_at)
           VALUES ($1, $8, '{}', $2::text::jsonb, $3, $4, $5, $6, 'somebody', $7, $7)""",
        message, json.dumps(decided), given.get("group_id"), organisation, given.get("need"), given.get("topic"),
        local(at), given.get("predicted_by", "rule:test"),
    )  # fmt: skip


@pytest.fixture
async def reviews(region: Region) -> str:
    """Insert five reviews of the week and one of the week before; return the OKTMO code of two of them."""
    page = await insert_page(region.database, region.school, external_id="101")
    connection = await region.database.connect()
    oktmo = str(await connection.fetchval("SELECT municipality FROM organisations WHERE id = $1", region.school))
    group = region.topic
    try:
        await add(connection, page, region.school, "11-22 23:59", need=False, group_id=group)
        await add(
            connection, page, region.school, "11-23 00:00", need=True, topic=True, group_id=group, place=oktmo
        )
        await add(connection, page, region.school, "11-24 10:00", need=True, topic=False, group_id=group)
        await add(connection, page, region.school, "11-24 11:00", need=False)
        await add(
            connection,
            page,
            region.ministry,
            "11-25 10:00",
            need=True,
            topic=True,
            place=oktmo,
            predicted_by="model:2",
        )
        await add(connection, page, region.ministry, "11-29 23:59")
    finally:
        await connection.close()
    return oktmo


def counted(found: dict[str, Any], question: str) -> tuple[int, int]:
    return found[question]["agreed"], found[question]["compared"]


async def test_shares_count_only_reviews_that_could_be_compared(region: Region, reviews: str) -> None:
    body = await region.get(PATH, **WEEK)
    assert body["from"] == "2026-11-23T00:00:00+08:00"
    total = body["total"]
    assert total["reviewed"] == 5
    assert counted(total, "needs_answer") == (3, 4)
    assert counted(total, "topic") == (2, 3)
    assert total["needs_answer"]["share"] == 0.75
    assert (total["needs_answer"]["low"], total["needs_answer"]["high"]) == pytest.approx(
        (0.3006, 0.9544), abs=5e-5
    )
    assert total["organisation"] == NOTHING
    assert body["groups"] == []


async def test_groups_add_up_to_the_total(region: Region, reviews: str) -> None:
    expected = {
        "topic_group": [(str(region.topic), "Дороги", 2), ("none", None, 3)],
        "organisation": [(str(region.ministry), "Министерство", 2), (str(region.school), "Школа", 3)],
        "week": [("2026-W48", None, 5)],
        "classified_by": [("model:2", None, 1), ("rule:test", None, 4)],
    }
    for group_by, groups in expected.items():
        body = await region.get(PATH, group_by=group_by, **WEEK)
        assert [(group["key"], group["name"], group["reviewed"]) for group in body["groups"]] == groups
        for question in ("needs_answer", "topic"):
            parts = [counted(group, question) for group in body["groups"]]
            assert tuple(map(sum, zip(*parts, strict=True))) == counted(body["total"], question)
    (placed, nowhere) = (await region.get(PATH, group_by="municipality", **WEEK))["groups"]
    assert (placed["key"], counted(placed, "topic"), nowhere["key"]) == (reviews, (2, 2), "none")
    assert placed["name"]


async def test_staff_see_only_reviews_of_their_own_organisation(region: Region, reviews: str) -> None:
    headers = region.metrics.headers("manager", region.ministry)
    body = await region.get(PATH, headers=headers, group_by="organisation", **WEEK)
    assert [group["key"] for group in body["groups"]] == [str(region.ministry)]
    assert body["total"]["reviewed"] == 2
    assert (await region.get(PATH, headers=region.metrics.headers("head"), **WEEK))["total"]["reviewed"] == 5
    refused = await region.metrics.client.get(PATH, headers=region.metrics.headers("operations"))
    assert refused.status_code == 403
    wrong = await region.metrics.client.get(
        PATH, params={"group_by": "network"}, headers=region.metrics.headers("head")
    )
    assert wrong.status_code == 422


async def test_appeal_with_topic_counts_under_its_topic_group(region: Region) -> None:
    connection = await region.database.connect()
    below = uuid4()
    try:
        await connection.execute(
            """INSERT INTO topics (id, code, name, position, group_id, taxonomy_version, aliases, active)
               VALUES ($1, 'test.01', 'Ямы', 2, $2, 'test', '[]', true)""",
            below,
            region.topic,
        )
        for topic in (region.topic, below, None):
            await connection.execute(
                """INSERT INTO appeals (id, version, status, urgency, text, topic_id, written_at, opened_at,
                   route, created_at, updated_at)
                   VALUES ($1, 1, 'assigned', 'normal', 'Яма', $2, $3, $3, '{}', $3, $3)""",
                uuid4(),
                topic,
                local("11-24 10:00"),
            )
    finally:
        await connection.close()

    async def groups(group_by: str) -> list[tuple[str, str | None, int]]:
        body = await region.get(group_by=group_by, **WEEK)
        return [(group["key"], group["name"], group["opened"]) for group in body["groups"]]

    assert await groups("topic_group") == [(str(region.topic), "Дороги", 2), ("none", None, 1)]
    assert await groups("topic") == [
        (str(region.topic), "Дороги", 1),
        (str(below), "Ямы", 1),
        ("none", None, 1),
    ]
    behind = await region.get(
        "/api/v1/metrics/sla/appeals", figure="opened", group_by="topic_group", key=str(region.topic), **WEEK
    )
    assert len(behind["items"]) == 2
