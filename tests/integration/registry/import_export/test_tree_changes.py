"""Import of files that move organisations in the tree."""

import json
from typing import Any

import pytest

from tests.conftest import TestDatabase
from tests.integration.registry.conftest import make, misplaced
from tests.integration.registry.import_export.conftest import csv_file, imported
from tests.support.service_under_test import ServiceUnderTest

HEADINGS = ["Код", "Наименование", "Вид", "Учредитель"]


async def owners(database: TestDatabase) -> dict[str, str | None]:
    """Return the code of the parent of each organisation by the organisation's code; null: at the top."""
    connection = await database.connect()
    rows = await connection.fetch(
        "SELECT own.code, above.code AS owner FROM organisations own LEFT JOIN organisations above "
        "ON above.id = own.parent_id ORDER BY own.code"
    )
    await connection.close()
    return {row["code"]: row["owner"] for row in rows}


async def branch(registry: ServiceUnderTest, *codes: str) -> None:
    """Register organisations with these codes, each below the previous one."""
    above: dict[str, Any] = {"id": None}
    for code in codes:
        above = await make(
            registry, "/organisations", code=code, name=f"Школа {code}", kind="other", parent_id=above["id"]
        )


@pytest.mark.parametrize(
    ("file", "after"),
    [
        ({"b": "", "a": "b"}, {"a": "b", "b": None, "c": "b", "d": "c"}),
        ({"a": "b", "b": ""}, {"a": "b", "b": None, "c": "b", "d": "c"}),
        ({"a": "d", "d": "c", "c": "b", "b": ""}, {"a": "d", "b": None, "c": "b", "d": "c"}),
        ({"a": "b", "b": "c", "c": "d", "d": ""}, {"a": "b", "b": "c", "c": "d", "d": None}),
        ({"a": "new", "new": "b", "b": ""}, {"a": "new", "new": "b", "b": None, "c": "b", "d": "c"}),
    ],
)
async def test_import_can_reverse_the_order_of_a_branch(
    registry: ServiceUnderTest, database: TestDatabase, file: dict[str, str], after: dict[str, str | None]
) -> None:
    await branch(registry, "a", "b", "c", "d")
    before = await owners(database)
    rows = [[code, f"Школа {code}", "other", owner] for code, owner in file.items()]
    answer = await imported(registry, csv_file(HEADINGS, *rows))
    assert await owners(database) == after
    assert await misplaced(database) == []
    moved = [code for code in before if before[code] != after[code]]
    assert answer["organisations"]["changed"] == len(moved)
    connection = await database.connect()
    events = await connection.fetch(
        "SELECT data->>'code' AS code FROM events WHERE type = 'organisation.changed' "
        "AND data->'changed' = '[\"parent_id\"]' ORDER BY code"
    )
    kept = await connection.fetch(
        """SELECT own.code, below.before->>'parent_id' = was.id::text AS truly FROM audit below
           JOIN organisations own ON own.id::text = below.subject_id
           LEFT JOIN organisations was ON was.code = ($1::jsonb)->>own.code
           WHERE below.subject_kind = 'organisations' AND below.before ? 'parent_id' ORDER BY code""",
        json.dumps(before),
    )
    await connection.close()
    assert [row["code"] for row in events] == moved
    # Each moved organisation has one audit row, with its old parent.
    assert [(row["code"], row["truly"] is not False) for row in kept] == [(code, True) for code in moved]
