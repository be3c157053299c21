"""Similar appeals: found within the caller's scope, with reasons, and with few rows read among many appeals."""

import asyncio
import re
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.dialects import postgresql

from services.appeals.incidents import similar_appeals
from services.appeals.incidents.clustering import ClusteringBatch
from services.appeals.incidents.similarity import Similarity
from services.appeals.settings import settings
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.caller_queue import CallerQueue
from shared.database.sessions import Database
from shared.tables.appeals import Appeal
from tests.conftest import TestDatabase
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.support.eventually import HANG_SECONDS
from tests.support.large_size import MANY_APPEALS
from tests.support.service_under_test import insert_organisation

TROUBLE = "На улице Школьной в Кабанске третий день нет горячей воды, когда дадут?"


async def like(scenario: AppealsScenario, appeal_id: str, **query: Any) -> dict[str, dict[str, Any]]:
    """Return the appeals similar to this one, keyed by id."""
    answer = await scenario.get(f"/appeals/{appeal_id}/similar", **query)
    assert answer.status_code == 200, answer.text
    return {item["appeal_id"]: item for item in answer.json()["items"]}


async def appeal_of(scenario: AppealsScenario, said: str, **details: Any) -> str:
    message_id = await scenario.citizen_writes(said, **details)
    return str(
        await scenario.ingest.fetchval("SELECT appeal_id FROM appeal_messages WHERE message_id = $1", message_id)
    )


async def test_similar_appeals_of_the_same_person_and_of_neighbours_are_distinguished(
    scenario: AppealsScenario,
) -> None:
    other_page = next(page for page, kept in scenario.pages.items() if kept[0] == scenario.other_organisation)
    asked = await appeal_of(scenario, TROUBLE, author="anna", thread="vk:-101_1")
    again = await appeal_of(
        scenario, "Горячей воды на Школьной в Кабанске так и нет", author="anna", thread="vk:-101_2",
        at=WEDNESDAY + timedelta(days=2),
    )  # fmt: skip
    neighbour = await appeal_of(
        scenario, "Кабанск, ул. Школьная, нет горячей воды", author="boris", thread="vk:-101_3",
        at=WEDNESDAY + timedelta(minutes=12),
    )  # fmt: skip
    elsewhere = await appeal_of(
        scenario, TROUBLE, author="ok-77", thread="ok:202_1", page=other_page, at=WEDNESDAY + timedelta(hours=3)
    )
    stranger = await appeal_of(scenario, "Когда починят светофор на Гагарина?", author="vera", thread="vk:-101_4")
    old = await appeal_of(scenario, TROUBLE, author="gleb", thread="vk:-101_5", at=WEDNESDAY - timedelta(days=30))
    found = await like(scenario, asked)
    assert set(found) == {again, neighbour}, "only appeals of the same organisation within the window are compared"
    assert (found[again]["same_person"], found[neighbour]["same_person"]) == ("same_author", None)
    assert {"та же улица", "12 минут"} <= set(found[neighbour]["why"])
    everywhere = await like(scenario, asked, all_organisations=True)
    assert set(everywhere) == {again, neighbour, elsewhere}
    assert next(iter(everywhere)) == elsewhere
    assert (everywhere[elsewhere]["same_person"], everywhere[elsewhere]["why"][0]) == ("probable", "тот же текст")
    assert old in await like(scenario, asked, days=40)
    assert stranger not in await like(scenario, asked, days=90, all_organisations=True)
    # Staff never see another organisation's appeals, not even with `all_organisations`.
    staff = {"role": "executor", "org": scenario.organisation, "all_organisations": True}
    assert set(await like(scenario, asked, **staff)) == {again, neighbour}
    assert (
        await scenario.get(f"/appeals/{elsewhere}/similar", role="executor", org=scenario.organisation)
    ).status_code == 404


async def test_comparison_runs_in_a_thread_and_a_waiting_request_holds_no_connection(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await appeal_of(scenario, TROUBLE, author="anna", thread="vk:-101_1")
    await appeal_of(scenario, TROUBLE, author="boris", thread="vk:-101_2")
    begun, released = threading.Semaphore(0), threading.Event()

    def wait(*_given: Any) -> list[Similarity]:
        begun.release()
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("the event loop waits")
        assert released.wait(HANG_SECONDS)
        return [Similarity(1.0, ())]

    monkeypatch.setattr(similar_appeals, "compare", wait)
    monkeypatch.setattr(similar_appeals, "COMPARISON_QUEUE", CallerQueue("", concurrency=1, max_waiting=1))
    pool = scenario.appeals.service.database.engine.pool
    async with asyncio.timeout(HANG_SECONDS):
        first = asyncio.create_task(like(scenario, asked))
        await asyncio.to_thread(begun.acquire)
        second = asyncio.create_task(like(scenario, asked))
        while not similar_appeals.COMPARISON_QUEUE.waiting and not first.done():
            await asyncio.sleep(0.01)
        assert pool.checkedout() == 1  # type: ignore[attr-defined]
        refused = await scenario.get(f"/appeals/{asked}/similar")
        released.set()
        assert len(await first) == len(await second) == 1
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
# $2 appeals within 30 days, with random topics and locations and texts about 500 subjects.
FILL = """
INSERT INTO appeals (id, version, status, urgency, organisation_id, topic_id, municipality, settlement, street,
    utility_failure, language, transfers, returns, network, thread_key, author_key, text, written_at, opened_at,
    route, created_at, updated_at)
SELECT gen_random_uuid(), 1, 'answered', 'normal',
    organisations[1 + floor(random() * array_length(organisations, 1))::int],
    topics[1 + floor(random() * array_length(topics, 1))::int],
    places[1 + floor(random() * array_length(places, 1))::int],
    'Посёлок ' || (n % 40), 'Улица ' || (n % 300),
    CASE WHEN n % 20 = 0 THEN (ARRAY['power', 'water', 'heat'])[1 + n % 3] END,
    'ru', 0, 0, (ARRAY['vk', 'ok'])[1 + n % 2], 'vk:' || n, 'author:' || (n % 200000),
    'Обращаюсь по поводу ' || md5((n % 500)::text) || ' на нашей улице, дом ' || n,
    moment, moment, '{"reason": "", "rule_id": null, "confidence": 1}', moment, moment
FROM (SELECT array_agg(id) AS organisations FROM organisations) AS o,
     (SELECT array_agg(id) AS topics FROM topics) AS t,
     (SELECT array_agg(oktmo) AS places FROM municipalities) AS p,
     (SELECT n, $1::timestamptz - random() * interval '30 days' AS moment
      FROM generate_series(1, $2::int) AS n) AS s
"""


@pytest.fixture
async def many(database: TestDatabase) -> AsyncIterator[Database]:
    """A database with many appeals of the last thirty days."""
    for number in range(200):
        await insert_organisation(database, name=f"Организация {number}")
    connection = await database.connect()
    await connection.execute("SELECT setseed(0.42)")
    await connection.execute(FILL, WEDNESDAY, MANY_APPEALS, timeout=900)
    await connection.execute("VACUUM ANALYZE appeals", timeout=300)
    await connection.close()
    pool = Database(database.url("appeals"), 2, name="test")
    yield pool
    await pool.close()


MODERATOR = Caller("test", "Test", Role.MODERATOR, None, right=Right.APPEALS_READ)


async def explained(pool: Database, query: Any) -> tuple[int, str]:
    """Return the number of buffers that a query reads, and its plan."""
    compiled = str(query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
    async with pool.read() as session:
        rows = await session.execute(text("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + compiled.replace(":", r"\:")))
    plan = "\n".join(row[0] for row in rows)
    first = next(line for line in plan.splitlines() if "Buffers:" in line)
    return sum(int(count) for count in re.findall(r"(?:hit|read)=(\d+)", first)), plan


@contextmanager
def statements(pool: Database) -> Iterator[list[str]]:
    """Yield a list to which every statement sent through this pool is appended."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(pool.engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(pool.engine.sync_engine, "before_cursor_execute", note)


@pytest.mark.long
@pytest.mark.timeout(1_500)
async def test_similar_appeals_and_clustering_read_few_rows_among_many_appeals(
    many: Database, keys_dir: Path
) -> None:
    async with many.read() as session:
        ids = list(await session.scalars(select(Appeal.id).order_by(Appeal.number).limit(60)))
        asked = list(await session.scalars(select(Appeal).where(Appeal.id.in_(ids[:10]))))
    for appeal in asked:
        buffers, plan = await explained(many, similar_appeals.candidates(appeal, timedelta(days=14)))
        assert "Seq Scan" not in plan, plan
        assert buffers < 3_000, plan
        for index in (
            "author_key_opened_at",
            "text_hash",
            "municipality_street",
            "municipality_opened_at",
            "topic_id_opened_at",
        ):
            assert f"ix_appeals_{index}" in plan, f"{index} is not used:\n{plan}"
    took = []
    for appeal_id in ids:
        started = time.perf_counter()
        async with many.read() as session:
            found, read = await similar_appeals.like(
                session, MODERATOR, appeal_id, days=14, all_organisations=True
            )
        took.append(time.perf_counter() - started)
        assert read <= similar_appeals.MAX_COMPARED
        assert all(one.similarity.score >= 0 for one in found)
    p95 = statistics.quantiles(took, n=20)[-1]
    sys.stdout.write(f"similar among {MANY_APPEALS:,}: p95 {p95 * 1000:.0f} ms\n")
    await check_clustering(many)


async def check_clustering(many: Database) -> None:
    """Check that a batch of 500 appeals takes at most two statements more than one of 5."""
    async with many.read() as session:
        last = list(await session.scalars(select(Appeal.id).order_by(Appeal.opened_at.desc()).limit(500)))
    counts: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for size in (5, 500, 500):
        with statements(many) as sent:
            started = time.perf_counter()
            async with many.write() as session:
                await ClusteringBatch(session, settings()).run(last[:size])
                await session.rollback()
            seconds[size] = time.perf_counter() - started
        opened = sum("INSERT INTO incidents" in statement for statement in sent)
        counts[size] = len(sent)
        assert opened == 0, "random appeals must not form a spike"
    sys.stdout.write(f"clustering: {500 / seconds[500]:.0f} appeals a second\n")
    assert counts[500] <= counts[5] + 2


def test_number_of_candidates_for_similarity_is_limited() -> None:
    asked = Appeal(
        id=UUID(int=1), text="нет света", opened_at=WEDNESDAY, author_key="a", municipality="81624000",
        street="Школьная", utility_failure="power", organisation_id=UUID(int=2), topic_id=UUID(int=3),
    )  # fmt: skip
    query = str(
        similar_appeals.candidates(asked, timedelta(days=14)).compile(
            dialect=DIALECT, compile_kwargs={"literal_binds": True}
        )
    )
    limits = [int(found) for found in re.findall(r"LIMIT (\d+)", query)]
    assert limits[-1] == similar_appeals.MAX_COMPARED
    assert sum(limits[:-1]) <= similar_appeals.MAX_COMPARED
