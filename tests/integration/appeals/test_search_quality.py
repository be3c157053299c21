"""Recall of the first page of search results, for hand-written queries with their expected hits.

An expected hit contains the words of the query in any form; the query may misspell a location. A message with
the same meaning in other words is not a hit. Hits were selected by hand from all labelled messages. The search
was tuned on the first list of queries; the second list was written later, for other messages.
"""

from collections.abc import Collection
from uuid import uuid4

import pytest

from bench.labelled_messages import MESSAGE_SETS_DIR, read
from services.appeals.classification.locations.location_finder import find_location
from services.appeals.search.documents import index_appeals
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario

pytestmark = pytest.mark.long  # runs hundreds of searches

QUERIES_DIR = MESSAGE_SETS_DIR.with_name("search")
FIRST_PAGE = 25
MIN_RECALL = 0.95


async def insert_appeals(scenario: AppealsScenario, sets: Collection[str]) -> dict[str, str]:
    """Insert an appeal for each message of these sets that needs an answer; return the message by appeal id.

    The location of an appeal is the one that the classifier finds.
    """
    messages = {
        f"{path.stem}/{row['id']}": row
        for path in sorted(MESSAGE_SETS_DIR.glob("*.csv"))
        if path.stem in sets
        for row in read(path)
        if row["needs_answer"] == "yes"
    }
    ids = {name: uuid4() for name in messages}
    connection = await scenario.database.connect("appeals")
    try:
        codes = {row["name"]: row["oktmo"] for row in await connection.fetch("SELECT * FROM municipalities")}
        for name, row in messages.items():
            found = find_location(
                row["text"],
                page_owner=row["page_owner"],
                page_municipality=row["page_municipality"] or None,
                post=row["post_context"] or None,
            )
            await connection.execute(
                """INSERT INTO appeals (id, version, status, urgency, organisation_id, transfers, returns, text,
                   municipality, settlement, street, house, written_at, opened_at, assigned_at, route, created_at,
                   updated_at)
                   VALUES ($1, 1, 'assigned', 'normal', $2, 0, 0, $3, $4, $5, $6, $7, $8, $8, $8,
                   '{"reason": "", "confidence": 1.0}', now(), now())""",
                ids[name],
                scenario.organisation,
                row["text"],
                codes[found.municipality] if found.municipality else None,
                found.settlement,
                found.street,
                found.house,
                WEDNESDAY,
            )
    finally:
        await connection.close()
    async with scenario.appeals.service.database.write() as session:
        await index_appeals(session, list(ids.values()))
    return {str(appeal_id): name for name, appeal_id in ids.items()}


@pytest.mark.parametrize(
    ("file", "sets", "count"),
    [("queries.csv", {"first", "third"}, 250), ("held_out_queries.csv", {"second"}, 90)],
)
async def test_first_page_recall_is_at_least_the_minimum(
    scenario: AppealsScenario, file: str, sets: Collection[str], count: int
) -> None:
    messages = await insert_appeals(scenario, sets)
    queries = read(QUERIES_DIR / file)
    recalls: dict[str, float] = {}
    missed: dict[str, set[str]] = {}
    for query in queries:
        right = set(query["messages"].split())
        assert right <= set(messages.values()), query
        items = await scenario.all(q=query["query"], limit=FIRST_PAGE)
        lost = right - {messages[item["id"]] for item in items}
        recalls[query["query"]] = 1 - len(lost) / len(right)
        if lost:
            missed[query["query"]] = lost
    recall = sum(recalls.values()) / len(recalls)
    assert len(recalls) >= count
    assert recall >= MIN_RECALL, (recall, missed)
