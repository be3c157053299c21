"""Consumer of message events (received, edited, deleted, restored) and publication events; one batch is one
transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, tuple_

from services.appeals.answers.later_messages import reopen_after_staff_reply
from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.types import is_automatic
from services.appeals.feedback.feedback_reading import read_feedback
from services.appeals.inbound.appeal_matching import AppealMatcher
from services.appeals.inbound.locked_appeals import LockedAppeals
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.staff_replies import StaffReplyMatcher, find_earlier_staff_replies
from services.appeals.inbound.staff_reply_changes import follow_message, may_change_reply
from services.appeals.inbound.thread_context import ThreadContext
from services.appeals.lifecycle.erasure_lock import lock_reading
from services.appeals.lifecycle.message_queries import select_messages
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.promises.promise_lifecycle import apply_reply_to_promises
from services.appeals.publication import publication_events
from services.appeals.routing import repository
from services.appeals.routing.context import RoutingContext
from services.appeals.settings import settings
from shared import clock
from shared.contracts.ingest_events import MessageDeleted, MessageEdited, MessageReceived, MessageRestored
from shared.contracts.notice_codes import read_code
from shared.contracts.stored_events import parse_event
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Classification
from shared.tables.common import Event
from shared.tables.ingest import Message
from shared.tables.registry import Page

MESSAGE_EVENT_TYPES = ("message.received", "message.edited", "message.deleted", "message.restored")


async def handle_message_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Handle the message events in order. Idempotent."""
    ids = {event.subject_id for event in events}
    messages = {
        message.id: message
        for message in await session.scalars(select_messages().where(is_one_of(Message.id, ids)))
        if not message.history and (message.erased_at is None or message.from_community)
    }
    codes = await _codes_of_colleagues(session, messages.values())
    steps = [
        (event, messages[event.subject_id])
        for event in events
        if event.subject_id in messages
        and not (event.type == MessageReceived.event_type and event.subject_id in codes)
        # Restored messages of citizens have not left their appeals.
        and not (event.type == MessageRestored.event_type and not messages[event.subject_id].from_community)
    ]
    for part in _divided(steps):
        if may_change_reply(*part[0]):
            await follow_message(session, *part[0])
            continue
        batch = await _MessageBatch.load(session, list({message.id: message for _, message in part}.values()))
        await batch.run(part)


async def _codes_of_colleagues(session: WriteSession, messages: Iterable[Message]) -> set[UUID]:
    """Return the ids of messages with a code by which colleagues link an account for notices: they are not
    appeals.
    """
    named = settings().notices_pages
    written = [
        message
        for message in messages
        if named and not message.attachments and read_code(message.kind, message.text) is not None
    ]
    if not written:
        return set()
    pages = set(await session.scalars(select(Page.id).where(tuple_(Page.network, Page.external_id).in_(named))))
    return {message.id for message in written if message.page_id in pages}


def _divided(steps: Sequence[tuple[Event, Message]]) -> list[list[tuple[Event, Message]]]:
    """Split the steps before each message that may be feedback on an answer and follows a staff message in its
    thread: the staff message must be handled first, because it may be the answer. A change of a staff message is a
    part of its own.
    """
    parts: list[list[tuple[Event, Message]]] = [[]]
    threads: set[str] = set()
    for event, message in steps:
        if may_change_reply(event, message):
            parts += [[(event, message)], []]
            threads.clear()
            continue
        if message.from_community:
            threads.add(message.thread_key)
        elif message.thread_key in threads and read_feedback(message.text) is not None:
            parts.append([])
            threads.clear()
        parts[-1].append((event, message))
    return [part for part in parts if part]


class _MessageBatch:
    """Handles the message events of one transaction."""

    def __init__(
        self,
        session: WriteSession,
        thread_context: ThreadContext,
        routing_context: RoutingContext,
        locked: LockedAppeals,
        classifications: dict[UUID, Row[UUID, str, str]],
    ) -> None:
        self._session = session
        self._context = thread_context
        self._routing_context = routing_context
        self._locked = locked
        self._known = classifications
        self._recorder = AppealRecorder()
        self._matcher = AppealMatcher(session, routing_context, self._recorder, locked)
        self._staff_replies = StaffReplyMatcher(session, routing_context, self._recorder, locked)

    @staticmethod
    async def load(session: WriteSession, messages: list[Message]) -> "_MessageBatch":
        thread_context = await ThreadContext.load(session, messages)
        locked = await LockedAppeals.load(
            session, [*messages, *thread_context.parents.values(), *thread_context.posts.values()]
        )
        routing_context = await RoutingContext.load(
            session, {message.page_id for message in messages} | locked.page_ids(), locked.organisation_ids()
        )
        classifications = await session.execute(
            select(Classification.message_id, Classification.classified_by, Classification.urgency).where(
                is_one_of(Classification.message_id, {message.id for message in messages})
            )
        )
        return _MessageBatch(
            session, thread_context, routing_context, locked, {row.message_id: row for row in classifications}
        )

    async def run(self, steps: Sequence[tuple[Event, Message]]) -> None:
        new = [(event, message) for event, message in steps if self._needs_classification(event, message)]
        inputs = [self._context.classifier_input(message) for _, message in new]
        outcomes = await classifier_pool().classify(inputs)
        classified = {
            event.id: ClassifiedMessage(
                message,
                found.result,
                found.classified_by,
                context=context,
                parent=self._context.parent_of(message),
            )
            for (event, message), (_, context), found in zip(new, inputs, outcomes, strict=True)
        }
        decided = await self._store_results(classified.values())
        await self._matcher.place([item for item in classified.values() if item.message.id not in decided])
        await self._staff_replies.load([message for _, message in steps])
        for event, message in steps:
            is_known = message.id in self._locked.by_message
            if event.type != "message.received":
                self._record_change(event, message)
            elif message.from_community:
                self._attach_staff_reply(message)
            item = classified.get(event.id)
            if item is not None and message.id in decided:
                if is_known and event.type == MessageEdited.event_type:
                    self._reclassify_edited(item, decided=True)
            elif item is not None and is_known:
                self._reclassify_edited(item, decided=False)
            elif item is not None:
                self._matcher.match(item)
        await self._attach_earlier_staff_replies()
        await self._matcher.write()
        for appeal, reply in self._staff_replies.answered:
            await apply_reply_to_promises(self._session, appeal, reply, self._recorder)
            await reopen_after_staff_reply(self._session, appeal, reply, self._routing_context.sla, self._recorder)
        if self._staff_replies.answered:
            await self._recorder.write(self._session)

    def _needs_classification(self, event: Event, message: Message) -> bool:
        """Return whether the event's message needs a classification.

        New messages are classified once. Edited messages are classified again, unless a person has classified a
        message that belongs to no appeal. A message that its author deleted before it was received is not
        classified; a message removed by the community is.
        """
        known = self._known.get(message.id)
        if message.from_community:
            return False
        if message.deleted_by == "author" and message.deleted_at and message.deleted_at <= message.received_at:
            return False
        if event.type == "message.received":
            return known is None
        by_classifier = known is not None and is_automatic(known.classified_by)
        return event.type == "message.edited" and (by_classifier or message.id in self._locked.by_message)

    async def _store_results(self, items: Collection[ClassifiedMessage]) -> set[UUID]:
        """Write the classifications; return the messages that a person has decided about, even while the
        classifier was running. The appeals that these decisions opened or joined are locked.
        """
        written = await self._matcher.store_results(items)
        decided = {item.message.id: item.message for item in items if item.message.id not in written}
        unknown = [message for message in decided.values() if message.id not in self._locked.by_message]
        if unknown:
            await self._locked.add(self._session, unknown)
            await self._routing_context.sla.calendars.add(self._session, self._locked.organisation_ids())
        return set(decided)

    def _reclassify_edited(self, item: ClassifiedMessage, *, decided: bool) -> None:
        known = self._known.get(item.message.id)
        was_urgent = known is not None and known.urgency == "high"
        self._matcher.reclassify(item, was_urgent=was_urgent, decided=decided)

    def _attach_staff_reply(self, message: Message) -> None:
        self._staff_replies.attach(message, self._context.parents, self._context.citizen_posts())

    def _record_change(self, event: Event, message: Message) -> None:
        """Record that the author or the community edited or deleted a message of an appeal. The appeal stays."""
        appeal_id = self._locked.by_message.get(message.id)
        appeal = self._locked.appeals.get(appeal_id) if appeal_id else None
        if appeal is None:
            return
        appeal.updated_at = clock.now()
        data = parse_event(event)
        if isinstance(data, MessageEdited):
            feedback = self._matcher.feedback_after_edit(message)
            said: dict[str, Any] = {"feedback": feedback} if feedback is not None else {}
            self._recorder.add_timeline_entry(
                appeal, "message_edited", message_id=str(message.id), version=message.version, **said
            )
            if message.written_at == appeal.written_at and message.url == appeal.url:
                appeal.text = message.text
        elif isinstance(data, MessageDeleted):
            self._recorder.add_timeline_entry(
                appeal,
                "message_deleted",
                message_id=str(message.id),
                deleted_by=data.deleted_by,
                before_answer=appeal.first_response_at is None,
            )

    async def _attach_earlier_staff_replies(self) -> None:
        """Attach staff replies that were received before the messages that they answer."""
        opened: list[Appeal] = list(self._matcher.opened.values())
        if not opened:
            return
        earlier = await find_earlier_staff_replies(self._session, opened)
        if not earlier:
            return
        thread_context = await ThreadContext.load(self._session, earlier)
        await self._staff_replies.load(earlier)
        for message in earlier:
            self._staff_replies.attach(message, thread_context.parents, thread_context.citizen_posts())


async def handle_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Handle a batch of events in order: consecutive message events together, publication events one by one."""
    await lock_reading(session)
    if any(event.type in MESSAGE_EVENT_TYPES for event in events):
        await repository.lock_active_set_shared(session)
    run: list[Event] = []
    about_messages = True
    for event in events:
        if (event.type in MESSAGE_EVENT_TYPES) != about_messages:
            await _flush(session, run, about_messages)
            run, about_messages = [], event.type in MESSAGE_EVENT_TYPES
        run.append(event)
    await _flush(session, run, about_messages)


async def _flush(session: WriteSession, run: Sequence[Event], about_messages: bool) -> None:
    if run and about_messages:
        await handle_message_events(session, run)
    elif run:
        await publication_events.handle_publication_events(session, run)
