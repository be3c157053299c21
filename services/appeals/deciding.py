"""People decide: whether a message needs an answer, where a case goes, that a case is opened by hand."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import hands, moving
from services.appeals.intake import Around, messages_query
from services.appeals.opening import Desk, Opening, Taken, key_of
from services.appeals.reference import Reference
from services.appeals.timeline import Journal
from services.appeals.understanding.judgement import Context, Judgement
from services.appeals.understanding.rule import judge
from services.appeals.workflow import Outcome
from shared import clock
from shared.access import Caller
from shared.database import WriteSession
from shared.ids import new_id
from shared.problems import Conflict, Invalid, NotFound
from shared.tables.appeals import Appeal, Topic, Triage
from shared.tables.ingest import Message
from shared.tables.registry import Organisation

_WHY = "Решение модератора"


@dataclass(frozen=True)
class Wishes:
    """What a person says about a case besides that it is one."""

    organisation_id: UUID | None = None
    topic_id: UUID | None = None
    urgency: str | None = None


async def require_organisation(session: AsyncSession, organisation_id: UUID | None) -> None:
    """Raise `Invalid` naming the field unless the organisation exists and works."""
    if organisation_id is None:
        return
    active = await session.scalar(select(Organisation.active).where(Organisation.id == organisation_id))
    if active is None:
        raise Invalid.field("/organisation_id", "No such organisation")
    if not active:
        raise Invalid.field("/organisation_id", "The organisation is closed")


async def require_topic(session: AsyncSession, topic_id: UUID | None) -> Topic | None:
    """The topic; raise `Invalid` naming the field unless it exists."""
    if topic_id is None:
        return None
    topic = await session.get(Topic, topic_id)
    if topic is None or not topic.active:
        raise Invalid.field("/topic_id", "No such topic")
    return topic


async def _judgement(
    session: AsyncSession, text: str, context: Context, reference: Reference, wishes: Wishes, *, needs_answer: bool
) -> Judgement:  # fmt: skip
    """A person's decision, completed by what the rule reads in the words."""
    read = judge(text, context)
    topic = await require_topic(session, wishes.topic_id)
    kind = (
        read.type if (read.needs_answer == "yes") == needs_answer else ("request" if needs_answer else "chatter")
    )
    return Judgement(
        needs_answer="yes" if needs_answer else "no",
        type=kind,
        urgency="high" if needs_answer and (wishes.urgency or read.urgency) == "high" else "normal",
        topic=topic.code if topic else read.topic,
        confidence=1.0,
        why=_WHY,
    )


async def decide(
    session: WriteSession, caller: Caller, message_id: UUID, wishes: Wishes, *, needs_answer: bool
) -> tuple[Triage, Appeal | None]:
    """A person decides about a message. Yes opens a case, joins the open one, or starts the clock of an unclear
    one; no ends an unclear case. Raises `NotFound`, `Invalid`, or `Conflict` when the case has gone further.
    """
    message = await session.scalar(messages_query().where(Message.id == message_id))
    if message is None:
        raise NotFound("No such message")
    if message.from_community:
        raise Conflict("The page's own words need no answer")
    appeal = await _decide(session, caller, message, wishes, needs_answer=needs_answer)
    judged = await session.get_one(Triage, message_id, populate_existing=True)
    return judged, appeal


async def _decide(
    session: WriteSession, caller: Caller, message: Message, wishes: Wishes, *, needs_answer: bool
) -> Appeal | None:
    desk = await Desk.load(session, [message])
    known = {case.organisation_id for case in desk.cases.values() if case.organisation_id}
    if wishes.organisation_id is not None:
        await require_organisation(session, wishes.organisation_id)
        known.add(wishes.organisation_id)
    reference = await Reference.load(session, {message.page_id}, known)
    around = await Around.load(session, [message])
    judgement = await _judgement(
        session, message.text, around.context(message), reference, wishes, needs_answer=needs_answer
    )
    journal = Journal()
    opening = Opening(session, reference, journal, desk)
    appeal_id = desk.by_message.get(message.id)
    appeal = desk.cases.get(appeal_id) if appeal_id else None
    item = Taken(message, judgement, caller.actor, caller.actor)
    if appeal is None and needs_answer:
        await opening.open_for([item])
    if appeal is None:
        appeal = opening.take(item)
    else:
        opening.take(item)
        _settle(appeal, wishes, judgement, caller, reference=reference, journal=journal)
    if appeal is not None and needs_answer:
        _apply(appeal, wishes, caller, reference, journal)
    await _flush(session)
    await opening.finish()
    return appeal


async def _flush(session: WriteSession) -> None:
    """Write the case. Raises `Conflict` when its author has another open case in the thread: two cannot live."""
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_appeals_open_thread" not in str(error.orig):
            raise
        raise Conflict("The citizen has another open case in this thread: work on that one") from error


def _settle(
    appeal: Appeal, wishes: Wishes, judgement: Judgement, caller: Caller, *, reference: Reference, journal: Journal
) -> None:
    """The decision about a message whose case stands already."""
    if judgement.needs_answer == "yes":
        if appeal.status in {"triage", "not_required"}:
            topic_id = wishes.topic_id or appeal.topic_id or reference.topic_id(judgement)
            appeal.topic_id = topic_id
            route = reference.route_case(appeal)
            owner = wishes.organisation_id or appeal.organisation_id or route.organisation_id
            if owner is None:
                raise Conflict("No organisation is suggested: move the case to «assigned» and name it")
            moving.accept(
                appeal, owner, reference, journal, caller.actor, route=route.stored(), urgency=judgement.urgency
            )
        return
    if appeal.status == "triage" and appeal.first_response_at is not None:
        # An unclear message after an answer: the answer stands.
        appeal.status = "answered"
        journal.note(appeal, "triaged", caller.actor, needs_answer="no")
    elif appeal.status == "triage":
        moving.move(appeal, "not_required", caller, reference, journal, reason=_WHY)
    elif appeal.status not in {"not_required", "closed", "merged"}:
        raise Conflict(
            f"The case is «{appeal.status}»: move it to «not_required» if no answer is due",
            appeal_id=str(appeal.id),
        )


def _apply(appeal: Appeal, wishes: Wishes, caller: Caller, reference: Reference, journal: Journal) -> None:
    if wishes.topic_id is not None and appeal.topic_id != wishes.topic_id:
        appeal.topic_id = wishes.topic_id
        journal.note(appeal, "topic_changed", caller.actor, topic_id=str(wishes.topic_id))
    if wishes.urgency is not None and appeal.urgency != wishes.urgency:
        moving.change_urgency(appeal, wishes.urgency, reference)
        journal.note(appeal, "urgency_changed", caller.actor, urgency=wishes.urgency)
    if wishes.organisation_id is not None and appeal.organisation_id != wishes.organisation_id:
        route = {"reason": _WHY, "rule_id": None, "confidence": 1.0}
        moving.accept(appeal, wishes.organisation_id, reference, journal, caller.actor, route=route)
    appeal.updated_at = clock.now()


async def open_from_message(
    session: WriteSession, caller: Caller, message_id: UUID, wishes: Wishes
) -> tuple[Appeal, bool]:
    """Open a case from a stored message, or join its words to the open one; says whether it is new.

    Raises `Invalid` naming `/message_id`, `Conflict` when the message has a case.
    """
    message = await session.scalar(messages_query().where(Message.id == message_id))
    if message is None:
        raise Invalid.field("/message_id", "No such message")
    if message.from_community:
        raise Invalid.field("/message_id", "The page's own words open no case")
    desk = await Desk.load(session, [message])
    if (present := desk.by_message.get(message.id)) is not None:
        raise Conflict("The message belongs to a case already", appeal_id=str(present))
    joins = desk.case_for(key_of(message)) is not None
    appeal = await _decide(session, caller, message, wishes, needs_answer=True)
    if appeal is None:
        raise Conflict("The cases of this thread change too fast; try again")
    return appeal, not joins


async def open_from_text(
    session: WriteSession, caller: Caller, text: str, wishes: Wishes, *, url: str | None
) -> Appeal:
    """Open a case from words that came another way: by phone, on paper. It has no thread to publish in."""
    await require_organisation(session, wishes.organisation_id)
    reference = await Reference.load(session, (), {wishes.organisation_id} if wishes.organisation_id else ())
    judgement = await _judgement(session, text, Context(), reference, wishes, needs_answer=True)
    topic_id = wishes.topic_id or reference.topic_id(judgement)
    route = reference.route(
        page_id=None,
        topic_id=topic_id,
        municipality=reference.oktmo(judgement),
        settlement=judgement.settlement,
        urgency=judgement.urgency,
        confidence=None if wishes.topic_id else judgement.topic_confidence,
        why=judgement.why,
    )
    now = clock.now()
    appeal = Appeal(
        id=new_id(), status="triage", urgency=judgement.urgency, outcome=None, topic_id=topic_id, text=text,
        url=url,
        written_at=now, opened_at=now, organisation_id=None, page_id=None, network=None, thread_key=None,
        author_key=None, route=route.waiting(), created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(appeal)
    await session.flush()
    journal = Journal()
    journal.note(appeal, "opened", caller.actor, by_hand=True)
    owner = wishes.organisation_id or route.organisation_id
    if owner is not None:
        by_hand = {"reason": _WHY, "rule_id": None, "confidence": 1.0}
        chosen = by_hand if wishes.organisation_id else route.stored()
        handing: moving.Handing = "assigned" if wishes.organisation_id else "routed"
        moving.accept(appeal, owner, reference, journal, caller.actor, route=chosen, handing=handing)
    journal.tell(appeal, "appeal.opened", caller.actor)
    await journal.write(session)
    return appeal


async def move(
    session: WriteSession,
    caller: Caller,
    appeal: Appeal,
    to: str,
    *,
    organisation_id: UUID | None,
    reason: str | None,
    outcome: Outcome | None,
) -> None:
    """A person moves a locked case. Raises as `moving.move` does, and `Invalid` for an unknown organisation."""
    await require_organisation(session, organisation_id)
    organisations = {found for found in (organisation_id, appeal.organisation_id) if found}
    suggested = appeal.route.get("suggested_organisation_id")
    if suggested:
        organisations.add(UUID(suggested))
    reference = await Reference.load(session, {appeal.page_id} if appeal.page_id else (), organisations)
    journal = Journal()
    moving.move(
        appeal, to, caller, reference, journal, organisation_id=organisation_id, reason=reason, outcome=outcome,
        holders=await hands.holders(session, appeal),
    )  # fmt: skip
    await _flush(session)
    await journal.write(session)
