"""Remove the links to erased people from our own replies to other people; the words of the replies stay."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update

from services.ingest.intake.words_of_others import people_to_unlink
from services.ingest.publishing.publisher import UNFINISHED_STATUSES
from shared.api.idempotency import delete_responses_about
from shared.contracts.erasures import ERASED_LINK
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.tables.ingest import IngestIdempotency, Message, Publication, PublicationChange
from shared.text.person_links import without_links


@dataclass(frozen=True)
class ReplyLinks:
    """Our replies that messages are, and that lost the links to erased people.

    `people`: the numbers of these people, by reply id. `postponed`: messages whose reply is being published or
    changed, so that its texts are still needed.
    """

    people: Mapping[UUID, Set[str]]
    postponed: Set[UUID]


async def erase_reply_links(
    session: WriteSession, message_ids: Sequence[UUID], erased: Mapping[str, datetime]
) -> ReplyLinks:
    """Remove the links to these people from the publications that came back as these messages. Idempotent.

    Call before the messages are locked: intake locks publications after them. `erased`: until when each person is
    erased, by number.
    """
    rows = await session.execute(_published_as(message_ids))
    people: dict[UUID, set[str]] = defaultdict(set)
    messages: dict[UUID, set[UUID]] = defaultdict(set)
    for row in rows.all():
        unlinked = people_to_unlink(erased, from_community=True, written_at=row.written_at)
        if unlinked:
            people[row.reply_id] |= unlinked
            messages[row.reply_id].add(row.id)
    if not people:
        return ReplyLinks({}, frozenset())
    parts = await session.execute(
        select(
            Publication.id, Publication.reply_id, Publication.status, Publication.text, Publication.previous_texts
        )
        .where(Publication.reply_id.in_(people), Publication.erased_at.is_(None))
        .order_by(Publication.id)
        .with_for_update()
    )
    publications = parts.all()
    of_change = select(PublicationChange.id, PublicationChange.publication_id, PublicationChange.status,
                       PublicationChange.text, PublicationChange.part_texts)  # fmt: skip
    found = await session.execute(
        of_change.where(is_one_of(PublicationChange.publication_id, [row.id for row in publications]))
    )
    changes = found.all()
    reply_of = {row.id: row.reply_id for row in publications}
    unfinished = {row.reply_id for row in publications if row.status in UNFINISHED_STATUSES}
    # A change refers to the first part but edits all parts of the reply.
    unfinished |= {reply_of[row.publication_id] for row in changes if row.status in UNFINISHED_STATUSES}
    done = {reply_id: numbers for reply_id, numbers in people.items() if reply_id not in unfinished}
    for part in publications:
        if part.reply_id in done:
            await _rewrite(session, Publication, part, ("text", "previous_texts"), done[part.reply_id])
    for change in changes:
        if (reply_id := reply_of[change.publication_id]) in done:
            await _rewrite(session, PublicationChange, change, ("text", "part_texts"), done[reply_id])
    await delete_responses_about(session, IngestIdempotency, list(reply_of))
    return ReplyLinks(done, {one for reply_id in unfinished for one in messages[reply_id]})


def _published_as(message_ids: Sequence[UUID]) -> Select[UUID, datetime, UUID]:
    """Return the query of the replies that came back as these messages."""
    return select(Message.id, Message.written_at, Publication.reply_id).join(
        Publication,
        (Publication.network == Message.network)
        & (Publication.kind == Message.kind)
        & (Publication.external_id == Message.external_id),
    ).where(
        is_one_of(Message.id, message_ids),
        Message.from_community,
        Message.erased_at.is_(None),
        Publication.erased_at.is_(None),
    )  # fmt: skip


async def _rewrite(
    session: WriteSession,
    table: type[Publication | PublicationChange],
    row: Any,
    columns: Sequence[str],
    people: Set[str],
) -> None:
    before = {name: getattr(row, name) for name in columns}
    after = {name: _without(value, people) for name, value in before.items()}
    if after == before:
        return
    if table is Publication:
        after["version"] = Publication.version + 1
    statement = update(table).where(table.id == row.id).values(**after)
    await session.execute(statement.execution_options(synchronize_session=False))


def _without(value: Any, people: Set[str]) -> Any:
    if isinstance(value, list):
        return [_without(one, people) for one in value]
    return without_links(value, people, ERASED_LINK) if isinstance(value, str) else value
