"""Signs of embellished figures are computed from rows of the database."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.metrics.fairness.gaming_queries import read_gaming_signs
from services.metrics.fairness.gaming_signs import Sign
from services.metrics.schemas.embellishment_signs import SignCode
from tests.integration.metrics.test_sla import Region, add, local, region

__all__ = ["region"]  # re-exported so that pytest finds the fixture here
START, END = local("11-23 00:00"), local("11-30 00:00")


async def signs(region: Region) -> list[Sign]:
    async with region.metrics.service.database.read() as session:
        return await read_gaming_signs(session, START, END)


async def answered(
    connection: asyncpg.Connection, owner: UUID, *, before_deadline: timedelta, **given: Any
) -> UUID:
    """Insert an appeal that was answered this long before its deadline."""
    due = local("11-24 18:00")
    return await add(
        connection,
        **{
            "status": "answered",
            "organisation_id": owner,
            "opened_at": "11-23 10:00",
            "first_response_due_at": due,
            "first_response_at": due - before_deadline,
        }
        | given,
    )


async def reply(connection: asyncpg.Connection, appeal: UUID, text: str, **given: Any) -> None:
    row: dict[str, Any] = {
        "id": uuid4(), "appeal_id": appeal, "origin": "gospablik", "kind": "final", "text": text,
        "status": "published", "author": "x", "version": 1, "created_at": local("11-24 10:00"),
        "updated_at": local("11-24 10:00"),
    } | given  # fmt: skip
    names = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(f"INSERT INTO replies ({names}) VALUES ({places})", *row.values())


async def step(connection: asyncpg.Connection, appeal: UUID, at: datetime, kind: str, data: str = "{}") -> None:
    await connection.execute(
        "INSERT INTO timeline (id, appeal_id, at, kind, actor, data) VALUES ($1, $2, $3, $4, 'x', $5)",
        uuid4(), appeal, at, kind, data,
    )  # fmt: skip


async def test_answers_in_the_last_minutes_are_a_sign_that_lists_their_appeals(region: Region) -> None:
    connection = await region.database.connect()
    minutes = timedelta(minutes=1)
    late = {
        await answered(
            connection, region.school, before_deadline=number * minutes, opened_at=f"11-23 10:0{number}"
        )
        for number in range(9)
    }
    await answered(connection, region.school, before_deadline=15 * minutes)
    await answered(connection, region.school, before_deadline=-minutes)  # too late
    await answered(connection, region.school, before_deadline=minutes, opened_at="11-22 23:59")
    await answered(connection, region.school, before_deadline=minutes, opened_at="11-30 00:00")
    await answered(connection, region.school, before_deadline=minutes, status="merged")
    for _ in range(30):
        await answered(connection, region.ministry, before_deadline=300 * minutes)
    await connection.close()
    (sign,) = await signs(region)
    assert (sign.code, sign.organisation_id) == (SignCode.LAST_MINUTE_ANSWERS, region.school)
    assert set(sign.appeal_ids) == late
    assert sign.sentence.startswith("9 из 10 ответов в срок (90\u00a0%) даны в последние 15 минут до срока")


async def test_text_published_to_many_people_is_a_sign_that_lists_its_appeals(region: Region) -> None:
    connection = await region.database.connect()

    async def case(text: str, *, author: str, owner: UUID, **given: Any) -> UUID:
        appeal = await add(connection, organisation_id=owner, opened_at="11-24 10:00", status="answered")
        await connection.execute("UPDATE appeals SET author_key = $2 WHERE id = $1", appeal, author)
        await reply(connection, appeal, text, **given)
        return appeal

    same = "Ваше обращение принято к сведению."
    expected = {
        await case(same if number % 2 else f" {same.upper()}\n", author=f"a{number}", owner=region.school)
        for number in range(5)
    }
    await case("Яму засыпали 24 ноября.", author="b", owner=region.school)
    # Not counted: interim, withdrawn, another organisation, one person's five appeals.
    await case(same, author="c", owner=region.school, kind="interim")
    await case(same, author="d", owner=region.school, status="withdrawn")
    await case(same, author="e", owner=region.ministry)
    for _ in range(5):
        await case("Спасибо, ответили.", author="f", owner=region.ministry)
    await connection.close()
    (sign,) = await signs(region)
    assert (sign.code, sign.organisation_id) == (SignCode.IDENTICAL_ANSWERS, region.school)
    assert set(sign.appeal_ids) == expected
    assert "на 5 обращений от 5 человек; всего окончательных ответов\u00a0— 6" in sign.sentence


async def test_appeals_reopened_soon_after_their_end_are_a_sign(region: Region) -> None:
    connection = await region.database.connect()
    ended = local("11-24 10:00")

    async def case(owner: UUID, *steps: tuple[timedelta, str, str]) -> UUID:
        appeal = await add(connection, organisation_id=owner, opened_at="11-23 10:00")
        for after, kind, data in steps:
            await step(connection, appeal, ended + after, kind, data)
        return appeal

    now, soon, late = timedelta(0), timedelta(days=3), timedelta(days=3, seconds=1)
    final, closed = '{"reply_kind": "final"}', '{"from": "answered", "to": "closed"}'
    expected = {
        await case(region.school, (now, "answered", final), (soon, "reopened", "{}")) for _ in range(5)
    } | {
        await case(
            region.school,
            (now, "answered", final),
            (timedelta(days=1), "moved", closed),
            (timedelta(days=4), "reopened", "{}"),
            (timedelta(days=5), "answered", final),
        )
    }
    await case(region.school, (now, "answered", final), (late, "reopened", "{}"))
    # Not counted: an interim answer and a move to an open status do not end an appeal.
    await case(region.school, (now, "answered", '{"reply_kind": "interim"}'), (soon, "reopened", "{}"))
    await case(region.school, (now, "moved", '{"to": "in_progress"}'))
    for _ in range(30):
        await case(region.ministry, (now, "answered", final))
    await connection.close()
    (sign,) = await signs(region)
    assert (sign.code, sign.organisation_id) == (SignCode.SOON_REOPENED, region.school)
    assert set(sign.appeal_ids) == expected
    assert sign.sentence.startswith("6 из 7 отвеченных или закрытых обращений (86\u00a0%)")
    shown = await region.get("/api/v1/metrics/embellishment-signs", **{"from": "2026-11-23", "to": "2026-11-29"})
    (of_api,) = shown["signs"]
    assert (of_api["code"], of_api["organisation_id"]) == ("soon_reopened", str(region.school))
    assert of_api["sentence"] == sign.sentence
    assert set(of_api["appeal_ids"]) == {str(appeal) for appeal in expected}
    before = await region.get("/api/v1/metrics/embellishment-signs", **{"from": "2026-11-16", "to": "2026-11-22"})
    assert before["signs"] == []
