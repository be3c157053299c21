"""Matching of messages to appeals: at most one open appeal per thread and author, under any concurrency.

The partial unique index `uq_appeals_open_thread` is the guard: appeals are inserted with ON CONFLICT DO NOTHING,
and the transaction that loses the race joins the winner's appeal. All that an author writes in the thread joins
the open appeal. A message within 30 days after the answer reopens it (`reopened`, or `triage` when the need is
unclear); after that, or once it is closed, a message opens a new one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select, tuple_

from services.appeals.classification import store
from services.appeals.classification.types import ClassificationResult
from services.appeals.lifecycle.actors import SYSTEM_ACTOR
from services.appeals.lifecycle.route_snapshot import returned_by_organisation, route_of
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import (
    assign,
    classification_fields,
    keep_in_triage,
    raise_urgency,
    record_first_assignment,
    record_reclassified,
    reopen,
)
from services.appeals.lifecycle.workflow import FINAL_STATUSES, status_after_message
from services.appeals.routing import engine
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared import clock
from shared.audit import recorder
from shared.contracts.appeal_events import AppealMessageAdded, AppealOpened
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.ids import new_id
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, AppealMessage
from shared.tables.ingest import Message

REOPEN_WINDOW = timedelta(days=30)
_TRIES = 3
# The columns that an insert sets: all but the number, which the database generates.
_DRAFTED = frozenset(column.key for column in Appeal.__table__.columns if column.key != "number")

ThreadAuthor = tuple[str, str]


def thread_author(message: Message) -> ThreadAuthor:
    """Return the thread and the author. A message without an author key is matched with nothing else."""
    return message.thread_key, message.author_key or f"message:{message.id}"


@dataclass(frozen=True)
class ClassifiedMessage:
    """A citizen's message with its classification and who made it.

    `assign_by_rules`: where an answer is due, the rules name the organisation; else the caller assigns it.
    """

    message: Message
    result: ClassificationResult
    classified_by: str
    actor: str = SYSTEM_ACTOR
    assign_by_rules: bool = True


@dataclass
class LockedAppeals:
    """The appeals that a batch of messages may touch, locked until the transaction ends."""

    appeals: dict[UUID, Appeal] = field(default_factory=dict)
    by_message: dict[UUID, UUID] = field(default_factory=dict)
    by_thread_author: dict[ThreadAuthor, Appeal] = field(default_factory=dict)

    @staticmethod
    async def load(session: WriteSession, messages: Collection[Message]) -> "LockedAppeals":
        """Lock the appeals of these messages, and the open or answered ones of their threads and authors."""
        locked = LockedAppeals()
        await locked.add(session, messages)
        return locked

    async def add(self, session: WriteSession, messages: Collection[Message]) -> None:
        """Lock the appeals that further messages may touch."""
        rows = await session.execute(
            select(AppealMessage.message_id, AppealMessage.appeal_id).where(
                AppealMessage.message_id.in_({message.id for message in messages})
            )
        )
        for message_id, appeal_id in rows:
            self.by_message[message_id] = appeal_id
        keys = {thread_author(message) for message in messages if not message.from_community}
        threads = {message.thread_key for message in messages}
        # One statement in id order: two batches that touch the same appeals wait instead of deadlocking.
        locked = await session.scalars(
            select(Appeal)
            .where(
                or_(
                    Appeal.id.in_(set(self.by_message.values())),
                    and_(Appeal.thread_key.in_(threads), Appeal.status.in_(OPEN_APPEAL_STATUSES)),
                    and_(Appeal.status == "answered", tuple_(Appeal.thread_key, Appeal.author_key).in_(keys)),
                )
            )
            .order_by(Appeal.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for appeal in locked:
            self.register(appeal)

    def register(self, appeal: Appeal) -> None:
        """Register a locked appeal; an open one is preferred to an answered one of the same thread and author."""
        self.appeals[appeal.id] = appeal
        if appeal.thread_key is None or appeal.author_key is None:
            return
        if appeal.status in FINAL_STATUSES:
            return
        key = (appeal.thread_key, appeal.author_key)
        present = self.by_thread_author.get(key)
        if present is None or present.status not in OPEN_APPEAL_STATUSES:
            self.by_thread_author[key] = appeal

    def appeal_for(self, key: ThreadAuthor) -> Appeal | None:
        """Return the appeal that a new message of this thread and author belongs to."""
        appeal = self.by_thread_author.get(key)
        if appeal is None or appeal.status in FINAL_STATUSES:
            return None
        if appeal.status == "answered" and clock.now() - appeal.updated_at > REOPEN_WINDOW:
            return None
        return appeal

    def in_thread(self, thread_key: str) -> list[Appeal]:
        """Return the open appeals of a thread."""
        return [
            appeal
            for appeal in self.appeals.values()
            if appeal.thread_key == thread_key and appeal.status in OPEN_APPEAL_STATUSES
        ]


class AppealMatcher:
    """Opens and joins appeals in one transaction; `write` stores links and classifications."""

    def __init__(
        self,
        session: WriteSession,
        routing_context: RoutingContext,
        recorder: AppealRecorder,
        locked: LockedAppeals,
    ) -> None:
        self._session = session
        self._routing_context = routing_context
        self._recorder = recorder
        self.locked = locked
        self.opened: dict[UUID, Appeal] = {}
        self._pending: set[UUID] = set()
        self._links: list[dict[str, Any]] = []
        self._results: dict[UUID, dict[str, Any]] = {}

    async def open_missing(self, items: Sequence[ClassifiedMessage]) -> None:
        """Insert an appeal for each first message that needs one.

        Call `match` for every item afterwards, in order.
        """
        missing: dict[ThreadAuthor, ClassifiedMessage] = {}
        for item in items:
            key = thread_author(item.message)
            if (
                item.result.needs_answer != "no"
                and key not in missing
                and item.message.id not in self.locked.by_message
                and self.locked.appeal_for(key) is None
            ):
                missing[key] = item
        for _ in range(_TRIES):
            if not missing:
                break
            drafts = [self._draft(missing[key], key) for key in sorted(missing)]
            new = await self._insert(drafts)
            for appeal in new:
                item = missing.pop((appeal.thread_key or "", appeal.author_key or ""))
                self.opened[item.message.id] = appeal
                self._pending.add(appeal.id)
                self.locked.register(appeal)
            await recorder.record(self._session, Appeal, (recorder.inserted(appeal) for appeal in new))
            # The other inserts lost the race to appeals that are committed by now: join those, unless they ended
            # meanwhile.
            if missing:
                await self.locked.add(self._session, [item.message for item in missing.values()])
                missing = {key: item for key, item in missing.items() if self.locked.appeal_for(key) is None}
        if missing:
            raise Conflict("The appeals of this thread are changing; try again")

    async def _insert(self, drafts: Sequence[Appeal]) -> list[Appeal]:
        """Insert appeals, skipping those whose thread and author have an open one; returns the inserted, in
        order.
        """
        rows = [{name: value for name, value in vars(draft).items() if name in _DRAFTED} for draft in drafts]
        inserted = {appeal.id: appeal for appeal in await insert_missing(self._session, Appeal, rows)}
        return [inserted[draft.id] for draft in drafts if draft.id in inserted]

    def _draft(self, item: ClassifiedMessage, key: ThreadAuthor) -> Appeal:
        message, result = item.message, item.result
        topic_id = self._routing_context.topic_id(result)
        route = self._routing_context.route_message(message.page_id, result)
        now = clock.now()
        appeal = Appeal(
            id=new_id(), version=1, urgency=result.urgency, outcome=None, topic_id=topic_id, url=message.url,
            page_id=message.page_id, network=message.network, thread_key=key[0], author_key=key[1],
            text=message.text, written_at=message.written_at, opened_at=message.received_at, created_at=now,
            updated_at=now, municipality=self._routing_context.municipality_code(result),
            settlement=result.settlement, street=result.street, house=result.house,
            utility_failure=result.utility_failure, language=result.language,
            transfers=0, returns=0,
        )  # fmt: skip
        if result.needs_answer == "yes" and item.assign_by_rules and route.organisation_id is not None:
            appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", route.organisation_id, now
            appeal.route = route.to_snapshot().dump()
            clocks.start_first_response_clock(
                appeal, self._routing_context.policies, self._routing_context.calendar(appeal.organisation_id)
            )
        else:
            appeal.status = "triage"
            appeal.route = route.to_triage_snapshot(engine.unclear_need_reason(result)).dump()
        attributes = vars(appeal)
        for name in _DRAFTED:
            attributes.setdefault(name, None)
        return appeal

    def match(self, item: ClassifiedMessage) -> Appeal | None:
        """Match one message; returns its appeal, or None when it needs none."""
        message = item.message
        self._store_result(item)
        if message.id in self.locked.by_message:
            return self.locked.appeals.get(self.locked.by_message[message.id])
        if (appeal := self.opened.get(message.id)) is not None:
            self._pending.discard(appeal.id)
            self._link(appeal, message)
            self._record_opened(appeal, item)
            return appeal
        existing = self.locked.appeal_for(thread_author(message))
        # An appeal opened by a later message of this batch must not take an earlier one.
        if existing is None or existing.id in self._pending:
            return None
        self._join(existing, item)
        return existing

    def reclassify(self, item: ClassifiedMessage, *, was_urgent: bool, decided: bool) -> None:
        """Apply the new classification of an edited message: raise new danger, and resolve an unclear appeal.

        Other fields of the appeal do not change, and the urgency never falls. `decided`: a person has classified
        the former text; then only an alert is raised.
        """
        appeal = self.locked.appeals[self.locked.by_message[item.message.id]]
        before = classification_fields(appeal)
        if not decided:
            self._store_result(item)
        if not was_urgent:
            self._raise_urgency(appeal, item, only_alert=decided or appeal.status in FINAL_STATUSES)
        if not decided and appeal.status == "triage" and item.result.needs_answer == "yes":
            self._resolve_triage(appeal, item)
        record_reclassified(self._recorder, appeal, before, item.actor)

    def _record_opened(self, appeal: Appeal, item: ClassifiedMessage) -> None:
        self._recorder.add_timeline_entry(
            appeal,
            "opened",
            item.actor,
            message_id=str(item.message.id),
            why=item.result.why,
            status=appeal.status,
        )
        self._recorder.add_event(AppealOpened(**event_snapshot(appeal), message_id=item.message.id), item.actor)
        if appeal.urgency == "high":
            self._recorder.add_alert("urgent", appeal, item.result.why)
        if appeal.status == "assigned":
            record_first_assignment(self._recorder, appeal, item.actor)

    def _join(self, appeal: Appeal, item: ClassifiedMessage) -> None:
        message, result = item.message, item.result
        before = classification_fields(appeal)
        self._link(appeal, message)
        appeal.updated_at = clock.now()
        # The later message may be the one that names the utility failure, so clustering has to handle the appeal
        # again.
        appeal.utility_failure = appeal.utility_failure or result.utility_failure
        self._recorder.add_timeline_entry(
            appeal, "message_added", item.actor, message_id=str(message.id), needs_answer=result.needs_answer
        )
        self._recorder.add_event(AppealMessageAdded(**event_snapshot(appeal), message_id=message.id), item.actor)
        self._raise_urgency(appeal, item)
        if appeal.status == "triage" and result.needs_answer == "yes":
            self._resolve_triage(appeal, item)
        elif (after := status_after_message(appeal.status, result.needs_answer)) != appeal.status:
            reopen(appeal, after, self._routing_context, self._recorder, item.actor, message=message)
            if appeal.status == "triage":
                waiting = route_of(appeal).updated(triage_reason=engine.unclear_need_reason(result))
                appeal.route = waiting.dump()
        record_reclassified(self._recorder, appeal, before, item.actor)

    def _raise_urgency(self, appeal: Appeal, item: ClassifiedMessage, *, only_alert: bool = False) -> None:
        """Make the appeal urgent, or alert, when one of its messages reports danger.

        Called before routing, because rules may depend on the urgency.
        """
        result = item.result
        if result.urgency != "high" or result.needs_answer == "no":
            return
        if only_alert or appeal.urgency == "high":
            self._recorder.add_alert("urgent", appeal, result.why)
        else:
            raise_urgency(appeal, self._routing_context, self._recorder, item.actor, why=result.why)

    def _resolve_triage(self, appeal: Appeal, item: ClassifiedMessage) -> None:
        """Use a clear message to decide about an unclear appeal; one that was returned waits for a person."""
        result = item.result
        message_route = self._routing_context.route_message(appeal.page_id, result)
        if appeal.topic_id is None:
            appeal.topic_id = self._routing_context.topic_id(result)
            read = route_of(appeal).updated(topic=message_route.topic, why=message_route.why)
            appeal.route = read.dump()
        if appeal.municipality is None:
            appeal.municipality, appeal.settlement = (
                self._routing_context.municipality_code(result),
                result.settlement,
            )
            appeal.street, appeal.house = result.street, result.house
        route = self._routing_context.route_appeal(appeal)
        organisation_id = appeal.organisation_id or route.organisation_id
        if organisation_id is not None and item.assign_by_rules and returned_by_organisation(appeal) is None:
            assign(
                appeal,
                organisation_id,
                self._routing_context,
                self._recorder,
                item.actor,
                route=route.to_snapshot(),
            )
        else:
            keep_in_triage(appeal, route)

    def _link(self, appeal: Appeal, message: Message) -> None:
        self.locked.by_message[message.id] = appeal.id
        self._links.append({"message_id": message.id, "appeal_id": appeal.id})

    def _store_result(self, item: ClassifiedMessage) -> None:
        result, now = item.result, clock.now()
        self._results[item.message.id] = {
            "message_id": item.message.id,
            "needs_answer": result.needs_answer,
            "type": result.type,
            "urgency": result.urgency,
            "topic_id": self._routing_context.topic_id(result),
            "needs_answer_confidence": result.needs_answer_confidence,
            "topic_confidence": result.topic_confidence,
            "top3": [
                {"topic_id": str(self._routing_context.topic_ids[code]), "confidence": probability}
                for code, probability in result.topic_candidates
                if code in self._routing_context.topic_ids
            ],
            "municipality": self._routing_context.municipality_code(result),
            "settlement": result.settlement,
            "street": result.street,
            "house": result.house,
            "location_source": result.location_source,
            "language": result.language,
            "utility_failure": result.utility_failure,
            "why": result.why,
            "classified_by": item.classified_by,
            "created_at": now,
            "updated_at": now,
        }

    async def write(self) -> None:
        """Write links, classifications, timeline and events."""
        await self._session.flush()
        # The database's clock, under the lock of the appeals: replies are compared with this value.
        await insert_rows(self._session, AppealMessage, self._links, created_at=func.clock_timestamp())
        await store.store_classifications(self._session, self._results)
        await self._recorder.write(self._session)
        self._links, self._results = [], {}


def only_one(items: Iterable[Appeal]) -> Appeal | None:
    """Return the only item, or None when there are none or several."""
    values = list(items)
    return values[0] if len(values) == 1 else None
