"""A message opens a case or joins one: one open case per thread and author, however many work at once.

The partial unique index `uq_appeals_open_thread` is the guard: cases are inserted with ON CONFLICT DO NOTHING,
and who loses the race joins the winner's case. While a case is open, all that its author writes in the thread
joins it. A message after the answer wakes the case (`reopened`, or `triage` when it is not clear) for 30 days;
after that, or once the case is closed, it opens a new one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select, tuple_
from sqlalchemy.orm import make_transient_to_detached

from services.appeals.classification import store
from services.appeals.classification.types import Judgement
from services.appeals.lifecycle.actors import SYSTEM
from services.appeals.lifecycle.route_snapshot import gave_back
from services.appeals.lifecycle.timeline import Journal
from services.appeals.lifecycle.transitions import (
    accept,
    class_of,
    keep_waiting,
    raise_urgency,
    tell_first_owner,
    tell_reclassified,
    wake,
)
from services.appeals.lifecycle.workflow import ENDED, after_message
from services.appeals.routing import engine
from services.appeals.routing.context import Reference
from services.appeals.sla import clocks
from shared import clock
from shared.audit import recorder
from shared.database.bulk_insert import insert_into, insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.ids import new_id
from shared.tables.appeals import OPEN_STATUSES, Appeal, AppealMessage
from shared.tables.ingest import Message

REOPENS_WITHIN = timedelta(days=30)
_TRIES = 3
# What a new case is written with: all but the number, which the database gives.
_DRAFTED = frozenset(column.key for column in Appeal.__table__.columns if column.key != "number")

Key = tuple[str, str]


def key_of(message: Message) -> Key:
    """Thread and author. A message whose author is hidden stands for itself."""
    return message.thread_key, message.author_key or f"message:{message.id}"


@dataclass(frozen=True)
class Taken:
    """A citizen's message with what was judged of it, and by whom.

    `settles`: where an answer is due, the case gets the owner that the rules name; else the caller gives it one.
    """

    message: Message
    judgement: Judgement
    judged_by: str
    actor: str = SYSTEM
    settles: bool = True


@dataclass
class Desk:
    """The cases that a batch of messages may touch, locked until the transaction ends."""

    cases: dict[UUID, Appeal] = field(default_factory=dict)
    by_message: dict[UUID, UUID] = field(default_factory=dict)
    by_key: dict[Key, Appeal] = field(default_factory=dict)

    @staticmethod
    async def load(session: WriteSession, messages: Collection[Message]) -> "Desk":
        """Lock the cases of these messages, and the open or answered ones of their threads and authors."""
        desk = Desk()
        await desk.add(session, messages)
        return desk

    async def add(self, session: WriteSession, messages: Collection[Message]) -> None:
        """Lock what more messages may touch."""
        found = await session.execute(
            select(AppealMessage.message_id, AppealMessage.appeal_id).where(
                AppealMessage.message_id.in_({message.id for message in messages})
            )
        )
        for message_id, appeal_id in found:
            self.by_message[message_id] = appeal_id
        keys = {key_of(message) for message in messages if not message.from_community}
        threads = {message.thread_key for message in messages}
        # One statement in one order: two batches that touch the same cases wait, never deadlock.
        locked = await session.scalars(
            select(Appeal)
            .where(
                or_(
                    Appeal.id.in_(set(self.by_message.values())),
                    and_(Appeal.thread_key.in_(threads), Appeal.status.in_(OPEN_STATUSES)),
                    and_(Appeal.status == "answered", tuple_(Appeal.thread_key, Appeal.author_key).in_(keys)),
                )
            )
            .order_by(Appeal.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        for appeal in locked:
            self.put(appeal)

    def put(self, appeal: Appeal) -> None:
        """Remember a locked case; an open one stands before an answered one of the same key."""
        self.cases[appeal.id] = appeal
        if appeal.thread_key is None or appeal.author_key is None:
            return
        if appeal.status in ENDED:
            return
        key = (appeal.thread_key, appeal.author_key)
        present = self.by_key.get(key)
        if present is None or present.status not in OPEN_STATUSES:
            self.by_key[key] = appeal

    def case_for(self, key: Key) -> Appeal | None:
        """The case that a new message of this thread and author belongs to."""
        appeal = self.by_key.get(key)
        if appeal is None or appeal.status in ENDED:
            return None
        if appeal.status == "answered" and clock.now() - appeal.updated_at > REOPENS_WITHIN:
            return None
        return appeal

    def in_thread(self, thread_key: str) -> list[Appeal]:
        """Open cases of a thread."""
        return [
            appeal
            for appeal in self.cases.values()
            if appeal.thread_key == thread_key and appeal.status in OPEN_STATUSES
        ]


class Opening:
    """Opens and joins cases in one transaction; `finish` stores links and judgements."""

    def __init__(self, session: WriteSession, reference: Reference, journal: Journal, desk: Desk) -> None:
        self._session = session
        self._reference = reference
        self._journal = journal
        self.desk = desk
        self.opened: dict[UUID, Appeal] = {}
        self._pending: set[UUID] = set()
        self._links: list[dict[str, Any]] = []
        self._judged: dict[UUID, dict[str, Any]] = {}

    async def open_for(self, items: Sequence[Taken]) -> None:
        """Insert a case for each first message that needs one. Call `take` for every item afterwards, in order."""
        wanted: dict[Key, Taken] = {}
        for item in items:
            key = key_of(item.message)
            if (
                item.judgement.needs_answer != "no"
                and key not in wanted
                and item.message.id not in self.desk.by_message
                and self.desk.case_for(key) is None
            ):
                wanted[key] = item
        for _ in range(_TRIES):
            if not wanted:
                break
            drafts = [self._draft(wanted[key], key) for key in sorted(wanted)]
            new = await self._insert(drafts)
            for appeal in new:
                item = wanted.pop((appeal.thread_key or "", appeal.author_key or ""))
                self.opened[item.message.id] = appeal
                self._pending.add(appeal.id)
                self.desk.put(appeal)
            await recorder.record(self._session, Appeal, (recorder.made(appeal) for appeal in new))
            # The others lost to a case that is committed by now: join it, unless it ended meanwhile.
            if wanted:
                await self.desk.add(self._session, [item.message for item in wanted.values()])
                wanted = {key: item for key, item in wanted.items() if self.desk.case_for(key) is None}
        if wanted:
            raise Conflict("The cases of this thread change too fast; try again")

    async def _insert(self, drafts: Sequence[Appeal]) -> list[Appeal]:
        """Insert cases but for those whose thread and author have an open one; returns the new, in order."""
        inserted = await self._session.execute(
            insert_into(Appeal).on_conflict_do_nothing().returning(Appeal.id, Appeal.number),
            [{name: value for name, value in vars(draft).items() if name in _DRAFTED} for draft in drafts],
        )
        numbers = {row.id: row.number for row in inserted}
        new = [draft for draft in drafts if draft.id in numbers]
        for appeal in new:
            appeal.number = numbers[appeal.id]
            # What was written is all there: reading the rows back would be the dearest step of all.
            make_transient_to_detached(appeal)
        self._session.add_all(new)
        return new

    def _draft(self, item: Taken, key: Key) -> Appeal:
        message, judgement = item.message, item.judgement
        topic_id = self._reference.topic_id(judgement)
        route = self._reference.route_message(message.page_id, judgement)
        now = clock.now()
        appeal = Appeal(
            id=new_id(), version=1, urgency=judgement.urgency, outcome=None, topic_id=topic_id, url=message.url,
            page_id=message.page_id, network=message.network, thread_key=key[0], author_key=key[1],
            text=message.text, written_at=message.written_at, opened_at=message.received_at, created_at=now,
            updated_at=now, municipality=self._reference.oktmo(judgement), settlement=judgement.settlement,
            street=judgement.street, house=judgement.house, fault=judgement.fault, language=judgement.language,
            handovers=0, returns=0,
        )  # fmt: skip
        if judgement.needs_answer == "yes" and item.settles and route.organisation_id is not None:
            appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", route.organisation_id, now
            appeal.route = route.stored()
            clocks.set_deadline(appeal, self._reference.policies, self._reference.calendar(appeal.organisation_id))
        else:
            appeal.status = "triage"
            appeal.route = route.waiting(engine.doubt(judgement))
        held = vars(appeal)
        for name in _DRAFTED:
            held.setdefault(name, None)
        return appeal

    def take(self, item: Taken) -> Appeal | None:
        """Put one message where it belongs; returns its case, or None when it needs none."""
        message = item.message
        self._remember(item)
        if message.id in self.desk.by_message:
            return self.desk.cases.get(self.desk.by_message[message.id])
        if (appeal := self.opened.get(message.id)) is not None:
            self._pending.discard(appeal.id)
            self._link(appeal, message)
            self._tell_opened(appeal, item)
            return appeal
        found = self.desk.case_for(key_of(message))
        # A case opened by a later message of this batch is not there yet for an earlier one.
        if found is None or found.id in self._pending:
            return None
        self._join(found, item)
        return found

    def reread(self, item: Taken, *, was_urgent: bool, decided: bool) -> None:
        """Words of a case were changed: danger that is new in them is told, and an unclear case may become clear.

        What else is known of the case stays, and urgency never falls. `decided`: a person has judged the former
        words; then no more is done than to tell.
        """
        appeal = self.desk.cases[self.desk.by_message[item.message.id]]
        before = class_of(appeal)
        if not decided:
            self._remember(item)
        if not was_urgent:
            self._alarm(appeal, item, only_tell=decided or appeal.status in ENDED)
        if not decided and appeal.status == "triage" and item.judgement.needs_answer == "yes":
            self._accept_by_words(appeal, item)
        tell_reclassified(self._journal, appeal, before, item.actor)

    def _tell_opened(self, appeal: Appeal, item: Taken) -> None:
        self._journal.note(
            appeal,
            "opened",
            item.actor,
            message_id=str(item.message.id),
            why=item.judgement.why,
            status=appeal.status,
        )
        self._journal.tell(appeal, "appeal.opened", item.actor, message_id=str(item.message.id))
        if appeal.urgency == "high":
            self._journal.alert("urgent", appeal, item.judgement.why)
        if appeal.status == "assigned":
            tell_first_owner(self._journal, appeal, item.actor)

    def _join(self, appeal: Appeal, item: Taken) -> None:
        message, judgement = item.message, item.judgement
        before = class_of(appeal)
        self._link(appeal, message)
        appeal.updated_at = clock.now()
        # «Когда уже?» — and then what is out: gathering looks at the case again.
        appeal.fault = appeal.fault or judgement.fault
        self._journal.note(
            appeal, "message_added", item.actor, message_id=str(message.id), needs_answer=judgement.needs_answer
        )
        self._journal.tell(appeal, "appeal.message_added", item.actor, message_id=str(message.id))
        self._alarm(appeal, item)
        if appeal.status == "triage" and judgement.needs_answer == "yes":
            self._accept_by_words(appeal, item)
        elif (after := after_message(appeal.status, judgement.needs_answer)) != appeal.status:
            wake(appeal, after, self._reference, self._journal, item.actor, message=message)
            if appeal.status == "triage":
                appeal.route = {**appeal.route, "waiting_for": engine.doubt(judgement)}
        tell_reclassified(self._journal, appeal, before, item.actor)

    def _alarm(self, appeal: Appeal, item: Taken, *, only_tell: bool = False) -> None:
        """Danger in any of its messages makes the case urgent, and is told. Rules look at it: it comes first."""
        judgement = item.judgement
        if judgement.urgency != "high" or judgement.needs_answer == "no":
            return
        if only_tell or appeal.urgency == "high":
            self._journal.alert("urgent", appeal, judgement.why)
        else:
            raise_urgency(appeal, self._reference, self._journal, item.actor, why=judgement.why)

    def _accept_by_words(self, appeal: Appeal, item: Taken) -> None:
        """A clear message decides about the unclear one before it; what was given back waits for a person."""
        judgement = item.judgement
        read = self._reference.route_message(appeal.page_id, judgement)
        if appeal.topic_id is None:
            appeal.topic_id = self._reference.topic_id(judgement)
            appeal.route = {**appeal.route, "topic": read.topic, "why": read.why}
        if appeal.municipality is None:
            appeal.municipality, appeal.settlement = self._reference.oktmo(judgement), judgement.settlement
            appeal.street, appeal.house = judgement.street, judgement.house
        route = self._reference.route_case(appeal)
        owner = appeal.organisation_id or route.organisation_id
        if owner is not None and item.settles and gave_back(appeal) is None:
            accept(appeal, owner, self._reference, self._journal, item.actor, route=route.stored())
        else:
            keep_waiting(appeal, route)

    def _link(self, appeal: Appeal, message: Message) -> None:
        self.desk.by_message[message.id] = appeal.id
        self._links.append({"message_id": message.id, "appeal_id": appeal.id, "created_at": clock.now()})

    def _remember(self, item: Taken) -> None:
        judgement, now = item.judgement, clock.now()
        self._judged[item.message.id] = {
            "message_id": item.message.id,
            "needs_answer": judgement.needs_answer,
            "type": judgement.type,
            "urgency": judgement.urgency,
            "topic_id": self._reference.topic_id(judgement),
            "confidence": judgement.confidence,
            "topic_confidence": judgement.topic_confidence,
            "top3": [
                {"topic_id": str(self._reference.topic_ids[code]), "confidence": chance}
                for code, chance in judgement.top
                if code in self._reference.topic_ids
            ],
            "municipality": self._reference.oktmo(judgement),
            "settlement": judgement.settlement,
            "street": judgement.street,
            "house": judgement.house,
            "place_from": judgement.place_from,
            "language": judgement.language,
            "fault": judgement.fault,
            "why": judgement.why,
            "judged_by": item.judged_by,
            "created_at": now,
            "updated_at": now,
        }

    async def finish(self) -> None:
        """Store links, judgements, timeline and events."""
        await self._session.flush()
        await insert_rows(self._session, AppealMessage, self._links)
        await store.store(self._session, self._judged)
        await self._journal.write(self._session)
        self._links, self._judged = [], {}


def first(items: Iterable[Appeal]) -> Appeal | None:
    """The only one, or None when there are none or several."""
    found = list(items)
    return found[0] if len(found) == 1 else None
