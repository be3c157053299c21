"""A week of published answers to grade, and people of the centre who grade them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import time_machine

from tests.conftest import TestDatabase
from tests.integration.metrics.test_sla import local
from tests.support.service_under_test import (
    ServiceUnderTest,
    insert_organisation,
    insert_page,
    service_under_test,
)

WEEK = "2026-W47"
PERIOD = {"from": "2026-11-16", "to": "2026-11-22"}
# The Wednesday after the week.
NOW = "2026-11-25T12:00:00+08:00"
FIRST, SECOND, THIRD = (str(UUID(int=number)) for number in (101, 102, 103))
CRITERIA = ("question", "action_or_date", "proof", "contact", "politeness", "plain_language", "own_words")
# All fields of an item for its grader: no organisation, appeal, address, or grade by another person.
SHOWN_TO_GRADERS = {
    "item_id", "week", "kind", "topic", "question", "answer", "attachment_ids", "rubric_version", "criteria",
    "claimed_until",
}  # fmt: skip
QUESTION = "Когда починят фонарь? Звоните 8-924-350-11-22, Баирма Цыреновна"
ANSWER = "Здравствуйте! Фонарь починят 25 ноября. Вопрос задал Иванов Пётр Петрович."


def scores(score: int = 2, **others: int) -> dict[str, int]:
    """Return a score for each criterion of a final answer."""
    return dict.fromkeys(CRITERIA, score) | others


@dataclass
class GradingWeek:
    """The metrics service, organisations with their answers, and calls as graders and staff."""

    metrics: ServiceUnderTest
    database: TestDatabase
    organisations: dict[str, UUID] = field(default_factory=dict)
    replies: dict[str, list[UUID]] = field(default_factory=dict)

    async def add_organisation(self, name: str, answers: int, **changes: Any) -> list[UUID]:
        """Insert an organisation with this number of answers in the week; return the ids of the replies."""
        organisation_id = self.organisations[name] = await insert_organisation(self.database, name=name)
        number = len(self.organisations)
        page = await insert_page(self.database, organisation_id, external_id=f"10{number}")
        connection = await self.database.connect()
        try:
            made = [
                await _answer(connection, organisation_id, page, minutes, **changes) for minutes in range(answers)
            ]
        finally:
            await connection.close()
        self.replies[name] = made
        return made

    async def draw(self, **body: Any) -> dict[str, Any]:
        """Draw the sample of the week."""
        answer = await self.metrics.client.post(
            "/api/v1/grading/samples", json={"week": WEEK} | body, headers=self.metrics.headers("moderator")
        )
        assert answer.status_code in {200, 201}, answer.text
        sample: dict[str, Any] = answer.json()
        return sample

    async def claim(self, who: str = FIRST, count: int = 20) -> list[str]:
        """Claim answers to grade; return the ids of their items."""
        answer = await self.post("assignments", {"count": count}, who)
        assert answer.status_code == 201, answer.text
        ids: list[str] = answer.json()["item_ids"]
        return ids

    async def grade(
        self, item_id: str, who: str = FIRST, comment: str | None = None, **given: Any
    ) -> httpx.Response:
        """Grade an item with 2 for all criteria except the given ones."""
        return await self.post(f"items/{item_id}/grades", {"scores": scores(**given), "comment": comment}, who)

    async def post(self, path: str, body: Any, who: str = FIRST, **headers: str) -> httpx.Response:
        """Call a route of grading as a person of the centre."""
        token = self.metrics.token("analyst", subject=who)
        return await self.metrics.client.post(
            f"/api/v1/grading/{path}", json=body, headers={"Authorization": f"Bearer {token}"} | headers
        )

    async def get(self, path: str, *, headers: Any = None, **query: Any) -> Any:
        """Return the body of a route for a moderator, or for the caller of the given headers."""
        answer = await self.metrics.client.get(
            f"/api/v1/{path}", params=query, headers=headers or self.metrics.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def assignments(self, who: str = FIRST) -> dict[str, Any]:
        """Return the answers that a person has claimed."""
        token = self.metrics.token("analyst", subject=who)
        found: dict[str, Any] = await self.get("grading/assignments", headers={"Authorization": f"Bearer {token}"})
        return found

    def staff(self, name: str, role: str = "manager") -> dict[str, str]:
        """Return the headers of a person of an organisation."""
        return self.metrics.headers(role, self.organisations[name])

    async def rows(self, query: str, *values: Any) -> Sequence[asyncpg.Record]:
        """Run a statement as the owner of the database and return its rows."""
        connection = await self.database.connect()
        try:
            rows: Sequence[asyncpg.Record] = await connection.fetch(query, *values)
            return rows
        finally:
            await connection.close()

    async def sampled(self) -> list[tuple[UUID, int]]:
        """Return the replies of the sample in order, each with the number of graders wanted."""
        rows = await self.rows("SELECT reply_id, graders_wanted FROM grading_items ORDER BY position")
        return [(row["reply_id"], row["graders_wanted"]) for row in rows]


@asynccontextmanager
async def grading_week(database: TestDatabase, keys_dir: Path, **settings: Any) -> AsyncIterator[GradingWeek]:
    """Run the metrics service at `NOW`, after the graded week has ended."""
    with time_machine.travel(NOW, tick=False):
        async with service_under_test("metrics", database, keys_dir, **settings) as metrics:
            yield GradingWeek(metrics, database)


async def _answer(
    connection: asyncpg.Connection, organisation_id: UUID, page: UUID, minutes: int, **changes: Any
) -> UUID:
    """Insert an appeal with a message and a published reply; `changes` are columns of the reply."""
    appeal, message, reply, actor = uuid4(), uuid4(), uuid4(), "somebody"
    asked = local("11-17 10:00") + timedelta(minutes=minutes)
    await connection.execute(
        """INSERT INTO appeals (id, version, status, urgency, text, organisation_id, network, written_at,
           opened_at, route, created_at, updated_at)
           VALUES ($1, 1, 'answered', 'normal', $2, $3, 'vk', $4, $4, '{}', $4, $4)""",
        appeal, QUESTION, organisation_id, asked,
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO messages (id, network, kind, external_id, page_id, organisation_id, thread_key,
           from_community, text, attachments, url, history, source_kind, written_at, received_at, version, raw)
           VALUES ($1, 'vk', 'comment', $2, $3, $4, 'vk:1', false, $5, '[]', 'https://example.invalid',
           false, 'poll', $6, $6, 1, '{}')""",
        message, str(message), page, organisation_id, QUESTION, asked,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO appeal_messages (message_id, appeal_id, created_at) VALUES ($1, $2, $3)",
        message,
        appeal,
        asked,
    )
    await connection.execute(
        """INSERT INTO assignments (id, appeal_id, at, kind, to_organisation_id, actor)
           VALUES ($1, $2, $3, 'routed', $4, $5)""",
        uuid4(), appeal, asked, organisation_id, actor,
    )  # fmt: skip
    row = {
        "id": reply, "appeal_id": appeal, "origin": "gospablik", "kind": "final", "text": ANSWER,
        "status": "published", "author": actor, "version": 1, "in_reply_to": message,
        "published_at": asked + timedelta(hours=2), "created_at": asked, "updated_at": asked,
    } | changes  # fmt: skip
    await connection.execute(
        f"INSERT INTO replies ({', '.join(row)}) VALUES ({', '.join(f'${n}' for n in range(1, len(row) + 1))})",
        *row.values(),
    )
    return reply
