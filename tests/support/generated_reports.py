"""Generate weeks of appeals with all data that the weekly report counts, for bulk insert."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from cli.demo.past.row_writer import RowWriter
from shared.ids import new_id

_HOURS = 3600


@dataclass(frozen=True)
class Surroundings:
    """The rows that appeals refer to; a page is (id, organisation, network)."""

    organisations: Sequence[UUID]
    pages: Sequence[tuple[UUID, UUID, str]]
    topics: Sequence[UUID]
    oktmos: Sequence[str]


async def read_surroundings(connection: asyncpg.Connection) -> Surroundings:
    """Return the organisations, pages, topics and municipalities of the database."""
    pages = await connection.fetch("SELECT id, organisation_id, network FROM pages ORDER BY id")
    return Surroundings(
        organisations=[row["id"] for row in await connection.fetch("SELECT id FROM organisations ORDER BY id")],
        pages=[(row["id"], row["organisation_id"], row["network"]) for row in pages],
        topics=[row["id"] for row in await connection.fetch("SELECT id FROM topics ORDER BY code")],
        oktmos=[row["oktmo"] for row in await connection.fetch("SELECT oktmo FROM municipalities ORDER BY oktmo")],
    )


def add_pages(writer: RowWriter, organisations: Iterable[UUID]) -> None:
    """Add a page in each network to every organisation."""
    long_ago = datetime.fromisoformat("2020-01-01T00:00:00+08:00")
    for number, organisation in enumerate(organisations, 1):
        for network in ("vk", "ok"):
            writer.add(
                "pages",
                organisation_id=organisation,
                network=network,
                external_id=str(number),
                name=f"Страница {number}",
                sort_key=f"страница {number}",
                url=f"https://{network}.example/{number}",
                go_live_at=long_ago,
                state="open",
                created_at=long_ago,
                updated_at=long_ago,
            )


async def add_page_scores(connection: asyncpg.Connection, weeks: Sequence[str], seed: int) -> None:
    """Store random scores of most pages in these weeks, with lights by the database's only formula."""
    rng = random.Random(seed)
    formula = await connection.fetchrow("SELECT id, green_from, yellow_from FROM page_score_formulas")
    pages = [row["id"] for row in await connection.fetch("SELECT id FROM pages ORDER BY id")]
    for week in weeks:
        for page_id in pages:
            if rng.random() < 0.1:
                continue
            score = None if rng.random() < 0.1 else Decimal(rng.randint(0, 1000)) / 10
            light = "unknown"
            if score is not None:
                light = "green" if score >= formula["green_from"] else "red"
                light = "yellow" if formula["yellow_from"] <= score < formula["green_from"] else light
            await connection.execute(
                """INSERT INTO page_scores
                       (id, page_id, week, formula_id, score, light, inputs, points, last_post_at, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6, '{}', '[]', NULL, now())""",
                new_id(), page_id, week, formula["id"], score, light,
            )  # fmt: skip


class GeneratedAppeals:
    """Generates appeals whose histories cover every branch of the report's definitions."""

    def __init__(self, writer: RowWriter, surroundings: Surroundings, seed: int) -> None:
        self._writer = writer
        self._of = surroundings
        self._random = random.Random(seed)
        self._texts = [f"Сообщаем, что заявка {n} принята, работы проведём до конца месяца" for n in range(12)]
        self._messages = 0

    def add(self, opened_at: datetime, now: datetime) -> None:
        """Add an appeal opened at `opened_at`, with its history until `now`."""
        rng = self._random
        status = rng.choices(("open", "not_required", "triage", "merged"), (88, 6, 3, 3))[0]
        page = rng.choice(self._of.pages) if rng.random() < 0.7 else None
        organisation = page[1] if page and rng.random() < 0.8 else rng.choice([*self._of.organisations, None])
        due = opened_at + timedelta(hours=rng.choice((9, 24)))
        answered = opened_at + timedelta(hours=rng.expovariate(1 / 14))
        if rng.random() < 0.12 or answered >= now:
            answered = None  # type: ignore[assignment]
        final = answered is not None and rng.random() < 0.8
        closed = answered is None and rng.random() < 0.25
        closed_at = opened_at + timedelta(hours=rng.uniform(1, 60)) if closed else None
        if closed_at is not None and closed_at >= now:
            closed_at = None
        given, given_final = answered, final
        withdrawn_at = None
        if answered is not None and status == "open" and rng.random() < 0.08:
            withdrawn_at = answered + timedelta(hours=rng.uniform(2, 250))
            withdrawn_at = withdrawn_at if withdrawn_at < now else None
        if withdrawn_at is not None:
            answered, final = None, False  # type: ignore[assignment]
        outcome = rng.choice(("solved", "explained", "not_solved", None)) if final else None
        current = status
        if status == "open":
            current = "closed" if closed_at else "answered" if final else "interim" if answered else "assigned"
        if withdrawn_at is not None:
            current = "reopened"
        appeal = self._writer.add(
            "appeals",
            status=current,
            urgency=rng.choices(("normal", "high"), (9, 1))[0],
            outcome=outcome,
            organisation_id=organisation,
            topic_id=rng.choice([*self._of.topics, None]),
            municipality=rng.choice([*self._of.oktmos, None]),
            settlement=rng.choice((None, None, "Турка", "Горячинск")),
            page_id=page[0] if page else None,
            network=page[2] if page else None,
            source=None if page else rng.choice(("pos", "pos", "phone", None)),
            text="Когда почистят дорогу?",
            written_at=opened_at,
            opened_at=opened_at,
            assigned_at=opened_at if status != "triage" or rng.random() < 0.5 else None,
            first_response_due_at=due,
            first_response_at=answered,
            final_answer_at=answered if final else None,
            closed_at=closed_at,
            route={},
            created_at=opened_at,
            updated_at=opened_at,
        )
        if closed_at is not None and status == "open":
            self._reopen_some(appeal, closed_at, now)
        if status in ("open", "merged", "triage"):
            self._add_clocks(appeal, answered, final=final)
        self._add_message(appeal, page, now)
        if given is not None:
            reply = self._add_reply(appeal, given, now, final=given_final)
            if withdrawn_at is not None:
                self._withdraw(appeal, reply, withdrawn_at)

    def _reopen_some(self, appeal: dict[str, Any], closed_at: datetime, now: datetime) -> None:
        """Record that the appeal was closed; reopen some appeals, and close some of the reopened again."""
        rng = self._random
        self._enter(appeal, closed_at, "moved", {"from": "assigned", "to": "closed"})
        moments = [closed_at + timedelta(hours=rng.uniform(1, 200))]
        moments.append(moments[0] + timedelta(hours=rng.uniform(1, 100)))
        if rng.random() < 0.5 or moments[1] >= now:
            return
        if rng.random() < 0.4:
            undone = {"from": "closed", "to": "assigned", "undone_since": closed_at.isoformat()}
            self._enter(appeal, moments[0], "moved", undone)
        else:
            self._enter(appeal, moments[0], "reopened", {"status": "reopened"})
        appeal["status"], appeal["closed_at"] = "reopened", None
        if rng.random() < 0.3:
            self._enter(appeal, moments[1], "moved", {"from": "reopened", "to": "closed"})
            appeal["status"], appeal["closed_at"] = "closed", moments[1]

    def _withdraw(self, appeal: dict[str, Any], reply: dict[str, Any], at: datetime) -> None:
        """Withdraw the reply, which reopens the appeal; some appeals were closed between the two."""
        reply["status"] = "withdrawn"
        self._writer.add(
            "reply_changes",
            reply_id=reply["id"],
            kind="withdrawal",
            status="applied",
            former_text=reply["text"],
            reason="Ошибка",
            requested_by="person:test",
            requested_at=at,
            ended_at=at,
        )
        if self._random.random() < 0.7:
            closed_at = reply["published_at"] + (at - reply["published_at"]) * self._random.random()
            self._enter(appeal, closed_at, "moved", {"from": "answered", "to": "closed"})
        self._enter(appeal, at, "reopened", {"status": "reopened"})

    def _enter(self, appeal: dict[str, Any], at: datetime, kind: str, data: dict[str, Any]) -> None:
        self._writer.add("timeline", appeal_id=appeal["id"], at=at, kind=kind, actor="person:test", data=data)

    def _add_clocks(self, appeal: dict[str, Any], answered: datetime | None, *, final: bool) -> None:
        rng = self._random
        # Closing an appeal does not change its clocks.
        ended = "cancelled" if appeal["status"] == "merged" else "running"
        for kind, due, stopped in (
            ("first_response", appeal["first_response_due_at"], answered),
            (
                "final_answer",
                appeal["opened_at"] + timedelta(days=rng.randrange(2, 12)),
                answered if final else None,
            ),
        ):
            paused = stopped is None and ended == "running" and rng.random() < 0.05
            clock = self._writer.add(
                "sla_clocks",
                appeal_id=appeal["id"],
                kind=kind,
                state="stopped" if stopped else "paused" if paused else ended,
                written_at=appeal["written_at"],
                received_at=appeal["opened_at"],
                started_at=appeal["opened_at"],
                unit=rng.choices(("working", "calendar"), (9, 1))[0],
                target_seconds=9 * _HOURS,
                due_at=None if paused else due,
                stopped_at=stopped,
                used_seconds=rng.randrange(60, 40 * _HOURS) if stopped else None,
                on_time=None if stopped is None else stopped <= due,
                organisation_id=appeal["organisation_id"],
                created_at=appeal["opened_at"],
                updated_at=appeal["opened_at"],
            )
            if rng.random() < 0.15:
                self._move(clock, appeal)

    def _move(self, clock: dict[str, Any], appeal: dict[str, Any]) -> None:
        """Add clock events: another organisation had the appeal first, until before or after the deadline."""
        former = self._random.choice([*self._of.organisations, None])
        moved = appeal["opened_at"] + timedelta(hours=self._random.uniform(1, 48))
        for sequence, kind, at, owner in (
            (2, "started", appeal["opened_at"], former),
            (3, "moved", moved, clock["organisation_id"]),
        ):
            self._writer.add(
                "sla_clock_events", clock_id=clock["id"], sequence=sequence, kind=kind, at=at,
                actor="person:test", organisation_id=owner, recorded_at=at,
            )  # fmt: skip

    def _add_message(self, appeal: dict[str, Any], page: tuple[UUID, UUID, str] | None, now: datetime) -> None:
        if page is None:
            return
        rng = self._random
        self._messages += 1
        deleted = rng.choices((None, "author", "community"), (94, 3, 3))[0]
        deleted_at = appeal["opened_at"] + timedelta(hours=rng.uniform(1, 200))
        message = self._writer.add(
            "messages",
            network=page[2],
            kind="comment",
            external_id=f"generated-{self._messages}",
            page_id=page[0],
            organisation_id=page[1],
            thread_key=f"{page[2]}:{self._messages}",
            from_community=False,
            text=appeal["text"],
            attachments=[],
            url="https://vk.example/wall-1_1",
            history=False,
            source_kind="long_poll",
            written_at=appeal["written_at"],
            received_at=appeal["opened_at"],
            deleted_by=deleted if deleted and deleted_at < now else None,
            deleted_at=deleted_at if deleted and deleted_at < now else None,
            raw={},
        )
        self._writer.add(
            "classifications",
            message_id=message["id"],
            needs_answer=rng.choices(("yes", "no"), (9, 1))[0],
            type=rng.choice(("complaint", "question", "request")),
            urgency="normal",
            topic_id=appeal["topic_id"],
            needs_answer_confidence=0.9,
            top3=[],
            language="ru",
            why="модель",
            classified_by="model:test",
            created_at=appeal["opened_at"],
            updated_at=appeal["opened_at"],
        )
        self._writer.add(
            "appeal_messages", message_id=message["id"], appeal_id=appeal["id"], created_at=appeal["opened_at"]
        )

    def _add_reply(self, appeal: dict[str, Any], at: datetime, now: datetime, *, final: bool) -> dict[str, Any]:
        rng = self._random
        text = (
            rng.choice(self._texts) if rng.random() < 0.3 else f"Ответ на обращение {appeal['id']}: работы ведутся"
        )
        reply = self._writer.add(
            "replies",
            appeal_id=appeal["id"],
            origin=rng.choice(("gospablik", "network")),
            kind="final" if final else "interim",
            text=text,
            outcome=appeal["outcome"],
            status=rng.choices(("published", "withdrawn"), (97, 3))[0],
            author="person:test",
            published_at=at,
            attachment_ids=[appeal["id"]] if rng.random() < 0.2 else [],
            created_at=at,
            updated_at=at,
        )
        if reply["origin"] == "gospablik":
            codes = rng.sample(
                ("no_date", "no_contact", "off_topic", "officialese", "no_greeting"), rng.randrange(4)
            )
            for number, hints in ((1, None), (2, [{"code": code} for code in codes])):
                self._writer.add(
                    "reply_versions",
                    reply_id=reply["id"],
                    number=number,
                    kind=reply["kind"],
                    text=text,
                    author="person:test",
                    hints=hints,
                    created_at=at,
                    saved_at=at,
                )
        if not final:
            self._add_promise(appeal, reply, at, now)
        elif rng.random() < 0.4:
            self._add_feedback(appeal, reply, at, now)
        return reply

    def _add_promise(self, appeal: dict[str, Any], reply: dict[str, Any], at: datetime, now: datetime) -> None:
        promised = at + timedelta(days=self._random.randrange(1, 12))
        kept = self._random.choice(("kept", "moved", "broken"))
        self._writer.add(
            "promises",
            appeal_id=appeal["id"],
            organisation_id=appeal["organisation_id"],
            reply_id=reply["id"],
            promised_at=promised,
            made_at=at,
            status="open" if promised >= now else kept,
            created_at=at,
            updated_at=at,
        )

    def _add_feedback(self, appeal: dict[str, Any], reply: dict[str, Any], at: datetime, now: datetime) -> None:
        kind = self._random.choice(("thanks", "not_solved", "mark", "silence"))
        said = at + timedelta(hours=self._random.uniform(1, 120))
        if said >= now:
            return
        self._writer.add(
            "feedback_rounds",
            appeal_id=appeal["id"],
            reply_id=reply["id"],
            answered_at=at,
            silent_after=at + timedelta(days=5),
            kind=kind,
            mark=self._mark(kind),
            said_at=None if kind == "silence" else said,
            created_at=at,
            updated_at=at,
        )

    def _mark(self, kind: str) -> int | None:
        """Return a random mark of a feedback."""
        if kind == "mark":
            return self._random.randrange(4, 6)
        return self._random.randrange(1, 4) if kind == "not_solved" and self._random.random() < 0.5 else None
