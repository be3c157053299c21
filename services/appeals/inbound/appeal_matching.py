"""Matching of messages to appeals: one appeal per matter of an author in a thread, also under concurrency.

`matter.py` says whether a message is about an appeal's matter. A message that belongs to none of the author's
appeals in the thread opens a new appeal with the next `matter_number`. The unique index `uq_appeals_matter`
prevents duplicates: appeals are inserted with ON CONFLICT DO NOTHING, and a transaction that loses the race
compares the message with the winner's appeal too. A message within 30 days after the last change of an answered
appeal reopens it (`reopened`, or `triage` if the need is unclear); later, or once the appeal is closed, a message
opens a new appeal. Feedback on the last final answer (`feedback/`) belongs to the answered or closed appeal.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from services.appeals.classification import store
from services.appeals.classification.types import is_automatic
from services.appeals.feedback.awaited_feedback import AwaitedFeedback
from services.appeals.feedback.feedback_reading import read_feedback
from services.appeals.feedback.recording import record_feedback
from services.appeals.inbound.clarification import AppealHandling, Clarifier
from services.appeals.inbound.locked_appeals import LockedAppeals, ThreadAuthor
from services.appeals.inbound.matter import Comparison
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.placement import MessagePlacer, Placement, joined
from services.appeals.lifecycle.classification_changes import (
    classification_fields,
    raise_urgency,
    record_reclassified,
)
from services.appeals.lifecycle.other_matters import suggest_other_matter
from services.appeals.lifecycle.route_snapshot import returned_by_organisation, route_of
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.lifecycle.transitions import assign, record_first_assignment, reopen
from services.appeals.lifecycle.waiting_messages import ASKS_NOTHING, is_thanks_or_mark, needs_reply
from services.appeals.lifecycle.workflow import FINAL_STATUSES, status_after_message
from services.appeals.routing.context import RoutingContext
from services.appeals.routing.triage import keep_in_triage, unclear_need_reason
from services.appeals.sla.clocks import awaits_reply_to
from services.appeals.sla.opened_clocks import OpenedClocks, remember_opened
from services.appeals.sla.opening import open_clocks
from services.appeals.sla.policy_selection import DEFAULT_LEGAL_REGIME
from shared import clock
from shared.audit import recorder
from shared.contracts.appeal_events import AppealMessageAdded, AppealOpened
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict
from shared.ids import new_id
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_sla import SlaClock
from shared.tables.ingest import Message

_TRIES = 3
# The columns that an insert sets: all but the number, which the database generates.
_DRAFTED = frozenset(column.key for column in Appeal.__table__.columns if column.key != "number")


class AppealMatcher:
    """Opens and joins appeals in one transaction: `store_results`, `place`, `match` of each message, `write`."""

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
        self._placements: dict[UUID, Placement] = {}
        self._nearest: dict[UUID, Comparison | None] = {}
        self._clarifier = Clarifier(routing_context, recorder)
        self._links: list[dict[str, Any]] = []
        self._opened_clocks: dict[UUID, OpenedClocks] = {}
        self._awaited_feedback = AwaitedFeedback()
        # Messages of appeals that needed no answer before their text was edited; of these, thanks and marks.
        self._needed_none: set[UUID] = set()
        self._thanks_or_marks: set[UUID] = set()
        self._edited: set[UUID] = set()

    async def store_results(self, items: Iterable[ClassifiedMessage]) -> dict[UUID, int]:
        """Write the classifications of messages; return their versions by message id. A person's classification
        is kept, and the message left out, if the new one is automatic. Call it before `place`: if the consumer and
        a person decide about a message at the same time, the second waits here and sees what the first decided.
        """
        items = list(items)
        await self._load_those_that_need_none(items)
        return await store.store_classifications(
            self._session, {item.message.id: self._row(item) for item in items}
        )

    async def _load_those_that_need_none(self, items: Iterable[ClassifiedMessage]) -> None:
        """Load which messages of appeals have needed no answer until now: by their former reading, or as thanks or
        marks.
        """
        edited = [
            item.message.id
            for item in items
            if item.message.id in self.locked.by_message and is_automatic(item.classified_by)
        ]
        if not edited:
            return
        rows = await self._session.execute(
            select(AppealMessage.message_id, is_thanks_or_mark().label("is_thanks_or_mark"))
            .join(Classification, Classification.message_id == AppealMessage.message_id)
            .where(AppealMessage.message_id.in_(edited), ~needs_reply())
        )
        for row in rows:
            self._needed_none.add(row.message_id)
            if row.is_thanks_or_mark:
                self._thanks_or_marks.add(row.message_id)

    async def place(self, items: Sequence[ClassifiedMessage]) -> None:
        """Decide which appeal each message belongs to, and insert the appeals that must be opened. Call `match`
        for every item afterwards, in order. Raises `Conflict` if other transactions keep changing the appeals.
        """
        self._awaited_feedback = await AwaitedFeedback.load(self._session, self.locked.appeals.values())
        placer = MessagePlacer(self._session, self._routing_context, self.locked, self._awaited_feedback)
        await placer.load(items)
        attempts = 0
        while missing := placer.next_to_open():
            # One appeal per author at a time: the author's next message must be compared with it, and its own
            # appeal gets the next `matter_number`.
            drafts = [self._draft(missing[key], key) for key in sorted(missing)]
            new = await self._insert(drafts)
            for appeal in new:
                key = (appeal.thread_key or "", appeal.author_key or "")
                item = missing.pop(key)
                self.opened[item.message.id] = appeal
                self._nearest[item.message.id] = placer.nearest(key)
                self.locked.register(appeal)
                placer.set_opened(key, item, appeal)
            await recorder.record(self._session, Appeal, (recorder.inserted(appeal) for appeal in new))
            # The messages left in `missing` lost the race to appeals that are committed by now, to which they may
            # belong.
            if missing:
                attempts += 1
                if attempts == _TRIES:
                    raise Conflict("The appeals of this thread are being changed by other requests: try again")
                await placer.look_again(missing)
                # These appeals may be in other organisations, with other calendars.
                await self._routing_context.sla.calendars.add(self._session, self.locked.organisation_ids())
        await placer.classify_whole()
        self._placements |= placer.placements
        handling = await AppealHandling.load(self._session, joined(placer.placements))
        self._clarifier.handling = handling.with_opened({appeal.id for appeal in self.opened.values()})

    async def _insert(self, drafts: Sequence[Appeal]) -> list[Appeal]:
        """Insert appeals, skipping those whose `matter_number` another transaction has taken; return the inserted
        appeals in order.
        """
        rows = [{name: value for name, value in vars(draft).items() if name in _DRAFTED} for draft in drafts]
        inserted = {appeal.id: appeal for appeal in await insert_missing(self._session, Appeal, rows)}
        opened = {draft.id: self._opened_clocks.pop(draft.id, OpenedClocks()) for draft in drafts}
        for appeal in inserted.values():
            remember_opened(appeal, opened[appeal.id])
        await insert_rows(
            self._session, SlaClock, [row for appeal_id in inserted for row in opened[appeal_id].rows]
        )
        return [inserted[draft.id] for draft in drafts if draft.id in inserted]

    def _draft(self, item: ClassifiedMessage, key: ThreadAuthor) -> Appeal:
        message, result = item.message, item.result
        topic_id = self._routing_context.topic_id(result)
        route = self._routing_context.route_message(message.page_id, result)
        now = clock.now()
        appeal = Appeal(
            id=new_id(), version=1, urgency=result.urgency, outcome=None, topic_id=topic_id, url=message.url,
            page_id=message.page_id, network=message.network, thread_key=key[0], author_key=key[1],
            matter_number=self.locked.last_numbers.get(key, 0) + 1, text=message.text,
            written_at=message.written_at, opened_at=message.received_at, created_at=now,
            updated_at=now, municipality=self._routing_context.municipality_code(result),
            settlement=result.settlement, street=result.street, house=result.house,
            utility_failure=result.utility_failure, language=result.language,
            transfers=0, returns=0, extensions=0, legal_regime=DEFAULT_LEGAL_REGIME,
        )  # fmt: skip
        if result.needs_answer == "yes" and item.assign_by_rules and route.organisation_id is not None:
            appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", route.organisation_id, now
            appeal.route = route.to_snapshot().dump()
            self._opened_clocks[appeal.id] = open_clocks(appeal, self._routing_context.sla, item.actor)
        else:
            appeal.status = "triage"
            appeal.route = route.to_triage_snapshot(unclear_need_reason(result)).dump()
        attributes = vars(appeal)
        for name in _DRAFTED:
            attributes.setdefault(name, None)
        return appeal

    def match(self, item: ClassifiedMessage) -> Appeal | None:
        """Match one message; return its appeal, or None if it needs no appeal."""
        message = item.message
        if message.id in self.locked.by_message:
            return self.locked.appeals.get(self.locked.by_message[message.id])
        if (appeal := self.opened.get(message.id)) is not None:
            self._link(appeal, message)
            self._record_opened(appeal, item)
            return appeal
        placement = self._placements[message.id]
        if placement.appeal is not None:
            self._join(placement.appeal, item, placement)
        return placement.appeal

    async def open_apart(self, item: ClassifiedMessage, key: ThreadAuthor) -> Appeal:
        """Insert a new appeal for a message without comparing it with the author's other appeals; the caller
        records it.
        """
        for _ in range(_TRIES):
            new = await self._insert([self._draft(item, key)])
            if new:
                await recorder.record(self._session, Appeal, [recorder.inserted(new[0])])
                self.locked.register(new[0])
                return new[0]
            await self.locked.add(self._session, [item.message])
        raise Conflict("The appeals of this thread are being changed by other requests: try again")

    def reclassify(self, item: ClassifiedMessage, *, was_urgent: bool, decided: bool) -> None:
        """Apply the new classification of an edited message: raise the urgency on new danger, assign an appeal
        whose need was unclear, and reopen an answered one if the message needed no answer before. An unknown topic
        or location may be set; other fields of the appeal do not change, and the urgency is never lowered.
        `decided`: a person has classified the former text; then only an alert is raised.
        """
        appeal = self.locked.appeals[self.locked.by_message[item.message.id]]
        before = classification_fields(appeal)
        needs_answer = "no" if self.feedback_after_edit(item.message) is not None else item.result.needs_answer
        # The reply under way answers an awaited message that is edited and still asks nothing.
        asks = needs_answer != "no" or not awaits_reply_to(appeal, item.message.id)
        if item.message.id in self._needed_none and asks:
            self._edited.add(item.message.id)
        if not was_urgent:
            self._raise_urgency(appeal, item, only_alert=decided or appeal.status in FINAL_STATUSES)
        if not decided and appeal.status == "triage" and needs_answer == "yes":
            self._resolve_triage(appeal, item)
        elif not decided and needs_answer != "no" and item.message.id in self._needed_none:
            self._reopen(appeal, item, asked_at=item.message.edited_at)
        record_reclassified(self._recorder, appeal, before, item.actor)

    def feedback_after_edit(self, message: Message) -> str | None:
        """Return the kind of feedback of thanks or a mark that still asks nothing after an edit; None for other
        messages.
        """
        reading = read_feedback(message.text) if message.id in self._thanks_or_marks else None
        return reading.kind if reading is not None and reading.kind in ASKS_NOTHING else None

    def _record_opened(self, appeal: Appeal, item: ClassifiedMessage) -> None:
        nearest = self._nearest.get(item.message.id)
        matter: dict[str, Any] = {"matter": nearest.reason} if nearest is not None else {}
        self._recorder.add_timeline_entry(
            appeal,
            "opened",
            item.actor,
            message_id=str(item.message.id),
            why=item.result.why,
            status=appeal.status,
            **matter,
        )
        self._recorder.add_event(AppealOpened(**event_snapshot(appeal), message_id=item.message.id), item.actor)
        if appeal.urgency == "high":
            self._recorder.add_alert("urgent", appeal, item.result.why)
        if appeal.status == "assigned":
            record_first_assignment(self._recorder, appeal, self._routing_context.sla, item.actor)

    def _join(self, appeal: Appeal, item: ClassifiedMessage, placement: Placement) -> None:
        message, result, comparison = item.message, item.result, placement.comparison
        before = classification_fields(appeal)
        matter: dict[str, Any] = {}
        if comparison is not None:
            matter = {"relation": comparison.relation, "reason": comparison.reason}
        awaited = self._awaited_feedback.round_of(appeal)
        if placement.feedback is not None and awaited is not None:
            matter["feedback"] = placement.feedback.kind
        self._link(appeal, message)
        appeal.updated_at = clock.now()
        # Only the later message may name the utility failure, so clustering has to handle the appeal again.
        appeal.utility_failure = appeal.utility_failure or result.utility_failure
        self._recorder.add_timeline_entry(
            appeal,
            "message_added",
            item.actor,
            message_id=str(message.id),
            needs_answer=result.needs_answer,
            **matter,
        )
        self._recorder.add_event(AppealMessageAdded(**event_snapshot(appeal), message_id=message.id), item.actor)
        self._raise_urgency(appeal, item)
        if placement.feedback is not None and awaited is not None:
            record_feedback(
                appeal,
                awaited,
                placement.feedback,
                message,
                sla=self._routing_context.sla,
                recorder=self._recorder,
            )
            record_reclassified(self._recorder, appeal, before, item.actor)
            return
        clearer = self._clarifier.apply(appeal, item, placement)
        if appeal.status == "triage" and result.needs_answer == "yes":
            self._resolve_triage(appeal, item, placement)
        elif not self._reopen(appeal, item) and clearer:
            self._clarifier.route_again(appeal)
        if comparison is not None and comparison.relation == "unsure" and result.needs_answer != "no":
            suggest_other_matter(appeal, message.id, comparison.reason, self._recorder)
        record_reclassified(self._recorder, appeal, before, item.actor)

    def _reopen(self, appeal: Appeal, item: ClassifiedMessage, *, asked_at: datetime | None = None) -> bool:
        """Reopen an answered appeal if the message may need an answer; return whether it was reopened. `asked_at`
        is the moment of the edit by which the message asks.
        """
        status = status_after_message(appeal.status, item.result.needs_answer)
        if status == appeal.status:
            return False
        sla = self._routing_context.sla
        reopen(appeal, status, sla, self._recorder, item.actor, message=item.message, asked_at=asked_at)
        if status == "triage":
            waiting = route_of(appeal).updated(triage_reason=unclear_need_reason(item.result))
            appeal.route = waiting.dump()
        return True

    def _raise_urgency(self, appeal: Appeal, item: ClassifiedMessage, *, only_alert: bool = False) -> None:
        """Make the appeal urgent, or raise an alert, if the message reports danger.

        Called before routing, because rules may depend on the urgency.
        """
        result = item.result
        if result.urgency != "high" or result.needs_answer == "no":
            return
        if only_alert or appeal.urgency == "high":
            self._recorder.add_alert("urgent", appeal, result.why)
        else:
            raise_urgency(appeal, self._routing_context.sla, self._recorder, item.actor, why=result.why)

    def _resolve_triage(self, appeal: Appeal, item: ClassifiedMessage, placement: Placement | None = None) -> None:
        """Assign an appeal in triage after a message that certainly needs an answer, if the rules give an
        organisation. A returned appeal stays in triage for a person.
        """
        result = item.result
        if placement is not None and placement.whole is not None and placement.whole.topic is not None:
            result = placement.whole
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
        by_rules = item.assign_by_rules and is_automatic(item.classified_by)
        if organisation_id is not None and by_rules and returned_by_organisation(appeal) is None:
            assign(
                appeal,
                organisation_id,
                self._routing_context.sla,
                self._recorder,
                item.actor,
                route=route.to_snapshot(),
            )
        else:
            keep_in_triage(appeal, route)

    def _link(self, appeal: Appeal, message: Message) -> None:
        self.locked.by_message[message.id] = appeal.id
        self._links.append({"message_id": message.id, "appeal_id": appeal.id})

    def _row(self, item: ClassifiedMessage) -> dict[str, Any]:
        result, now = item.result, clock.now()
        return {
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
        """Insert the timeline entries, the events, and the links between messages and appeals."""
        await self._session.flush()
        # Replies are compared with this time, so it is the database's and is read while the appeals are locked.
        await insert_rows(self._session, AppealMessage, self._links, created_at=func.clock_timestamp())
        await self._count_edited_as_new()
        await self._recorder.write(self._session)
        self._links = []

    async def _count_edited_as_new(self) -> None:
        """Let edited messages that needed no answer count as received now: neither the author of an earlier reply
        nor a person who saw a list before knows the new text.
        """
        if self._edited:
            await self._session.execute(
                update(AppealMessage)
                .where(AppealMessage.message_id.in_(self._edited))
                .values(created_at=func.clock_timestamp())
                .execution_options(synchronize_session=False)
            )
        self._edited = set()
