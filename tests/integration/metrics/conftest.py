"""Appeals with random values, whose SLA figures are rolled up."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.metrics.indicators.period import Period, midnight
from services.metrics.sla_rollups.rebuilding import rebuild_due_months
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.database.sessions import Database
from tests.conftest import TestDatabase
from tests.support.service_under_test import insert_organisation

NOW = datetime(2026, 5, 10, 4, tzinfo=UTC)
JANUARY, END = midnight(date(2026, 1, 1)), midnight(date(2026, 5, 11))
COLUMNS = (
    "id", "status", "urgency", "organisation_id", "topic_id", "network", "text", "route", "written_at",
    "opened_at", "first_response_due_at", "first_response_at", "first_response_working_seconds", "closed_at",
    "final_answer_at", "outcome", "feedback_kind", "version", "created_at", "updated_at",
)  # fmt: skip
STATUSES = (
    "assigned", "in_progress", "interim", "answered", "closed", "reopened", "triage", "not_required", "merged"
)  # fmt: skip
CENTRE = Caller("somebody", "", Role.MODERATOR, None).with_right(Right.METRICS_READ)


@dataclass
class Region:
    """A database with random appeals of four months and ten days; tests draw from the same random generator."""

    test_database: TestDatabase
    database: Database
    connection: asyncpg.Connection
    chance: random.Random
    organisations: list[UUID | None]
    topics: list[UUID | None]
    ids: list[UUID] = field(default_factory=list)

    def moment(self, start: datetime = JANUARY, end: datetime = END) -> datetime:
        """Return a random moment; in one of ten cases the first or the last one of a month."""
        found = start + (end - start) * self.chance.random()
        if self.chance.random() < 0.1:
            first = midnight(date(2026, self.chance.randint(1, 5), 1))
            found = first - timedelta(microseconds=self.chance.randint(0, 1))
        return max(found, start)

    def values(self) -> dict[str, Any]:
        """Return random values for all columns that figures count."""
        pick = self.chance.choice
        opened = self.moment()
        answered = self.chance.random() < 0.6
        return {
            "status": pick(STATUSES),
            "organisation_id": pick(self.organisations),
            "topic_id": pick(self.topics),
            "network": pick(("vk", "ok", None)),
            "written_at": opened - timedelta(microseconds=self.chance.randint(0, 10**10)),
            "opened_at": opened,
            "first_response_due_at": pick((None, self.moment(), self.moment(), NOW)),
            "first_response_at": self.moment() if answered else None,
            "first_response_working_seconds": pick((None, self.chance.randint(0, 10**6))) if answered else None,
            "closed_at": pick((None, None, self.moment())),
            "final_answer_at": pick((None, self.moment())),
            "outcome": pick((None, "solved", "explained")),
            "feedback_kind": pick((None, None, "thanks", "not_solved")),
        }

    async def add(self, count: int) -> None:
        """Insert appeals with random values, one statement for each."""
        rows = []
        for _ in range(count):
            row = {
                "id": uuid4(), "urgency": "normal", "text": "Не горит фонарь", "route": "{}", "version": 1,
                "created_at": NOW, "updated_at": NOW, **self.values(),
            }  # fmt: skip
            self.ids.append(row["id"])
            rows.append([row[name] for name in COLUMNS])
        marks = ", ".join(f"${index + 1}" for index in range(len(COLUMNS)))
        await self.connection.executemany(f"INSERT INTO appeals ({', '.join(COLUMNS)}) VALUES ({marks})", rows)

    async def change(self) -> None:
        """Change some columns of a random appeal, or insert or delete an appeal."""
        kind = self.chance.random()
        if kind < 0.2:
            await self.add(1)
        elif kind < 0.3:
            gone = self.ids.pop(self.chance.randrange(len(self.ids)))
            await self.connection.execute("DELETE FROM appeals WHERE id = $1", gone)
        else:
            made = self.values()
            names = self.chance.sample(sorted(made), self.chance.randint(1, 4))
            changed = ", ".join(f"{name} = ${index + 2}" for index, name in enumerate(names))
            await self.connection.execute(
                f"UPDATE appeals SET {changed} WHERE id = $1",
                self.chance.choice(self.ids),
                *(made[name] for name in names),
            )

    def period(self) -> Period:
        """Return a random period, which may begin and end within months and include unfinished ones."""
        start, end = sorted((self.moment(JANUARY - timedelta(days=40)), self.moment(end=END + timedelta(days=40))))
        return Period(start, end)

    async def rebuild(self, now: datetime = NOW) -> int:
        """Roll up changed and missing months as if the last change were an hour ago; return their number."""
        await self.connection.execute("UPDATE sla_rollup_changes SET changed_at = changed_at - interval '1 hour'")
        return await rebuild_due_months(self.database, now)

    async def changes(self) -> list[date]:
        """Return the months with recorded changes, oldest first."""
        rows = await self.connection.fetch("SELECT month FROM sla_rollup_changes ORDER BY month")
        return [row["month"] for row in rows]


@pytest.fixture
async def region(database: TestDatabase) -> AsyncIterator[Region]:
    connection = await database.connect()
    await connection.execute(
        "INSERT INTO municipalities VALUES ('99000001', 'Н-ский район', 'district', 'н-ский')"
    )
    organisations = [
        await insert_organisation(database, name="Школа", municipality="99000001"),
        await insert_organisation(database, name="Больница", municipality="99000001"),
        await insert_organisation(database, name="Министерство"),
    ]
    group, topic, other = (uuid4() for _ in range(3))
    await connection.executemany(
        """INSERT INTO topics (id, code, name, position, taxonomy_version, aliases, active, group_id)
           VALUES ($1, $2, $2, $3, 'test', '[]', true, $4)""",
        [(group, "test-1", 1, None), (topic, "test-2", 2, group), (other, "test-3", 3, group)],
    )
    pool = Database(database.url("metrics"), 4, name="metrics")
    made = Region(
        database, pool, connection, random.Random(29), [*organisations, None], [group, topic, other, None]
    )
    await made.add(300)
    yield made
    await pool.close()
    await connection.close()
