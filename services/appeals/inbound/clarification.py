"""Changes of an appeal by a message that clarifies its matter: topic, location, start of the clock and route.

Nothing changes after a reply is published, and a person's decisions are kept. The timeline records each change
with the message that caused it.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import get_args
from uuid import UUID

from sqlalchemy import select

from services.appeals.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.classification.types import LOCATION_PARTS, ClassificationResult
from services.appeals.deadline_watch.deadline_changes import due_dates, record_changed_deadline
from services.appeals.inbound.matter import Relation, takes_topic
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.message_reading import MessageReading
from services.appeals.inbound.placement import Placement
from services.appeals.lifecycle.route_snapshot import UnclearNeedReason, route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.routing import dry_run, reroute
from services.appeals.routing.context import RoutingContext
from services.appeals.sla import clocks
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, TimelineEntry

_UNCLEAR_NEED = get_args(UnclearNeedReason)
_DECISIONS = ("topic_changed", "location_changed")


@dataclass(frozen=True)
class AppealHandling:
    """What people have done with appeals. `untouched`: those that nobody has moved or started to work on.
    `decided`: pairs of an appeal and the kind of a timeline entry by which a person set its topic or location.
    """

    untouched: frozenset[UUID] = frozenset()
    decided: frozenset[tuple[UUID, str]] = frozenset()

    @staticmethod
    async def load(session: WriteSession, appeals: Collection[Appeal]) -> "AppealHandling":
        """Load what people have done with locked appeals that are already inserted."""
        ids = {appeal.id for appeal in appeals}
        if not ids:
            return AppealHandling()
        untouched = await session.scalars(select(Appeal.id).where(Appeal.id.in_(ids), dry_run.untouched()))
        decided = await session.execute(
            select(TimelineEntry.appeal_id, TimelineEntry.kind).where(
                TimelineEntry.appeal_id.in_(ids),
                TimelineEntry.kind.in_(_DECISIONS),
                TimelineEntry.actor.not_in((SYSTEM_ACTOR, NETWORK_ACTOR)),
            )
        )
        return AppealHandling(frozenset(untouched), frozenset((row[0], row[1]) for row in decided))

    def with_opened(self, appeal_ids: Collection[UUID]) -> "AppealHandling":
        """Return a copy that includes appeals opened in the same transaction."""
        return replace(self, untouched=self.untouched | set(appeal_ids))


class Clarifier:
    """Applies placements to the appeals of one transaction."""

    def __init__(self, routing_context: RoutingContext, recorder: AppealRecorder) -> None:
        self._routing_context = routing_context
        self._recorder = recorder
        self._codes = {topic_id: code for code, topic_id in routing_context.topic_ids.items()}
        self.handling = AppealHandling()

    def apply(self, appeal: Appeal, item: ClassifiedMessage, placement: Placement) -> bool:
        """Apply a message that joined the appeal; return whether the route of the appeal may change."""
        comparison, reading, whole = placement.comparison, placement.reading, placement.whole
        if comparison is None or reading is None or whole is None or comparison.relation == "unsure":
            return False
        if appeal.first_response_at is not None:
            return False
        if placement.was_vague and item.result.needs_answer == "yes" and appeal.id in self.handling.untouched:
            self._start_again(appeal, item)
        topic = self._set_topic(appeal, item, reading, whole, comparison.relation)
        place = self._set_location(appeal, item, reading, whole, comparison.relation)
        return topic or place

    def route_again(self, appeal: Appeal) -> None:
        """Route the appeal again if only the rules have routed it; otherwise it keeps its organisation."""
        if appeal.id not in self.handling.untouched:
            return
        clear = appeal.status != "triage" or route_of(appeal).triage_reason not in _UNCLEAR_NEED
        if reroute.reroute_appeal(appeal, self._routing_context, self._recorder, clear=clear) or not clear:
            return
        route = self._routing_context.route_appeal(appeal).to_snapshot()
        appeal.route = route_of(appeal).text_reading().replaced_by(route).dump()

    def _start_again(self, appeal: Appeal, item: ClassifiedMessage) -> None:
        """Restart the appeal with this message, because the earlier messages were too vague to be answered."""
        message = item.message
        appeal.text, appeal.url, appeal.language = message.text, message.url, item.result.language
        appeal.written_at, appeal.opened_at = message.written_at, message.received_at
        self._recorder.add_timeline_entry(
            appeal, "clarified", message_id=str(message.id), written_at=message.written_at.isoformat()
        )
        if appeal.organisation_id is not None and appeal.status != "triage":
            before = due_dates(appeal)
            clocks.start_again(appeal, self._routing_context.sla, SYSTEM_ACTOR)
            appeal.overdue_recorded_at = None
            record_changed_deadline(self._recorder, appeal, before, self._routing_context.sla)

    def _set_topic(
        self,
        appeal: Appeal,
        item: ClassifiedMessage,
        reading: MessageReading,
        whole: ClassificationResult,
        relation: Relation,
    ) -> bool:
        if (appeal.id, "topic_changed") in self.handling.decided:
            return False
        predicted = route_of(appeal).topic
        known = self._codes.get(appeal.topic_id) if appeal.topic_id else None
        certain = predicted is None or predicted.id != appeal.topic_id
        confidence = 1.0 if certain or predicted is None else predicted.confidence or 0.0
        if not takes_topic(known, confidence if known else 0.0, reading, whole, relation):
            return False
        route = self._routing_context.route_message(appeal.page_id, whole)
        appeal.topic_id = self._routing_context.topic_id(whole)
        appeal.route = route_of(appeal).updated(topic=route.topic, why=route.why).dump()
        self._recorder.add_timeline_entry(
            appeal,
            "topic_changed",
            topic_id=str(appeal.topic_id) if appeal.topic_id else None,
            message_id=str(item.message.id),
            why=whole.why,
        )
        return True

    def _set_location(
        self,
        appeal: Appeal,
        item: ClassifiedMessage,
        reading: MessageReading,
        whole: ClassificationResult,
        relation: Relation,
    ) -> bool:
        """Set the parts of the location that the message names; a named part replaces a part implied by the
        page.
        """
        if (appeal.id, "location_changed") in self.handling.decided:
            return False
        before = {part: getattr(appeal, part) for part in LOCATION_PARTS}
        named = {part: getattr(reading.location, part) for part in LOCATION_PARTS}
        named["municipality"] = self._routing_context.municipalities.get(reading.location.municipality or "")
        after = before | {part: value for part, value in named.items() if value is not None}
        if after["municipality"] != before["municipality"]:
            # Finer parts are reset with a coarser one: a settlement belongs to one municipality, a street to one
            # settlement.
            after = named
        elif before["settlement"] not in {None, after["settlement"]}:
            after |= {"street": named["street"], "house": named["house"]}
        if not reading.location and whole.location_source is not None and relation == "addition":
            # The message alone is too short, but together with the other messages it names a location.
            after = {part: before[part] or getattr(whole, part) for part in ("settlement", "street", "house")}
            after = {
                "municipality": before["municipality"] or self._routing_context.municipality_code(whole)
            } | after
        if after == before:
            return False
        for part, value in after.items():
            setattr(appeal, part, value)
        self._recorder.add_timeline_entry(
            appeal, "location_changed", location=after, message_id=str(item.message.id), why=whole.why
        )
        return True
