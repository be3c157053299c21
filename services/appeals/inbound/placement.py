"""Placement of new messages: the author's appeal that each belongs to, or the need to open a new one. Messages of
one author in one thread are placed in order, because a message may belong to an appeal that an earlier one opens.
Nothing is written to the database here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.appeals.classification.types import ClassificationResult
from services.appeals.feedback.awaited_feedback import AwaitedFeedback
from services.appeals.feedback.feedback_reading import FeedbackReading, read_feedback
from services.appeals.inbound import matter, matter_readings
from services.appeals.inbound.locked_appeals import LockedAppeals, ThreadAuthor, thread_author
from services.appeals.inbound.matter import Comparison
from services.appeals.inbound.matter_readings import ClassifiedMessage, LoadedReading
from services.appeals.inbound.message_reading import AppealReading, MessageReading
from services.appeals.routing.context import RoutingContext
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal

# Maximum number of the author's appeals in the thread that a message is compared with: first the open ones, then
# the answered ones, each most recently changed first.
_MAX_COMPARED = 10


@dataclass
class Placement:
    """The appeal that a message belongs to, or None. `comparison` is None if the message was compared with no
    appeal. `was_vague`: the appeal's earlier messages did not say what it is about, and this message does.
    `whole_text`, `whole`: the appeal's messages as one text, and its classification; None if the message must not
    change the appeal. `feedback`: the message's feedback on the last answer of the appeal.
    """

    appeal: Appeal | None
    comparison: Comparison | None = None
    reading: MessageReading | None = None
    was_vague: bool = False
    whole_text: str | None = None
    whole: ClassificationResult | None = None
    feedback: FeedbackReading | None = None


@dataclass
class _Author:
    """The messages of an author in a thread, and the readings of the author's appeals there.

    `latest`: the appeals that messages of this batch opened or joined, in order. `nearest`: how the
    message that must open an appeal compares with the most similar of the author's appeals.
    """

    items: Sequence[ClassifiedMessage]
    appeals: dict[UUID, LoadedReading] = field(default_factory=dict)
    latest: list[UUID] = field(default_factory=list)
    nearest: Comparison | None = None


class MessagePlacer:
    """Places the messages of a batch. `placements`: the results by message id."""

    def __init__(
        self,
        session: WriteSession,
        routing_context: RoutingContext,
        locked: LockedAppeals,
        awaited_feedback: AwaitedFeedback,
    ) -> None:
        self._session = session
        self._routing_context = routing_context
        self._locked = locked
        self._awaited_feedback = awaited_feedback
        self._authors: dict[ThreadAuthor, _Author] = {}
        self._readings: dict[UUID, MessageReading] = {}
        self._replied: dict[UUID, UUID] = {}
        self.placements: dict[UUID, Placement] = {}

    async def load(self, items: Sequence[ClassifiedMessage]) -> None:
        """Load the data to place these messages. Messages that already belong to an appeal are left out."""
        by_author: dict[ThreadAuthor, dict[UUID, ClassifiedMessage]] = {}
        for item in items:
            if item.message.id not in self._locked.by_message:
                by_author.setdefault(thread_author(item.message), {}).setdefault(item.message.id, item)
        self._authors = {key: _Author(list(found.values())) for key, found in by_author.items()}
        await self._read(self._authors)

    async def look_again(self, keys: Collection[ThreadAuthor]) -> None:
        """Prepare to place the messages of these authors again, after other transactions opened appeals of these
        authors.
        """
        messages = [item.message for key in keys for item in self._authors[key].items]
        await self._locked.add(self._session, messages)
        for message in messages:
            placed = self.placements.get(message.id)
            if placed is not None and (placed.appeal is None or placed.comparison is not None):
                del self.placements[message.id]
        await self._read(keys)

    async def _read(self, keys: Iterable[ThreadAuthor]) -> None:
        """Read the messages and appeals of authors who have an appeal or several messages to compare; most have
        one message.
        """
        compared = [
            (key, author)
            for key in keys
            if len((author := self._authors[key]).items) > 1
            or self._locked.candidates(key)
            or self._awaits_feedback(key)
        ]
        if not compared:
            return
        items = [item for _, author in compared for item in author.items]
        unread = [item for item in items if item.message.id not in self._readings]
        self._readings |= await matter_readings.read_messages(unread)
        self._replied |= await matter_readings.replied_appeals(self._session, items, self._locked.by_message)
        candidates = {
            appeal.id: (appeal, author.items[0].context)
            for key, author in compared
            for appeal in self._candidates(key)
        }
        loaded = await matter_readings.read_appeals(self._session, candidates, self._routing_context)
        for key, author in compared:
            author.appeals |= {appeal.id: loaded[appeal.id] for appeal in self._candidates(key)}

    def _awaits_feedback(self, key: ThreadAuthor) -> bool:
        """Return whether feedback of this author on an answer in this thread is awaited."""
        return any(map(self._awaited_feedback.round_of, self._locked.of_author(key)))

    def _candidates(self, key: ThreadAuthor) -> list[Appeal]:
        order = {appeal_id: index for index, appeal_id in enumerate(self._authors[key].latest)}
        found = self._locked.candidates(key)
        found.sort(key=lambda appeal: (appeal.status == "answered", -order.get(appeal.id, -1)))
        return found[:_MAX_COMPARED]

    def next_to_open(self) -> dict[ThreadAuthor, ClassifiedMessage]:
        """Place messages in order; return for each author the first message that must open an appeal, if any."""
        found = {key: self._advance(key, author) for key, author in self._authors.items()}
        return {key: item for key, item in found.items() if item is not None}

    def set_opened(self, key: ThreadAuthor, item: ClassifiedMessage, appeal: Appeal) -> None:
        """Note that the message opened this appeal, which must already be registered with the locked appeals."""
        author, message = self._authors[key], item.message
        reading = self._readings.get(message.id)
        self.placements[message.id] = Placement(appeal, reading=reading)
        author.latest.append(appeal.id)
        if reading is not None:
            author.appeals[appeal.id] = LoadedReading(AppealReading((reading,)), (message.text,))

    def nearest(self, key: ThreadAuthor) -> Comparison | None:
        """Return how the author's message that must open an appeal compares with the most similar of their
        appeals.
        """
        return self._authors[key].nearest

    def _advance(self, key: ThreadAuthor, author: _Author) -> ClassifiedMessage | None:
        author.nearest = None
        for item in author.items:
            if item.message.id in self.placements:
                continue
            placement = self._place(key, author, item)
            if placement is None:
                return item
            self.placements[item.message.id] = placement
            if placement.appeal is not None:
                author.latest.append(placement.appeal.id)
        return None

    def _place(self, key: ThreadAuthor, author: _Author, item: ClassifiedMessage) -> Placement | None:
        """Return the placement of the message; None if it must open an appeal."""
        # Most messages follow no answer, and reading the text for feedback takes longer than placing the message.
        reading = read_feedback(item.message.text) if self._awaits_feedback(key) else None
        if reading is not None and (said := self._place_feedback(key, item, reading)) is not None:
            return said
        placement = self._place_by_matter(key, author, item)
        if placement is not None and reading is not None and self._is_with_details(placement, item, reading):
            placement.feedback = reading
        return placement

    def _place_feedback(
        self, key: ThreadAuthor, item: ClassifiedMessage, reading: FeedbackReading
    ) -> Placement | None:
        """Return the placement of a message that is certainly feedback on an appeal's answer; None for other
        messages.
        """
        if item.context is not None and item.context.replies_to_citizen:
            return None
        message = item.message
        appeal = self._awaited_feedback.appeal_of(
            message,
            reading,
            self._locked.of_author(key),
            parent=item.parent,
            replied=self._replied.get(message.id),
        )
        return Placement(appeal, feedback=reading) if appeal is not None else None

    def _is_with_details(self, placement: Placement, item: ClassifiedMessage, reading: FeedbackReading) -> bool:
        """Return whether a message contains feedback and more, and by its matter certainly belongs to the answered
        appeal.
        """
        appeal, comparison = placement.appeal, placement.comparison
        if appeal is None or comparison is None or comparison.relation == "unsure" or reading.is_alone:
            return False
        awaited = self._awaited_feedback
        return awaited.round_of(appeal) is not None and awaited.is_about(
            appeal, item.message, reading, item.parent
        )

    def _place_by_matter(self, key: ThreadAuthor, author: _Author, item: ClassifiedMessage) -> Placement | None:
        """Return the placement of the message by its matter; None if it must open an appeal."""
        candidates, needs_answer = self._candidates(key), item.result.needs_answer
        if not candidates:
            return Placement(None) if needs_answer == "no" else None
        message = item.message
        reading, replied = self._readings[message.id], self._replied.get(message.id)
        nearest = next((appeal for appeal in candidates if appeal.id == replied), candidates[0])
        if needs_answer == "no" and not _tells_more(reading):
            return Placement(nearest, Comparison("same", "Ответ не требуется", 0.0), reading)
        choice = matter.choose(
            reading,
            [replace(author.appeals[one.id].reading, replied_to=one.id == replied) for one in candidates],
        )
        if choice.index is None:
            if needs_answer == "no":
                return Placement(nearest, Comparison("same", "Ответ не требуется", 0.0), reading)
            author.nearest = choice.comparison
            return None
        appeal = candidates[choice.index]
        before = author.appeals[appeal.id]
        after = author.appeals[appeal.id] = before.with_message(reading, message.text)
        changes = choice.comparison.relation != "unsure" and appeal.first_response_at is None
        return Placement(
            appeal,
            choice.comparison,
            reading,
            was_vague=before.reading.is_vague and not reading.is_vague,
            whole_text=matter_readings.whole_text(after.texts) if changes else None,
        )

    async def classify_whole(self) -> None:
        """Classify the appeals that messages joined, each as one text in the context of the message."""
        items = {item.message.id: item for author in self._authors.values() for item in author.items}
        wanted = [
            (placement, placement.whole_text, items[message_id].context)
            for message_id, placement in self.placements.items()
            if placement.whole_text is not None
        ]
        if not wanted:
            return
        found = await matter_readings.classify([(text, context) for _, text, context in wanted])
        for (placement, _, _), result in zip(wanted, found, strict=True):
            placement.whole = result


def _tells_more(reading: MessageReading) -> bool:
    """Return whether a message that itself needs no answer adds information to an appeal: «это в Сотниково»."""
    return bool(reading.location) or "clarifies" in reading.cues


def joined(placements: Mapping[UUID, Placement]) -> list[Appeal]:
    """Return the appeals that their new messages may change: the message certainly belongs to the appeal, and no
    reply has been published.
    """
    return [
        placement.appeal
        for placement in placements.values()
        if placement.appeal is not None and placement.whole is not None
    ]
