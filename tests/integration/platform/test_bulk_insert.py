"""Rows that are inserted together are stored as if each was inserted alone."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from shared import clock
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.sessions import Database
from shared.tables.appeals_lists import SavedView
from shared.tables.common import AuditEntry, PersonalDataRead
from tests.conftest import TestDatabase

FILTERS: list[dict[str, Any]] = [{}, {"status": ["new", ["triage"]], "q": None}, {"q": "ё\\\" {,}'"}]


def view(given: dict[str, Any], view_id: UUID | None = None) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": view_id or uuid4(),
        "owner": "person",
        "organisation_id": None,
        "is_shared": False,
        "name": 'Школы, "сады" {NULL}',
        "sort_key": "NULL",
        "filter": given,
        "sort": "",
        "created_at": now,
        "updated_at": now,
    }


async def stored_filters(database: TestDatabase) -> dict[UUID, Any]:
    connection = await database.connect()
    rows = await connection.fetch("SELECT id, filter FROM saved_views")
    await connection.close()
    return {row["id"]: json.loads(row["filter"]) for row in rows}


async def test_rows_are_stored_with_their_values_and_defaults(
    appeals_database: Database, database: TestDatabase
) -> None:
    rows = [view(each) for each in FILTERS]
    async with appeals_database.write() as session:
        await insert_rows(session, SavedView, rows)
        await insert_rows(session, SavedView, [])
    assert await stored_filters(database) == {row["id"]: row["filter"] for row in rows}
    async with appeals_database.read() as session:
        assert set(await session.scalars(select(SavedView.version))) == {1}


async def test_rows_with_different_columns_are_refused(appeals_database: Database) -> None:
    less = {name: value for name, value in view({}).items() if name != "sort"}
    async with appeals_database.write() as session:
        with pytest.raises(ValueError, match="Not all rows have the columns id, owner"):
            await insert_rows(session, SavedView, [view({}), view({}) | {"version": 2}])
        with pytest.raises(ValueError, match="Not all rows have the columns id, owner"):
            await insert_missing(session, SavedView, [view({}), less])


async def test_existing_rows_are_skipped_and_stay_unchanged(
    appeals_database: Database, database: TestDatabase
) -> None:
    first, second = view({"q": "1"}), view({"q": "2"})
    async with appeals_database.write() as session:
        await insert_rows(session, SavedView, [first])
        await insert_rows(session, SavedView, [view({"q": "3"}, first["id"]), second], skip_conflicts=True)
    assert await stored_filters(database) == {first["id"]: {"q": "1"}, second["id"]: {"q": "2"}}


async def test_missing_rows_are_returned_as_objects_whose_changes_are_stored(
    appeals_database: Database, database: TestDatabase
) -> None:
    existing, new = view({"q": "1"}), [view({"q": "2"}), view({"q": "3"})]
    async with appeals_database.write() as session:
        await insert_rows(session, SavedView, [existing])
        assert not await insert_missing(session, SavedView, [])
        found = await insert_missing(session, SavedView, [existing, *new])
        assert {each.id: each.filter for each in found} == {row["id"]: row["filter"] for row in new}
        for each in found:
            each.filter = {"q": "changed"}
    assert await stored_filters(database) == {existing["id"]: {"q": "1"}} | {
        row["id"]: {"q": "changed"} for row in new
    }


async def test_computed_columns_are_computed_for_each_row(
    appeals_database: Database, database: TestDatabase
) -> None:
    rows = [{name: value for name, value in view({}).items() if name != "created_at"} for _ in range(20)]
    async with appeals_database.write() as session:
        await insert_rows(session, SavedView, rows, created_at=func.clock_timestamp())
    connection = await database.connect()
    times = [
        row["created_at"] for row in await connection.fetch("SELECT created_at FROM saved_views ORDER BY ctid")
    ]
    await connection.close()
    assert times == sorted(times)
    assert len(set(times)) > 1


async def test_no_value_is_stored_as_null_and_not_as_the_json_null(
    appeals_database: Database, database: TestDatabase
) -> None:
    common = {"service": "appeals", "actor": "a", "action": "a", "subject_kind": "appeal", "subject_id": "1"}
    rows = [
        {"id": uuid4(), "created_at": clock.now(), "before": before, **common}
        for before in (None, {"tags": [None]})
    ]
    async with appeals_database.write() as session:
        await insert_rows(session, AuditEntry, rows)
    connection = await database.connect()
    found = await connection.fetch("SELECT id, before FROM audit WHERE actor = 'a'")
    await connection.close()
    assert {row["id"]: row["before"] for row in found} == {rows[0]["id"]: None, rows[1]["id"]: '{"tags": [null]}'}


async def test_rows_with_arrays_are_stored(appeals_database: Database, database: TestDatabase) -> None:
    rows = [
        {
            "id": uuid4(), "read_at": clock.now(), "service": "appeals", "actor": "a", "role": "moderator",
            "action": "get_appeal", "subject_kind": "appeal", "subject_ids": ids, "subject_count": len(ids),
        }
        for ids in ([], [uuid4()], [uuid4(), uuid4()])
    ]  # fmt: skip
    async with appeals_database.write() as session:
        await insert_rows(session, PersonalDataRead, rows)
    connection = await database.connect()
    found = await connection.fetch("SELECT id, subject_ids FROM personal_data_reads")
    await connection.close()
    assert {row["id"]: row["subject_ids"] for row in found} == {row["id"]: row["subject_ids"] for row in rows}
