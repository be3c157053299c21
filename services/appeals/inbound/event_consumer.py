"""Messages as ingest tells of them: received, edited, deleted. One batch of events is one transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, select

from services.appeals.classification.classifier_pool import judging
from services.appeals.classification.types import is_machine
from services.appeals.inbound.appeal_matching import Desk, Opening, Taken
from services.appeals.inbound.staff_replies import Handwritten, earlier_answers
from services.appeals.inbound.thread_context import Around, messages_query
from services.appeals.lifecycle.timeline import Journal
from services.appeals.replies import publication_events
from services.appeals.routing import repository
from services.appeals.routing.context import Reference
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, Triage
from shared.tables.common import Event
from shared.tables.ingest import Message

TYPES = ("message.received", "message.edited", "message.deleted")


async def handle_messages(session: WriteSession, events: Sequence[Event]) -> None:
    """Do what each event asks for, in order. Doing it again changes nothing."""
    ids = {event.subject_id for event in events}
    messages = {
        message.id: message
        for message in await session.scalars(messages_query().where(Message.id.in_(ids)))
        if not message.history
    }
    if not messages:
        return
    batch = await _Batch.load(session, list(messages.values()))
    steps = [(event, messages[event.subject_id]) for event in events if event.subject_id in messages]
    await batch.run(steps)


class _Batch:
    """One transaction's worth of events."""

    def __init__(
        self,
        session: WriteSession,
        around: Around,
        reference: Reference,
        desk: Desk,
        judged: dict[UUID, Row[UUID, str, str]],
    ) -> None:
        self._session = session
        self._around = around
        self._reference = reference
        self._desk = desk
        self._judged = judged
        self._journal = Journal()
        self._opening = Opening(session, reference, self._journal, desk)
        self._handwritten = Handwritten(session, reference, self._journal, desk)

    @staticmethod
    async def load(session: WriteSession, messages: list[Message]) -> "_Batch":
        around = await Around.load(session, messages)
        desk = await Desk.load(session, [*messages, *around.parents.values(), *around.posts.values()])
        organisations = {case.organisation_id for case in desk.cases.values() if case.organisation_id}
        reference = await Reference.load(session, {message.page_id for message in messages}, organisations)
        judged = await session.execute(
            select(Triage.message_id, Triage.judged_by, Triage.urgency).where(
                Triage.message_id.in_({message.id for message in messages})
            )
        )
        return _Batch(session, around, reference, desk, {row.message_id: row for row in judged})

    async def run(self, steps: Sequence[tuple[Event, Message]]) -> None:
        new = [(event, message) for event, message in steps if self._is_to_be_judged(event, message)]
        judged = await judging().judge([self._around.item(message) for _, message in new])
        taken = {
            event.id: Taken(message, found.judgement, found.by)
            for (event, message), found in zip(new, judged, strict=True)
        }
        await self._opening.open_for(list(taken.values()))
        await self._handwritten.load([message for _, message in steps])
        for event, message in steps:
            known = message.id in self._desk.by_message
            if event.type != "message.received":
                self._note_change(event, message)
            elif message.from_community:
                self._attach(message)
            if event.id in taken and known:
                self._reread(taken[event.id])
            elif event.id in taken:
                self._opening.take(taken[event.id])
        await self._look_back()
        await self._opening.finish()

    def _is_to_be_judged(self, event: Event, message: Message) -> bool:
        """New messages once; edited ones again, unless a person has decided about what belongs to no case.

        What its author took back before it came asks for nothing; what the community removed still does.
        """
        judged = self._judged.get(message.id)
        if message.from_community:
            return False
        if message.deleted_by == "author" and message.deleted_at and message.deleted_at <= message.received_at:
            return False
        if event.type == "message.received":
            return judged is None
        by_machine = judged is not None and is_machine(judged.judged_by)
        return event.type == "message.edited" and (by_machine or message.id in self._desk.by_message)

    def _reread(self, item: Taken) -> None:
        judged = self._judged.get(item.message.id)
        self._opening.reread(
            item,
            was_urgent=judged is not None and judged.urgency == "high",
            decided=judged is not None and not is_machine(judged.judged_by),
        )

    def _attach(self, message: Message) -> None:
        self._handwritten.attach(message, self._around.parents, self._around.citizens_posts())

    def _note_change(self, event: Event, message: Message) -> None:
        """The author or the community changed or removed words of a case: it is noted, and the case stays."""
        appeal_id = self._desk.by_message.get(message.id)
        appeal = self._desk.cases.get(appeal_id) if appeal_id else None
        if appeal is None:
            return
        appeal.updated_at = clock.now()
        if event.type == "message.edited":
            self._journal.note(appeal, "message_edited", message_id=str(message.id), version=message.version)
            if message.written_at == appeal.written_at and message.url == appeal.url:
                appeal.text = message.text
        else:
            deleted_by = event.data.get("deleted_by") or message.deleted_by
            self._journal.note(
                appeal,
                "message_deleted",
                message_id=str(message.id),
                deleted_by=deleted_by,
                before_answer=appeal.first_response_at is None,
            )

    async def _look_back(self) -> None:
        """Staff may have answered before we knew the question."""
        opened: list[Appeal] = list(self._opening.opened.values())
        if not opened:
            return
        earlier = await earlier_answers(self._session, opened)
        if not earlier:
            return
        around = await Around.load(self._session, earlier)
        await self._handwritten.load(earlier)
        for message in earlier:
            self._handwritten.attach(message, around.parents, around.citizens_posts())


async def handle(session: WriteSession, events: Sequence[Event]) -> None:
    """One batch: runs of messages together, publications one by one, in the order of the events."""
    if any(event.type in TYPES for event in events):
        await repository.keep_in_force(session)
    run: list[Event] = []
    about_messages = True
    for event in events:
        if (event.type in TYPES) != about_messages:
            await _flush(session, run, about_messages)
            run, about_messages = [], event.type in TYPES
        run.append(event)
    await _flush(session, run, about_messages)


async def _flush(session: WriteSession, run: Sequence[Event], about_messages: bool) -> None:
    if run and about_messages:
        await handle_messages(session, run)
    elif run:
        await publication_events.follow_publications(session, run)
