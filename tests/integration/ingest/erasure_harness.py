"""Helpers for tests of erasures: the intake, the API and the erasure job of ingest."""

from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

from services.appeals.erasure.appeal_rows import erase_appeals
from services.appeals.erasure.quotations import erase_quotations
from services.appeals.erasure.reply_links import erase_reply_links
from services.ingest.erasure.runner import ErasureRunner
from services.ingest.networks.port import Author, IncomingItem
from services.metrics.grading.erasure import erase_grades
from services.webhooks.deliveries.erasure import erase_deliveries
from shared.contracts.erasures import (
    DeliveriesErased,
    EraseAuthor,
    EraseDeliveries,
    EraseGrades,
    EraseQuotations,
    GradesErased,
    QuotationsErased,
)
from shared.database.sessions import Database
from shared.service_client import ServiceRejected, ServiceUnavailable
from tests.conftest import TestDatabase
from tests.integration.ingest.ingest_harness import IngestHarness

NATIVE_ID = "1500177734"

WORDS = "Бармаглот варкалось хливкие шорьки"

CONVERSATION = f"101_{NATIVE_ID}"

# The identity that the network sends with the person's messages.
CITIZEN = Author(native_id=NATIVE_ID, name="Мурзилка Перепёлкина", url=f"https://vk.com/id{NATIVE_ID}")

BODY = {"ground": "request_of_the_person", "reference": "вх. 17"}


@dataclass
class OtherServices:
    """Appeals, webhooks and metrics without HTTP: each request runs in a transaction with its service's role."""

    database: TestDatabase
    failing: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    # Appeals is of a former release, which does not know a field of the command `quotations`.
    is_former: bool = False
    quotations: list[EraseQuotations] = field(default_factory=list)
    delivery_subjects: list[str] = field(default_factory=list)

    @property
    def unlinked(self) -> dict[UUID, list[str]]:
        """Return the numbers of the people whose links appeals was to remove, by reply id."""
        return {reply: people for command in self.quotations for reply, people in command.replies.items()}

    @property
    def taken_over(self) -> set[UUID]:
        """Return the messages whose texts appeals was to take over."""
        return {one for command in self.quotations for one in command.message_ids}

    async def post(self, callee: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Handle an erasure request as the called service does."""
        assert path.removeprefix("/internal/erasures/") in {
            "appeals",
            "quotations",
            "deliveries",
            "grades",
        }
        self.commands.append("appeals/quotations" if path.endswith("/quotations") else callee)
        name = path.rpartition("/")[2]
        # Both kinds of the command `quotations` may fail, or one.
        kind = "replies" if body.get("replies") else "messages"
        if self.failing & {callee, name, *((kind,) if name == "quotations" else ())}:
            raise ServiceUnavailable(f"{callee} responded with status 503")
        if self.is_former and name == "quotations":
            raise ServiceRejected(422, {"detail": "replies: extra fields are forbidden"})
        database = Database(self.database.url(callee), 1, name=callee)
        try:
            async with database.write() as session:
                if path.endswith("/quotations"):
                    command = EraseQuotations.model_validate(body)
                    ids = await erase_quotations(session, command.message_ids)
                    await erase_reply_links(session, command.replies)
                    self.quotations.append(command)
                    return QuotationsErased(appeal_ids=ids).model_dump(mode="json")
                if callee == "appeals":
                    erased = await erase_appeals(session, EraseAuthor.model_validate(body))
                    return erased.model_dump(mode="json")
                if callee == "metrics":
                    answers = await erase_grades(session, EraseGrades.model_validate(body).appeal_ids)
                    return GradesErased(answers=answers).model_dump(mode="json")
                subjects = EraseDeliveries.model_validate(body).subject_ids
                self.delivery_subjects += map(str, subjects)
                return DeliveriesErased(deliveries=await erase_deliveries(session, subjects)).model_dump(
                    mode="json"
                )
        finally:
            await database.close()


@dataclass
class ErasureHarness:
    """The intake and the API of ingest, and the erasure job."""

    ingest: IngestHarness
    others: OtherServices
    key: str

    def comment(self, text: str | None = WORDS, **changes: Any) -> IncomingItem:
        """Return a comment of the citizen, not yet stored."""
        return self.ingest.item(
            text, **({"author": CITIZEN, "raw": {"from_id": NATIVE_ID, "text": text}} | changes)
        )

    def direct_message(self, text: str | None = WORDS, number: int = 1, **changes: Any) -> IncomingItem:
        """Return a direct message of the citizen, not yet stored."""
        values: dict[str, Any] = {
            "kind": "message",
            "external_id": f"{CONVERSATION}_{number}",
            "thread_key": f"vk:{CONVERSATION}",
            "url": f"https://vk.com/gim101?sel={NATIVE_ID}",
        }
        return self.comment(text, **(values | changes))

    async def request(self, role: str = "moderator", key: str | None = None, **headers: str) -> Any:
        """Request the erasure of the citizen; return the response."""
        return await self.ingest.ingest.client.post(
            f"/api/v1/authors/{key or self.key}/erasure",
            json=BODY,
            headers=self.ingest.ingest.headers(role, **headers),
        )

    async def read_by_appeals(self) -> None:
        """Advance the consumer of appeals past all events so far."""
        connection = self.ingest.raw_connection
        last = "coalesce((SELECT max(position) FROM events), 0)"
        await connection.execute(
            f"UPDATE events e SET position = n.number + {last} FROM ("
            " SELECT id, row_number() OVER (ORDER BY write_order, id) AS number FROM events WHERE position IS NULL"
            ") n WHERE n.id = e.id"
        )
        await connection.execute(
            "INSERT INTO appeals_consumer_offsets (consumer, position)"
            f" SELECT 'appeals', {last}"
            " ON CONFLICT (consumer) DO UPDATE SET position = excluded.position"
        )

    async def run(self, erasure_id: str, *, is_read_by_appeals: bool = True, is_indexed: bool = True) -> None:
        """Run the job of an erasure once; by default appeals has read all messages, and all are indexed."""
        if is_indexed:
            await self.ingest.raw_connection.execute("DELETE FROM unindexed_messages")
        if is_read_by_appeals:
            await self.read_by_appeals()
        service = self.ingest.ingest.service
        with mock.patch.object(service, "client", return_value=self.others):
            await ErasureRunner(service).run(UUID(erasure_id))

    async def erase(self) -> dict[str, Any]:
        """Request the erasure of the citizen and run its job; return the erasure."""
        answer = await self.request()
        assert answer.status_code == 202, answer.text
        await self.run(answer.json()["id"])
        return await self.record(answer.json()["id"])

    async def record(self, erasure_id: str) -> dict[str, Any]:
        """Return an erasure as the API shows it."""
        answer = await self.ingest.ingest.client.get(
            f"/api/v1/erasures/{erasure_id}", headers=self.ingest.ingest.headers("moderator")
        )
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    async def dump(self) -> str:
        """Return all rows of all tables as text."""
        connection = await self.others.database.connect("gospablik_owner")
        try:
            tables = await connection.fetch(
                "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            rows = [
                row[0]
                for table in tables
                for row in await connection.fetch(f"SELECT t::text FROM {table['name']} t")
            ]
            return "\n".join(rows)
        finally:
            await connection.close()

    async def found(self) -> list[str]:
        """Return the words and ids of the citizen that the database still contains."""
        dump = await self.dump()
        return [one for one in (*WORDS.split(), NATIVE_ID, self.key, "Перепёлкина") if one in dump]


async def write_everything(harness: ErasureHarness) -> None:
    """Store messages of the citizen of every kind, and replies of the page's staff."""
    await harness.ingest.take(harness.comment())
    await harness.ingest.take(harness.comment("Бармаглот исправлен", change="edited", raw={"from_id": NATIVE_ID}))
    await harness.ingest.take(harness.direct_message())
    await harness.ingest.take(
        harness.direct_message(
            "Ответ: хливкие шорьки", 2, author=None, from_community=True, raw={"peer": NATIVE_ID}
        ),
        harness.ingest.item(
            "[id1500177734|Мурзилка], варкалось!",
            external_id="-101_8",
            author=None,
            from_community=True,
            reply_to="-101_7",
            raw={"reply_to_user": NATIVE_ID},
        ),
        harness.ingest.item(
            "Чужие слова", external_id="-101_9", reply_to="-101_7", raw={"reply_to_user": int(NATIVE_ID)}
        ),
    )


async def insert_publication(harness: ErasureHarness, status: str) -> UUID:
    """Request a reply to the citizen's direct message and set its status; return the publication's id."""
    answer = await harness.ingest.ingest.client.post(
        "/internal/publications",
        json={
            "reply_id": str(uuid4()),
            "message_id": str((await harness.ingest.row(f"{CONVERSATION}_1"))["id"]),
            "text": f"Шорьки {status}",
            "on_behalf_of": "someone",
        },
        headers=harness.ingest.ingest.service_headers("appeals"),
    )
    assert answer.status_code == 201, answer.text
    await harness.ingest.raw_connection.execute(
        "UPDATE publications SET status = $2, sending_since = now() WHERE id = $1",
        UUID(answer.json()["id"]),
        status,
    )
    return UUID(answer.json()["id"])
