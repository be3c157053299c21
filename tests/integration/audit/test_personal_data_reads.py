"""The list of reads of citizens' texts, filtered by citizen, appeal, reader and time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, insert_organisation, insert_page

START = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
ANNA, APPEAL, MESSAGE = "author-anna", UUID(int=11), UUID(int=12)


async def _insert(
    database: TestDatabase, *reads: tuple[str, list[UUID]], organisation: UUID | None = None
) -> None:
    connection = await database.connect()
    try:
        await connection.executemany(
            """INSERT INTO personal_data_reads (id, read_at, service, actor, role, organisation_id, action,
               subject_kind, subject_ids, subject_count)
               VALUES ($1, $2, 'appeals', $3, $4, $5, 'get_appeal', 'appeal', $6::uuid[],
               cardinality($6::uuid[]))""",
            [
                (
                    uuid4(),
                    START + timedelta(minutes=at),
                    actor,
                    "executor" if organisation else "moderator",
                    organisation,
                    ids,
                )
                for at, (actor, ids) in enumerate(reads)
            ],
        )
    finally:
        await connection.close()


async def _insert_appeal(database: TestDatabase) -> None:
    """Insert an appeal with a message of Anna."""
    organisation = await insert_organisation(database)
    page = await insert_page(database, organisation)
    connection = await database.connect()
    try:
        await connection.execute(
            """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
               network, route, author_key, created_at, updated_at)
               VALUES ($1, 1, 'assigned', 'normal', 0, 0, '', $2, $2, 'vk', '{}', $3, $2, $2)""",
            APPEAL,
            START,
            ANNA,
        )
        await connection.execute(
            """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
               author_key, from_community, text, attachments, url, history, source_kind, written_at, received_at,
               version, raw)
               VALUES ($1, 'vk', 'comment', '1', $2, $3, 'vk:1', $4, false, '', '[]', '', false, 'poll', $5, $5, 1,
               '{}')""",
            MESSAGE,
            page,
            organisation,
            ANNA,
            START,
        )
        await connection.execute("INSERT INTO appeal_messages VALUES ($1, $2, $3)", MESSAGE, APPEAL, START)
    finally:
        await connection.close()


async def _list(
    registry: ServiceUnderTest, role: str = "auditor", *, of: UUID | None = None, **query: Any
) -> list[dict[str, Any]]:
    answer = await registry.client.get(
        "/api/v1/audit/personal-data-reads", params=query, headers=registry.headers(role, of)
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_reads_are_found_by_citizen_appeal_reader_and_time(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    await _insert_appeal(database)
    await _insert(database, ("anton", [APPEAL]), ("boris", [uuid4()]), ("vera", [uuid4(), MESSAGE]))
    assert [row["actor"] for row in await _list(registry)] == ["vera", "boris", "anton"]
    assert [row["actor"] for row in await _list(registry, author_key=ANNA)] == ["vera", "anton"]
    assert await _list(registry, author_key="author-nobody") == []
    assert [row["actor"] for row in await _list(registry, subject_id=APPEAL)] == ["anton"]
    assert [row["actor"] for row in await _list(registry, actor="boris")] == ["boris"]
    second = (START + timedelta(minutes=1)).isoformat()
    since: dict[str, Any] = {"from": second}
    assert [row["actor"] for row in await _list(registry, **since)] == ["vera", "boris"]
    assert [row["actor"] for row in await _list(registry, to=second)] == ["anton"]


async def test_read_of_many_appeals_shows_their_number_instead_of_their_ids(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    ids = [UUID(int=number) for number in range(1, 251)]
    await _insert(database, ("anton", ids))
    (row,) = await _list(registry)
    assert (row["subject_count"], row["subject_ids"]) == (250, None)
    assert len(await _list(registry, subject_id=ids[200])) == 1


async def test_reader_is_named_while_they_have_an_account(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    person = uuid4()
    connection = await database.connect()
    await connection.execute(
        """INSERT INTO people (id, username, full_name, role, active, version, created_at, updated_at)
           VALUES ($1, 'soelma', 'Доржиева Соёлма', 'moderator', true, 1, now(), now())""",
        person,
    )
    await connection.close()
    await _insert(database, ("somebody", [APPEAL]), (str(person), [APPEAL]), (str(uuid4()), [APPEAL]))
    names = [row["actor_name"] for row in await _list(registry)]
    assert names == [None, "Доржиева Соёлма", None]


async def test_manager_sees_what_the_organisation_and_its_subordinates_read(
    registry: ServiceUnderTest, database: TestDatabase
) -> None:
    parent = await insert_organisation(database, name="Район")
    child, other = await insert_organisation(database, name="Школа", parent=parent), uuid4()
    await _insert(database, ("of-parent", [APPEAL]), organisation=parent)
    await _insert(database, ("of-child", [APPEAL]), organisation=child)
    await _insert(database, ("of-other", [APPEAL]), organisation=other)
    await _insert(database, ("of-centre", [APPEAL]))
    assert [row["actor"] for row in await _list(registry, "manager", of=parent)] == ["of-parent"]
    token = registry.token("manager", parent, include_subordinates=True)
    answer = await registry.client.get(
        "/api/v1/audit/personal-data-reads", headers={"Authorization": f"Bearer {token}"}
    )
    assert {row["actor"] for row in answer.json()["items"]} == {"of-parent", "of-child"}
    assert len(await _list(registry)) == 4
