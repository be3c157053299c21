"""A made-up appeal while its history is written, with the objects that writing its rows needs."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.demo.past.matters import Matter
from cli.demo.past.network_rows import NetworkRows
from cli.demo.past.region_facts import Body, RegionFacts
from cli.demo.past.row_ids import RowIds
from cli.demo.past.row_writer import RowWriter
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.lifecycle.timeline import TimelineEntryKind
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message

# Stored in rows as the author and the reason: no model classified these texts.
MADE_UP_BY = "rule:made-up-history"
MADE_UP_WHY = "Придуманное обращение"


@dataclass(frozen=True)
class Surroundings:
    """What all appeals of a history share; `now` is the moment at which the history ends."""

    writer: RowWriter
    region: RegionFacts
    ids: RowIds
    rng: random.Random
    now: datetime
    network: NetworkRows


@dataclass
class AppealDraft:
    """An appeal, its matter, the organisation that answers, and the message that opened it."""

    at: Surroundings
    appeal: Appeal
    matter: Matter
    owner: Body
    street: str
    message: Message | None = None
    entries: int = 0

    def note(self, at: datetime, kind: TimelineEntryKind, actor: str = SYSTEM_ACTOR, **data: Any) -> None:
        """Add an entry to the timeline of the appeal and update the time of its last change."""
        self.entries += 1
        self.appeal.updated_at = max(self.appeal.updated_at, at)
        self.at.writer.add(
            "timeline",
            id=self.at.ids.new(at),
            appeal_id=self.appeal.id,
            at=at,
            kind=kind,
            actor=actor,
            data=data,
        )

    def add_message(self, text: str, written: datetime, received: datetime, needs_answer: str) -> Message:
        """Add a message of the citizen in the thread of the appeal, and its classification."""
        appeal = self.appeal
        message = self.at.network.message(appeal, text, written, received, from_community=False)
        self.at.writer.add(
            "classifications",
            message_id=message.id,
            needs_answer=needs_answer,
            type={"yes": "complaint", "no": "chatter"}.get(needs_answer, "question"),
            urgency=appeal.urgency,
            topic_id=appeal.topic_id,
            needs_answer_confidence=0.5 if needs_answer == "unsure" else 0.9,
            topic_confidence=0.9 if appeal.topic_id is not None else None,
            top3=[{"topic_id": str(appeal.topic_id), "confidence": 0.9}] if appeal.topic_id is not None else [],
            municipality=appeal.municipality,
            settlement=appeal.settlement,
            street=appeal.street,
            location_source="text",
            language="ru",
            utility_failure=appeal.utility_failure,
            why=MADE_UP_WHY,
            classified_by=MADE_UP_BY,
            created_at=received,
            updated_at=received,
        )
        self.at.writer.add("appeal_messages", message_id=message.id, appeal_id=appeal.id, created_at=received)
        return message
