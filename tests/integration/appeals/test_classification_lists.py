"""Lists of classified messages, in which moderators find and correct wrong classifications."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from services.appeals.classification import classification_queries
from services.appeals.classification.classification_queries import ClassificationFilter
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION
from tests.integration.appeals.test_review_decisions import UNCLEAR, decide, execute, topic

DIALECT = dialect()  # type: ignore[no-untyped-call]
PHONE = "8 914 555-12-34"
THANKS = f"Спасибо, Мария Петровна Иванова! Звоните: {PHONE}"


async def listed(scenario: AppealsScenario, **query: Any) -> list[dict[str, Any]]:
    """Return the first page of the classifications that a filter finds."""
    answer = await scenario.get("/classifications", **query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def of(scenario: AppealsScenario, **query: Any) -> list[UUID]:
    """Return the ids of the messages that a filter finds, in the order of the list."""
    return [UUID(item["message_id"]) for item in await listed(scenario, **query)]


async def test_message_missed_by_the_classifier_is_found_and_corrected(scenario: AppealsScenario) -> None:
    asked = await scenario.citizen_writes(QUESTION)
    thanks = await scenario.citizen_writes(THANKS, author="vera")
    assert await of(scenario) == [thanks, asked]
    (found,) = await listed(scenario, needs_answer="no", classified_by="automatic")
    assert (found["message_id"], found["appeal_id"]) == (str(thanks), None)
    assert found["organisation"] == {"id": str(scenario.organisation), "name": "Школа № 1"}
    assert (found["network"], found["kind"], found["page_id"]) == ("vk", "comment", str(scenario.page))
    assert (found["classification"]["needs_answer"], found["classification"]["topic"]) == ("no", None)
    assert found["text"] == "Спасибо, [имя]! Звоните: [телефон]"
    assert not any(private in str(found) for private in ("Иванова", PHONE))
    decided = await decide(scenario, thanks, type="request")
    assert await of(scenario, needs_answer="no", classified_by="automatic") == []
    assert await of(scenario, classified_by="person") == await of(
        scenario, classified_by=decided["classification"]["classified_by"]
    )
    (after,) = await listed(scenario, classified_by="person")
    assert (after["message_id"], after["appeal_id"]) == (str(thanks), decided["appeal_id"])
    # A decision does not change the position in the list.
    assert (after["classified_at"], after["updated_at"] > found["updated_at"]) == (found["classified_at"], True)
    assert await of(scenario) == [thanks, asked]


async def test_filtered_lists_are_paged_without_gaps(scenario: AppealsScenario) -> None:
    ok_page = next(page for page in scenario.pages if page != scenario.page)
    messages = [
        await scenario.citizen_writes(QUESTION, author=f"a{number}", at=WEDNESDAY + timedelta(hours=number))
        for number in range(3)
    ]
    unclear = await scenario.citizen_writes(UNCLEAR, author="b")
    danger = await scenario.citizen_writes(
        "Нет воды третий день во всем селе!", author="c", page=ok_page, thread="ok:7"
    )
    everything = [danger, unclear, *reversed(messages)]
    group, hole = await topic(scenario, "roads"), await topic(scenario, "roads.01")
    await execute(
        scenario, "UPDATE classifications SET topic_id = $2 WHERE message_id = $1", messages[0], UUID(hole)
    )
    await execute(
        scenario, "UPDATE classifications SET classified_by = 'model:old' WHERE message_id = $1", messages[1]
    )
    assert await of(scenario, needs_answer="unsure") == await of(scenario, language="bxr") == [unclear]
    assert await of(scenario, urgency="high") == await of(scenario, page_id=str(ok_page)) == [danger]
    assert await of(scenario, organisation_id=str(scenario.other_organisation)) == [danger]
    assert await of(scenario, topic_id=hole) == messages[:1]
    assert await of(scenario, topic_id=group, needs_answer="yes") == messages[::-1]
    assert await of(scenario, topic_id=str(uuid4())) == await of(scenario, classified_by="person") == []
    assert await of(scenario, classified_by="model:old") == [messages[1]]
    assert await of(scenario, classified_by="automatic") == everything
    moment = (await listed(scenario))[1]["classified_at"]
    assert await of(scenario, classified_from=moment) == [danger, unclear]
    assert await of(scenario, classified_to=moment) == messages[::-1]
    seen: list[UUID] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await scenario.get("/classifications", **query)).json()
        seen += [UUID(item["message_id"]) for item in page["items"]]
        if not page["next_cursor"]:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == everything
    stolen = await scenario.get("/classifications", cursor=query["cursor"], urgency="high")
    assert stolen.status_code == 422


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"needs_answer": "maybe"}, "query/needs_answer"),
        ({"language": "en"}, "query/language"),
        ({"classified_by": " "}, "query/classified_by"),
        ({"classified_by": "\x00"}, "query/classified_by"),
        ({"topic_id": "roads"}, "query/topic_id"),
        ({"classified_from": "2026-03-04T00:00:00"}, "query/classified_from"),
    ],
)
async def test_invalid_filter_of_classifications_is_refused_and_named(
    scenario: AppealsScenario, query: dict[str, Any], pointer: str
) -> None:
    answer = await scenario.get("/classifications", **query)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_classifications_are_listed_only_for_roles_with_the_right(scenario: AppealsScenario) -> None:
    for role, org, status in (
        ("analyst", None, 200), ("auditor", None, 200), ("head", None, 403), ("operations", None, 403),
        ("executor", scenario.organisation, 403), ("manager", scenario.organisation, 403),
    ):  # fmt: skip
        assert (await scenario.get("/classifications", role=role, org=org)).status_code == status, role


async def test_every_filter_uses_an_index(scenario: AppealsScenario) -> None:
    caller = Caller("somebody", "", Role.ANALYST, None).with_right(Right.CLASSIFICATIONS_READ)
    hole = UUID(await topic(scenario, "roads.01"))
    async with scenario.appeals.service.database.read() as session:
        # The planner scans an empty table unless sequential scans are disabled.
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        for wanted, index in (
            (ClassificationFilter(), "ix_classifications_created_at"),
            (ClassificationFilter(needs_answer="no"), "ix_classifications_needs_answer_created_at"),
            (ClassificationFilter(language="bxr"), "ix_classifications_language"),
            (ClassificationFilter(urgency="high"), "ix_classifications_urgent"),
            (ClassificationFilter(classified_by="person"), "ix_classifications_by_person"),
            (ClassificationFilter(classified_by="model:one"), "ix_classifications_classified_by_created_at"),
            (ClassificationFilter(topic_id=hole), "ix_classifications_topic_id_created_at"),
        ):
            query = await classification_queries.list_query(session, caller, wanted, Paging(50, None, "", ""))
            literal = query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
            plan = "\n".join(await session.scalars(text(f"EXPLAIN {literal}".replace(":", r"\:"))))
            assert f"using {index}" in plan.replace("Backward ", ""), plan
            assert "Sort" not in plan, plan
