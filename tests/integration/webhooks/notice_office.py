"""An organisation whose people get notices: rows as registry and appeals write them, and the notices worker."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from services.webhooks.notices import preferences
from services.webhooks.notices.mail.claims import claim
from services.webhooks.notices.mail.leases import Claim
from services.webhooks.notices.mail.sender import MailServerState, NoticeSender
from services.webhooks.notices.reports.report_pdf import ReportPdfs
from services.webhooks.schemas.notices import AddressState
from services.webhooks.settings import WebhooksSettings, webhooks_settings
from shared import encryption
from shared.auth.rights import CENTRE_ROLES
from shared.clock import REGION_TIME_ZONE
from shared.tables.notices import NoticeSettings
from tests.support.service_under_test import insert_organisation

if TYPE_CHECKING:
    from tests.integration.webhooks.conftest import WebhooksHarness

# A Tuesday in working hours.
TUESDAY = datetime(2026, 3, 3, 10, 0, tzinfo=REGION_TIME_ZONE)
DUE = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=REGION_TIME_ZONE)


async def no_report(week: str, max_bytes: int) -> bytes:
    raise AssertionError(f"nobody published the report of {week}")


@dataclass
class Office:
    """One organisation with its people; letters go to the mail server on `port`."""

    harness: "WebhooksHarness"
    port: int
    organisation_id: UUID = field(default_factory=uuid4)
    state: MailServerState = field(default_factory=MailServerState)
    reports: ReportPdfs = field(default_factory=lambda: ReportPdfs(no_report, 10**7))

    @staticmethod
    async def open(harness: "WebhooksHarness", port: int, name: str = "Детский сад № 5") -> "Office":
        return Office(harness, port, await insert_organisation(harness.test_database, name=name))

    @property
    def settings(self) -> WebhooksSettings:
        return webhooks_settings().model_copy(
            update={
                "smtp_host": "127.0.0.1",
                "smtp_port": self.port,
                "smtp_tls": "none",
                "smtp_from": "noreply@example.ru",
                "smtp_bounce_address": "returned@example.ru",
                "smtp_timeout_seconds": 60.0,
                "smtp_letters_per_minute": 100_000,
                "front_end_url": "https://api.example.ru",
            }
        )

    def sender(self) -> NoticeSender:
        return NoticeSender(
            self.harness.database, self.settings, "https://api.example.ru", self.state, self.reports
        )

    async def claim(self) -> list[Claim]:
        """Lease the letters that are due now."""
        return await claim(self.harness.database, self.settings.encryption_keys, 10, self.reports)

    async def send(self) -> int:
        """Send the letters that are due now; return the number of attempts."""
        return await self.sender().send_due()

    async def fan_out(self) -> None:
        consumer = self.harness.app.service.consumers[1]
        while await consumer.process_batch(self.harness.database):
            pass

    async def emit(self, kind: str, appeal_id: UUID, *, actor: str = "appeals", **data: Any) -> None:
        """Write an event about an appeal of the office and create its notices."""
        await self.harness.emit(kind, self.organisation_id, subject_id=appeal_id, number=1024, **data)
        if actor != "appeals":
            await self.harness.sql("UPDATE events SET actor = $2 WHERE subject_id = $1", appeal_id, actor)
        await self.fan_out()

    async def person(
        self,
        role: str = "executor",
        *,
        organisation_id: UUID | None = None,
        address: str | None = "sadik5@example.ru",
        state: AddressState = AddressState.CONFIRMED,
        **choices: str,
    ) -> UUID:
        """Insert a person of the office with an address and choices; return the id."""
        person_id = uuid4()
        of_centre = role in CENTRE_ROLES
        await self.harness.sql(
            """INSERT INTO people (id, username, full_name, role, organisation_id, include_subordinates, active,
               version, created_at, updated_at)
               VALUES ($1::uuid, 'p' || $1::uuid, 'Цыренова Баирма', $2, $3, false, true, 1, now(), now())""",
            person_id,
            role,
            None if of_centre else organisation_id or self.organisation_id,
        )
        if address is not None or choices:
            async with self.harness.database.write() as session:
                sealed = encryption.encrypt(webhooks_settings().encryption_keys, address) if address else None
                session.add(
                    NoticeSettings(
                        person_id=person_id,
                        choices=choices,
                        urgent_at_any_hour=False,
                        address=sealed,
                        address_state=(state if address else AddressState.NONE).value,
                    )
                )
        return person_id

    async def appeal(self, **changes: Any) -> UUID:
        """Insert an appeal assigned to the office; return its id."""
        values: dict[str, Any] = {
            "status": "assigned",
            "organisation_id": self.organisation_id,
            "assignee_id": None,
            "urgency": "normal",
            "first_response_due_at": DUE,
        } | changes
        appeal_id = uuid4()
        names = ", ".join(values)
        places = ", ".join(f"${place}" for place in range(2, len(values) + 2))
        await self.harness.sql(
            f"""INSERT INTO appeals (id, version, transfers, returns, text, route, written_at, opened_at,
                created_at, updated_at, {names})
                VALUES ($1, 1, 0, 0, 'СЛОВА ГРАЖДАНИНА', '{{}}', now(), now(), now(), now(), {places})""",
            appeal_id,
            *values.values(),
        )
        return appeal_id

    async def reply(self, appeal_id: UUID, author: UUID, status: str = "draft") -> UUID:
        """Insert a reply to the appeal; return its id."""
        reply_id = uuid4()
        await self.harness.sql(
            """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, version, created_at,
               updated_at) VALUES ($1, $2, 'gospablik', 'final', 'ОТВЕТ', $3, $4, 1, now(), now())""",
            reply_id,
            appeal_id,
            status,
            str(author),
        )
        return reply_id

    async def note(self, appeal_id: UUID, **changes: Any) -> UUID:
        """Insert a note of the office on the appeal; return its id."""
        note_id = uuid4()
        await self.harness.sql(
            """INSERT INTO appeal_notes (id, appeal_id, organisation_id, author, visibility, text, mentions,
               version, created_at) VALUES ($1, $2, $3, 'x', 'organisation', 'ЗАМЕТКА', '{}', 1, now())""",
            note_id,
            appeal_id,
            self.organisation_id,
        )
        await self.change("appeal_notes", note_id, **changes)
        return note_id

    async def change(self, table: str, row_id: UUID, **values: Any) -> None:
        """Change columns of a row."""
        for name, value in values.items():
            await self.harness.sql(f"UPDATE {table} SET {name} = $2 WHERE id = $1", row_id, value)

    async def notices(self) -> list[dict[str, Any]]:
        """Return all notices, oldest first."""
        rows = await self.harness.sql("SELECT * FROM notices ORDER BY created_at, id")
        return [dict(row) | {"details": json.loads(row["details"])} for row in rows]

    async def outcomes(self) -> list[tuple[str, str | None]]:
        """Return status and reason of all notices, oldest first."""
        return [(notice["status"], notice["reason"]) for notice in await self.notices()]

    async def letters(self) -> list[dict[str, Any]]:
        """Return all letters, oldest first."""
        return [
            dict(row) for row in await self.harness.sql("SELECT * FROM notice_letters ORDER BY created_at, id")
        ]

    async def settings_of(self, person_id: UUID) -> NoticeSettings:
        async with self.harness.database.read() as session:
            return await preferences.get(session, person_id)
