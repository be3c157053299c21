"""Only the appeal's current organisation and the centre retry a failed reply, if no other reply is under way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker

from shared.database.sessions import Database, WriteSession, create_engine
from shared.reply_lock import lock_replies
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Publication
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario
from tests.support.eventually import eventually
from tests.support.service_under_test import insert_organisation

MOMENT = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[PublicationScenario]:
    """A failed reply of the page's organisation."""
    async with build_scenario(database, keys_dir) as made:
        await made.system.raw_connection.execute("UPDATE publications SET status = 'failed'")
        yield made


async def have_appeal(
    scenario: PublicationScenario,
    organisation: UUID | None,
    status: str = "in_progress",
    other: str | None = None,
    *,
    has_message: bool = True,
) -> None:
    """Insert the reply's appeal, assigned to this organisation; with `other`, add another reply of this status.

    `other` is `resumed` for a failed reply that ingest is publishing again. `has_message`: the appeal still has
    the message that the reply answers.
    """
    engine = create_engine(scenario.system.database.url("gospablik_owner"), name="retry limits")
    try:
        async with async_sessionmaker(engine, class_=WriteSession)() as session, session.begin():
            publication = await session.get_one(Publication, scenario.publication_id)
            appeal = Appeal(
                status=status, organisation_id=organisation, page_id=scenario.page.id, network="vk", text="Вопрос",
                thread_key=publication.thread_key, written_at=MOMENT, opened_at=MOMENT, route={},
            )  # fmt: skip
            session.add(appeal)
            await session.flush()
            values = {"appeal_id": appeal.id, "origin": "gospablik", "kind": "final", "author": "someone"}
            answered = {"in_reply_to": scenario.question_id}
            session.add(Reply(**values, **answered, id=publication.reply_id, text="Ответ", status="failed"))
            if has_message:
                session.add(AppealMessage(message_id=scenario.question_id, appeal_id=appeal.id))
            if other is not None:
                reply_id, is_resumed = uuid4(), other == "resumed"
                session.add(
                    Reply(**values, id=reply_id, text="Ответ новых", status="failed" if is_resumed else other)
                )
                if is_resumed:
                    copied = {
                        name: getattr(publication, name)
                        for name in ("page_id", "organisation_id", "network", "kind", "thread_key", "on_behalf_of")
                    }
                    session.add(Publication(**copied, reply_id=reply_id, text="Ответ новых", status="queued"))
    finally:
        await engine.dispose()


async def retried(scenario: PublicationScenario, role: str, organisation: UUID | None = None) -> tuple[Any, str]:
    """Retry the publication by the public route; return the response and the status of the publication."""
    ingest = scenario.system.ingest
    answer = await ingest.client.post(
        f"/api/v1/publications/{scenario.publication_id}/retry", headers=ingest.headers(role, organisation)
    )
    async with ingest.service.database.read() as session:
        status = await session.scalar(select(Publication.status).where(Publication.id == scenario.publication_id))
    return answer, str(status)


async def test_former_organisation_publishes_nothing_in_a_transferred_appeal(
    scenario: PublicationScenario, database: TestDatabase
) -> None:
    await have_appeal(scenario, await insert_organisation(database, name="Новые"))
    answer, status = await retried(scenario, "executor", scenario.system.organisation)
    assert (answer.status_code, status) == (404, "failed"), answer.text


async def test_former_organisation_publishes_nothing_in_an_appeal_back_in_triage(
    scenario: PublicationScenario,
) -> None:
    await have_appeal(scenario, None, "triage")
    answer, status = await retried(scenario, "executor", scenario.system.organisation)
    assert (answer.status_code, status) == (404, "failed"), answer.text


async def test_organisation_of_the_appeal_and_the_centre_retry_its_failed_reply(
    scenario: PublicationScenario,
) -> None:
    await have_appeal(scenario, scenario.system.organisation)
    answer, status = await retried(scenario, "executor", scenario.system.organisation)
    assert (answer.status_code, status) == (202, "queued"), answer.text
    await scenario.system.raw_connection.execute("UPDATE publications SET status = 'failed'")
    answer, status = await retried(scenario, "moderator")
    assert (answer.status_code, status) == (202, "queued"), answer.text


@pytest.mark.parametrize("other", ["draft", "on_approval", "queued", "resumed"])
async def test_retry_is_refused_while_another_reply_is_under_way(
    scenario: PublicationScenario, other: str
) -> None:
    await have_appeal(scenario, scenario.system.organisation, other=other)
    answer, status = await retried(scenario, "moderator")
    assert (answer.status_code, status) == (409, "failed"), answer.text
    assert "under way" in answer.json()["detail"]


async def test_reply_of_a_merged_appeal_is_not_published(scenario: PublicationScenario) -> None:
    await have_appeal(scenario, scenario.system.organisation, "merged")
    answer, status = await retried(scenario, "moderator")
    assert (answer.status_code, status) == (409, "failed"), answer.text
    assert "merged" in answer.json()["detail"]


async def test_retry_waits_for_the_split_of_the_message_from_its_appeal(scenario: PublicationScenario) -> None:
    await have_appeal(scenario, scenario.system.organisation)
    appeals = Database(scenario.system.database.url("gospablik_owner"), 1, name="appeals")
    observer = scenario.system.raw_connection

    async def waits_or_has_ended() -> bool:
        query = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        return retrying.done() or bool(await observer.fetchval(query))

    try:
        async with appeals.write() as session:
            # Appeals moves the message, and has not committed yet.
            (moved,) = await session.scalars(select(AppealMessage))
            await lock_replies(session, moved.appeal_id)
            await session.delete(moved)
            await session.flush()
            retrying = asyncio.create_task(retried(scenario, "moderator"))
            await eventually(waits_or_has_ended)
    finally:
        await appeals.close()
    answer, status = await retrying
    assert (answer.status_code, status) == (409, "failed"), answer.text
    assert "was moved to another appeal" in answer.json()["detail"]


async def test_reply_to_a_message_that_left_the_appeal_is_not_published(scenario: PublicationScenario) -> None:
    await have_appeal(scenario, scenario.system.organisation, has_message=False)
    answer, status = await retried(scenario, "moderator")
    assert (answer.status_code, status) == (409, "failed"), answer.text
    assert "was moved to another appeal" in answer.json()["detail"]
