"""Loading of the data that checks of a reply need, and the checks before a publication."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.topics import TopicGroup
from services.appeals.replies.checks.check_text import blocking_hints, check_reply
from services.appeals.replies.checks.hints import Hint, RecentReply, ReplyContext
from services.appeals.replies.checks.links import host_of
from services.appeals.replies.checks.personal_data import phone_numbers
from services.appeals.replies.new_reply import NewReply
from services.appeals.settings import settings
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message
from shared.tables.registry import Organisation

# Maximum numbers of the organisation's last appeals that are searched for replies, and of replies that are
# compared.
_RECENT_APPEALS = 200
_RECENT_REPLIES = 50
_COMPARED_LENGTH = 2_000


async def hints_for(session: AsyncSession, appeal: Appeal, given: NewReply, message: Message | None) -> list[Hint]:
    """Return the hints for a reply to the message, blocking ones first."""
    context = replace(await _load_context(session, appeal, message), outcome=given.outcome)
    # In a thread: looking up thousands of words takes a while, and other requests must not wait.
    hints = await asyncio.to_thread(check_reply, given.text, given.kind, context)
    if given.kind == "interim" and given.promised_at is None:
        detail = "Из промежуточного ответа должно быть ясно, когда придёт окончательный: укажите дату."
        hints.insert(0, Hint.of("no_promise", detail))
    return hints


async def require_publishable(
    session: AsyncSession, appeal: Appeal, given: NewReply, message: Message | None
) -> list[Hint]:
    """Return the hints for a reply. Raises `Invalid` naming each hint that blocks publication."""
    hints = await hints_for(session, appeal, given, message)
    _refuse_blocked(hints)
    return hints


async def require_publishable_for_all(session: AsyncSession, organisation_id: UUID | None, text: str) -> None:
    """Raise `Invalid` if the text of a reply to many appeals must not be published. Official contacts are those of
    this organisation.
    """
    phones, mails, hosts = await _official_contacts(session, organisation_id)
    _refuse_blocked(blocking_hints(text, ReplyContext(phones=phones, mails=mails, hosts=hosts)))


def _refuse_blocked(hints: Sequence[Hint]) -> None:
    errors = [
        FieldError(pointer="/text", detail=f"{hint.message} (characters {hint.start}–{hint.end}, {hint.code})")
        for hint in hints
        if hint.severity == "blocking"
    ]
    if errors:
        raise Invalid("The text contains what must not be published: /text", errors=errors)


async def _load_context(session: AsyncSession, appeal: Appeal, message: Message | None) -> ReplyContext:
    phones, mails, hosts = await _official_contacts(session, appeal.organisation_id)
    asked = dict.fromkeys([message.text, appeal.text] if message is not None else [appeal.text])
    return ReplyContext(
        question="\n".join(asked),
        topic_names=await _topic_names(session, appeal.topic_id),
        phones=phones,
        mails=mails,
        hosts=hosts,
        recent=await _recent_replies(session, appeal),
        is_private=message is not None and message.kind == "message",
    )


async def _topic_names(session: AsyncSession, topic_id: UUID | None) -> tuple[str, ...]:
    if topic_id is None:
        return ()
    row = (
        await session.execute(
            select(Topic.name, Topic.aliases, TopicGroup.name)
            .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
            .where(Topic.id == topic_id)
        )
    ).one()
    return (row[0], *row[1], *([row[2]] if row[2] else []))


async def _official_contacts(
    session: AsyncSession, organisation_id: UUID | None
) -> tuple[frozenset[str], frozenset[str], frozenset[str] | None]:
    """Return official phones, e-mail addresses and allowed hosts: of the organisation, of its superior
    organisations, and from the settings. The hosts are None if every host is allowed.
    """
    phones: set[str] = set()
    mails: set[str] = set()
    hosts = set(settings().reply_link_hosts)
    for contact in settings().reply_allowed_contacts:
        if "@" in contact:
            mails.add(contact)
        else:
            phones |= phone_numbers(contact)
    if organisation_id is not None:
        above = select(func.unnest(Organisation.lineage)).where(Organisation.id == organisation_id)
        rows = await session.execute(
            select(Organisation.phone, Organisation.email, Organisation.site).where(
                (Organisation.id == organisation_id) | Organisation.id.in_(above)
            )
        )
        for phone, mail, site in rows:
            phones |= phone_numbers(phone or "")
            mails |= {mail.lower()} if mail else set()
            hosts |= {host} if site and (host := host_of(site)) else set()
    return frozenset(phones), frozenset(mails), frozenset(hosts) if settings().reply_link_hosts else None


async def _recent_replies(session: AsyncSession, appeal: Appeal) -> tuple[RecentReply, ...]:
    """Return the last published replies of the organisation. The number of appeals that are read is limited."""
    if appeal.organisation_id is None:
        return ()
    latest = (
        select(Appeal.id, Appeal.number)
        .where(Appeal.organisation_id == appeal.organisation_id, Appeal.id != appeal.id)
        .order_by(Appeal.opened_at.desc(), Appeal.id.desc())
        .limit(_RECENT_APPEALS)
        .subquery()
    )
    rows = await session.execute(
        select(latest.c.number, func.left(Reply.text, _COMPARED_LENGTH))
        .join(latest, latest.c.id == Reply.appeal_id)
        .where(Reply.status == "published", Reply.origin == "gospablik")
        .order_by(Reply.created_at.desc(), Reply.id.desc())
        .limit(_RECENT_REPLIES)
    )
    return tuple(RecentReply(number, text) for number, text in rows)
