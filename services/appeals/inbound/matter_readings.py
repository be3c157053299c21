"""Readings of messages and appeals, loaded and classified for the comparison of matters."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, select

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.classification.classifier_pool import classifier_pool
from services.appeals.classification.classifier_process import ClassifierInput
from services.appeals.classification.types import ClassificationResult, MessageContext, is_automatic
from services.appeals.inbound.message_reading import AppealReading, MessageReading, NamedLocation, group_of
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.routing.context import RoutingContext
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message, Publication

T = TypeVar("T")

# Maximum number of messages of an appeal that are compared, besides the message that opened it.
_LATEST = 5
# Length to which each text is cut in the text of the whole appeal, so that the last message still fits in.
_PART_LENGTH = 1_200


@dataclass(frozen=True)
class ClassifiedMessage:
    """A citizen's message with its classification and the classifier's name. `assign_by_rules`: if an answer is
    due, the rules choose the organisation; otherwise the caller assigns it. `context` is the context given to the
    classifier, `parent` the message that is replied to.
    """

    message: Message
    result: ClassificationResult
    classified_by: str
    actor: str = SYSTEM_ACTOR
    assign_by_rules: bool = True
    context: MessageContext = field(default_factory=MessageContext)
    parent: Message | None = None


def alone(context: MessageContext) -> MessageContext:
    """Return the context without the post above and the message replied to."""
    return MessageContext(
        kind=context.kind, page_owner=context.page_owner, page_municipality=context.page_municipality
    )


def _first_and_latest(items: Sequence[T]) -> tuple[T, ...]:
    return tuple(items) if len(items) <= _LATEST + 1 else (items[0], *items[-_LATEST:])


def whole_text(texts: Sequence[str]) -> str:
    """Return the first and the latest messages of an appeal as one text."""
    return "\n".join(text[:_PART_LENGTH] for text in _first_and_latest(texts))


@dataclass(frozen=True)
class LoadedReading:
    """The reading of an appeal, and its texts: the first and the latest messages that need an answer."""

    reading: AppealReading
    texts: tuple[str, ...]

    def with_message(self, message: MessageReading, text: str) -> "LoadedReading":
        """Return a copy to which a message is added. No more messages are kept than are loaded: comparing each of
        an author's many messages in a batch with all earlier ones would block the event loop.
        """
        messages = _first_and_latest((*self.reading.messages, message))
        return LoadedReading(replace(self.reading, messages=messages), _first_and_latest((*self.texts, text)))


def person_corrected(reading: MessageReading, item: ClassifiedMessage) -> MessageReading:
    """Return the reading corrected by a person's decision about the message."""
    if is_automatic(item.classified_by):
        return reading
    result = item.result
    if result.topic is not None and result.topic_confidence == 1.0:
        reading = replace(reading, groups={group_of(result.topic): 1.0}, topic=result.topic, topic_confidence=1.0)
    if result.location_source == "person":
        location = NamedLocation(result.municipality, result.settlement, result.street, result.house)
        reading = replace(reading, location=location)
    return reading


async def read_messages(items: Iterable[ClassifiedMessage]) -> dict[UUID, MessageReading]:
    """Return the readings of these messages by id. Messages that were classified with their context are classified
    again without it.
    """
    wanted = list(items)
    again = [
        item for item in wanted if not is_automatic(item.classified_by) or item.context != alone(item.context)
    ]
    found = await classify([(item.message.text, alone(item.context)) for item in again])
    results = {item.message.id: item.result for item in wanted}
    results |= {item.message.id: result for item, result in zip(again, found, strict=True)}
    return {
        item.message.id: person_corrected(MessageReading.of(item.message.text, results[item.message.id]), item)
        for item in wanted
    }


async def read_appeals(
    session: WriteSession, appeals: Mapping[UUID, tuple[Appeal, MessageContext]], routing_context: RoutingContext
) -> dict[UUID, LoadedReading]:
    """Return the readings of these appeals by id; the context is that of the message to be compared."""
    texts = await _texts(session, [appeal for appeal, _ in appeals.values()])
    order = [
        (appeal_id, (text, alone(context)))
        for appeal_id, (_, context) in appeals.items()
        for text in texts[appeal_id]
    ]
    found = await classify([item for _, item in order])
    by_appeal: dict[UUID, list[MessageReading]] = {appeal_id: [] for appeal_id in appeals}
    for (appeal_id, (text, _)), result in zip(order, found, strict=True):
        by_appeal[appeal_id].append(MessageReading.of(text, result))
    return {
        appeal_id: LoadedReading(
            AppealReading(
                messages=tuple(by_appeal[appeal_id]),
                group=_group_by_person(appeal, routing_context),
                location=_own_location(appeal, routing_context),
            ),
            texts[appeal_id],
        )
        for appeal_id, (appeal, _) in appeals.items()
    }


async def classify(items: Sequence[ClassifierInput]) -> list[ClassificationResult]:
    """Return the classifications of these texts, in order."""
    return [found.result for found in await classifier_pool().classify(items)]


async def _texts(session: WriteSession, appeals: Collection[Appeal]) -> dict[UUID, tuple[str, ...]]:
    """Return by appeal the text that opened it and the latest messages that may need an answer, oldest first."""
    ranked = (
        select(
            AppealMessage.appeal_id,
            Message.text,
            Message.written_at,
            Message.id,
            func.row_number()
            .over(partition_by=AppealMessage.appeal_id, order_by=(Message.written_at.desc(), Message.id.desc()))
            .label("place"),
        )
        .join(Message, Message.id == AppealMessage.message_id)
        .join(Classification, Classification.message_id == Message.id)
        .where(
            AppealMessage.appeal_id.in_({appeal.id for appeal in appeals}),
            Classification.needs_answer != "no",
            Message.deleted_at.is_(None),
        )
        .subquery()
    )
    rows = await session.execute(
        select(ranked.c.appeal_id, ranked.c.text)
        .where(ranked.c.place <= _LATEST)
        .order_by(ranked.c.written_at, ranked.c.id)
    )
    later: dict[UUID, list[str]] = {}
    for appeal_id, text in rows:
        later.setdefault(appeal_id, []).append(text)
    return {
        appeal.id: (appeal.text, *(text for text in later.get(appeal.id, ()) if text != appeal.text))
        for appeal in appeals
    }


def _group_by_person(appeal: Appeal, routing_context: RoutingContext) -> str | None:
    """Return the code of the topic group that a person set for the appeal; None if nobody set one."""
    predicted = route_of(appeal).topic
    if appeal.topic_id is None:
        return None
    if predicted is not None and predicted.id == appeal.topic_id and predicted.confidence != 1.0:
        return None
    codes = {topic_id: code for code, topic_id in routing_context.topic_ids.items()}
    code = codes.get(appeal.topic_id)
    return group_of(code) if code is not None else None


def _own_location(appeal: Appeal, routing_context: RoutingContext) -> NamedLocation:
    """Return the parts of the appeal's location that certainly do not come from its page."""
    owner = routing_context.page_owners.get(appeal.page_id) if appeal.page_id else None
    names = {oktmo: name for name, oktmo in routing_context.municipalities.items()}
    from_page = owner is not None and owner.municipality == appeal.municipality
    return NamedLocation(
        municipality=None if from_page else names.get(appeal.municipality or ""),
        street=appeal.street,
        house=appeal.house,
    )


async def replied_appeals(
    session: WriteSession, items: Iterable[ClassifiedMessage], by_message: Mapping[UUID, UUID]
) -> dict[UUID, UUID]:
    """Return the appeal of the message replied to, by the id of the replying message. The message replied to may
    be the citizen's or the page's.
    """
    parents = {item.message.id: item.parent for item in items if item.parent is not None}
    pages_own = {parent.id for parent in parents.values() if parent.from_community}
    replies: dict[UUID, UUID] = {}
    if pages_own:
        rows = await session.execute(
            select(Reply.message_id, Reply.appeal_id).where(Reply.message_id.in_(pages_own))
        )
        replies |= {message_id: appeal_id for message_id, appeal_id in rows if message_id is not None}
        published = {parent.publication_id: parent.id for parent in parents.values() if parent.publication_id}
        rows = await session.execute(
            select(Publication.id, Reply.appeal_id)
            .join(Reply, Reply.id == Publication.reply_id)
            .where(Publication.id.in_(published))
        )
        replies |= {published[row[0]]: row[1] for row in rows if row[0] is not None}
    found = {
        message_id: by_message.get(parent.id) or replies.get(parent.id) for message_id, parent in parents.items()
    }
    return {message_id: appeal_id for message_id, appeal_id in found.items() if appeal_id is not None}
