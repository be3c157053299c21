"""People decide: whether a message needs an answer, where a case goes, that a case is opened by hand."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.classifier_pool import Item, judging
from services.appeals.classification.types import ANSWERED_TYPES, Context, Judgement, is_machine
from services.appeals.inbound.appeal_matching import Desk, Opening, Taken, key_of
from services.appeals.inbound.thread_context import Around, messages_query
from services.appeals.lifecycle import assignments, transitions
from services.appeals.lifecycle.actors import NETWORK, SYSTEM
from services.appeals.lifecycle.assignments import require_organisation
from services.appeals.lifecycle.timeline import Journal
from services.appeals.lifecycle.workflow import Outcome
from services.appeals.moderation import reviews
from services.appeals.moderation.corrections import Wishes, check, place_of
from services.appeals.routing.context import Reference
from services.appeals.routing.engine import Route
from services.appeals.sla import clocks
from shared import clock
from shared.api.preconditions import UNSEEN, Seen
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, DecidedByAnother, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal, AppealMessage, Reply, Review, TimelineEntry, Topic, Triage
from shared.tables.ingest import Message

_WHY = "Решение модератора"


@dataclass(frozen=True)
class Decided:
    """What became of a person's decision about a message.

    `rerouted`: the corrected class or place gave the case another owner; `suggested` is whom the rules would give
    it to now, where that is another one than it has.
    """

    judged: Triage
    review: Review
    appeal: Appeal | None
    rerouted: bool = False
    suggested: Route | None = None


@dataclass
class _Case:
    """A case in the hands of a person. `begun`: the owner works on it; `placed`: a person chose the owner.

    `refused`: who gave it back; only a person who names them gives it to them again.
    """

    appeal: Appeal
    begun: bool
    placed: bool
    others_need: bool
    refused: Collection[UUID] = ()
    rerouted: bool = False
    suggested: Route | None = None

    @staticmethod
    async def load(session: AsyncSession, appeal: Appeal, message_id: UUID | None) -> "_Case":
        replies = exists().where(Reply.appeal_id == appeal.id)
        others = exists().where(
            AppealMessage.appeal_id == appeal.id,
            AppealMessage.message_id != message_id,
            Triage.message_id == AppealMessage.message_id,
            Triage.needs_answer != "no",
        )
        replied, moved, others_need = (
            await session.execute(select(replies, assignments.by_people(appeal.id), others))
        ).one()
        begun = replied or appeal.status not in {"triage", "assigned"}
        return _Case(appeal, begun, moved, others_need, await assignments.gave_back(session, appeal))


async def _read(item: Item) -> Judgement:
    return (await judging().judge_now(item)).judgement


def _as_judged(found: reviews.Snapshot, reference: Reference) -> Judgement:
    """A kept judgement as triage speaks of it."""
    codes = {topic_id: code for code, topic_id in reference.topic_ids.items()}
    places = {oktmo: name for name, oktmo in reference.municipalities.items()}
    same = ("needs_answer", "type", "urgency", "confidence", "topic_confidence", "settlement", "street", "house",
            "place_from", "language", "fault", "why")  # fmt: skip
    likely = ((codes.get(UUID(one["topic_id"])), one["confidence"]) for one in found["top3"])
    return Judgement(
        **{name: found[name] for name in same},
        topic=codes.get(UUID(found["topic_id"])) if found["topic_id"] else None,
        top=tuple((code, chance) for code, chance in likely if code is not None),
        municipality=places.get(found["municipality"]),
    )


def _judgement(
    read: Judgement, wishes: Wishes, topic: Topic | None, reference: Reference, *, needs_answer: bool
) -> Judgement:
    """A person's decision, completed by what was read in the words."""
    kind = wishes.type or (
        read.type if (read.type in ANSWERED_TYPES) == needs_answer else "request" if needs_answer else "chatter"
    )
    if not needs_answer:
        return Judgement("no", kind, "normal", None, 1.0, _WHY, language=read.language)
    found = replace(
        read,
        needs_answer="yes",
        type=kind,
        urgency="high" if (wishes.urgency or read.urgency) == "high" else "normal",
        topic=topic.code if topic else read.topic,
        # What a person named or confirmed is certain.
        topic_confidence=1.0 if topic or (wishes.confirms and read.topic) else read.topic_confidence,
        confidence=1.0,
        why=_WHY,
    )
    if not wishes.about_place:
        return found
    oktmo = reference.oktmo(read)
    place = wishes.placed(
        {"municipality": oktmo, "settlement": read.settlement, "street": read.street, "house": read.house}
    )
    names = {oktmo: name for name, oktmo in reference.municipalities.items()}
    return replace(
        found,
        municipality=names.get(place["municipality"] or ""),
        settlement=place["settlement"],
        street=place["street"],
        house=place["house"],
        place_from="person" if any(place.values()) else None,
    )


async def decide(
    session: WriteSession,
    caller: Caller,
    message_id: UUID,
    wishes: Wishes,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
) -> Decided:
    """A person confirms or corrects what was judged of a message, for it and its case.

    Yes opens a case, joins the open one, or starts the clock of an unclear one; no ends a case that nobody has
    begun and no other message needs. Raises `NotFound`, `Invalid`, `Conflict` when the case has gone further, and
    as `reviews.check_seen` does.
    """
    await reviews.lock(session, message_id)
    message = await session.scalar(messages_query().where(Message.id == message_id))
    if message is None:
        raise NotFound("No such message")
    if message.from_community:
        raise Conflict("The page's own words need no answer")
    return await _decide(session, caller, message, wishes, needs_answer=needs_answer, seen=seen)


async def _decide(
    session: WriteSession,
    caller: Caller,
    message: Message,
    wishes: Wishes,
    *,
    needs_answer: bool,
    seen: Seen = UNSEEN,
) -> Decided:
    topic = await check(session, wishes, needs_answer=needs_answer)
    desk = await Desk.load(session, [message])
    known = {case.organisation_id for case in desk.cases.values() if case.organisation_id}
    reference = await Reference.load(
        session, {message.page_id}, known | ({wishes.organisation_id} if wishes.organisation_id else set())
    )
    found = desk.cases.get(desk.by_message.get(message.id, message.id))
    case = await _Case.load(session, found, message.id) if found else None
    former = await session.get(Review, message.id, populate_existing=True)
    triage = await session.get(Triage, message.id, populate_existing=True)
    reviews.check_seen(seen, triage, former, caller, wishes, needs_answer=needs_answer)
    if found is not None and not seen.given:
        # A colleague who moved the appeal has judged no message: no review tells of it.
        await _refuse_replacing(session, caller, found, Wishes(organisation_id=wishes.organisation_id))
    before = reviews.snapshot(triage) if triage else {}
    judged, judged_by = _first(triage, before, await reviews.proposed_owner(session, found))
    owner = (found.organisation_id or reviews.suggested_owner(found)) if found else None
    # Who takes back that nothing is needed gets the class that was judged at first.
    restored = former.judged if former and needs_answer and before.get("needs_answer") == "no" else None
    kept = restored or before
    if kept:
        read = _as_judged(kept, reference)
    else:
        around = await Around.load(session, [message])
        read = await _read(around.item(message))
    judgement = _judgement(read, wishes, topic, reference, needs_answer=needs_answer)
    journal = Journal()
    opening = Opening(session, reference, journal, desk)
    opens = found is None and desk.case_for(key_of(message)) is None
    # A case that is there gets its owner by all that the person says; so does a new one whose owner they name.
    settles = opens and wishes.organisation_id is None
    item = Taken(message, judgement, caller.actor, caller.actor, settles=settles)
    if found is None and needs_answer:
        await opening.open_for([item])
    appeal = opening.take(item)
    if appeal is not None and needs_answer:
        case = case or await _Case.load(session, appeal, message.id)
        _correct(case, wishes, judgement, caller, reference=reference, journal=journal)
    elif case is not None:
        _end(case, caller, reference, journal)
    await _flush(session)
    await opening.finish()
    # Who confirms agrees with the owner that they saw, if that is who has the case now.
    agreed = owner if appeal is not None and appeal.organisation_id == owner else None
    review = await reviews.keep(
        session,
        message.id,
        judged,
        judged_by,
        reviews.said(wishes, kept, agreed, needs_answer=needs_answer),
        groups=reference.groups,
        organisation_id=(case.appeal.organisation_id if case else None) or message.organisation_id,
        reviewed_by=caller.actor,
    )
    stored = await session.get_one(Triage, message.id, populate_existing=True)
    return Decided(stored, review, appeal, case.rerouted if case else False, case.suggested if case else None)


def _first(triage: Triage | None, before: reviews.Snapshot, owner: UUID | None) -> tuple[reviews.Snapshot, str]:
    """What was judged before any person did, and by what; nothing by nobody where a person was the first."""
    if triage is None or not is_machine(triage.judged_by):
        return {}, reviews.NOBODY
    return before | {"organisation_id": str(owner) if owner else None}, triage.judged_by


async def _flush(session: WriteSession) -> None:
    """Write the case. Raises `Conflict` when its author has another open case in the thread: two cannot live."""
    try:
        await session.flush()
    except IntegrityError as error:
        if "uq_appeals_open_thread" not in str(error.orig):
            raise
        raise Conflict("The citizen has another open case in this thread: work on that one") from error


def _end(case: _Case, caller: Caller, reference: Reference, journal: Journal) -> None:
    """No answer is due to the message: nor to its case, unless another message of it needs one."""
    appeal = case.appeal
    if case.others_need or appeal.status in {"not_required", "closed", "merged", "answered"}:
        journal.note(appeal, "triaged", caller.actor, needs_answer="no")
    elif appeal.status == "triage" and appeal.first_response_at is not None:
        # An unclear message after an answer: the answer stands.
        appeal.status = "answered"
        journal.note(appeal, "triaged", caller.actor, needs_answer="no")
    elif not case.begun:
        transitions.move(appeal, "not_required", caller, reference, journal, reason=_WHY)
    else:
        raise Conflict(
            f"The case is «{appeal.status}»: move it to «not_required» if no answer is due",
            appeal_id=str(appeal.id),
        )


def _correct(
    case: _Case,
    wishes: Wishes,
    judgement: Judgement | None,
    caller: Caller,
    *,
    reference: Reference,
    journal: Journal,
) -> None:
    """Lay the person's words over the case, and give it the owner that they, or else the rules, name."""
    appeal, actor = case.appeal, caller.actor
    before = transitions.class_of(appeal)
    changed = _change_class(appeal, wishes, caller, reference, journal)
    if judgement is not None:
        appeal.topic_id = appeal.topic_id or reference.topic_id(judgement)
    _make_certain(appeal, wishes, reference.topic_id(judgement) if judgement is not None else None)
    route = reference.route_case(appeal)
    if wishes.organisation_id is not None and wishes.organisation_id != appeal.organisation_id:
        if appeal.status in {"answered", "closed", "merged"}:
            raise Conflict(f"The case is «{appeal.status}»: only one that is open gets another owner")
        by_hand = {"reason": _WHY, "rule_id": None, "confidence": 1.0}
        transitions.accept(appeal, wishes.organisation_id, reference, journal, actor, route=by_hand)
    elif appeal.status in {"triage", "not_required"}:
        owner = appeal.organisation_id or route.organisation_id
        if owner is not None and (appeal.organisation_id is not None or owner not in case.refused):
            urgency = "high" if judgement is not None and judgement.urgency == "high" else None
            transitions.accept(
                appeal, owner, reference, journal, actor, route=route.stored(), urgency=urgency, handing="routed"
            )
        else:
            _wait(appeal, route, actor, journal)
    elif changed and route.organisation_id is not None and not (case.begun or case.placed):
        case.rerouted = route.organisation_id != appeal.organisation_id
        if case.rerouted:
            transitions.accept(
                appeal, route.organisation_id, reference, journal, actor, route=route.stored(), handing="rerouted"
            )
    if changed and route.organisation_id not in {None, appeal.organisation_id}:
        case.suggested = route
    appeal.updated_at = clock.now()
    transitions.tell_reclassified(journal, appeal, before, actor)
    if appeal.urgency == "high" != before["urgency"]:
        journal.alert("urgent", appeal, _WHY)


def _wait(appeal: Appeal, route: Route, actor: str, journal: Journal) -> None:
    """An answer is due, and nobody could be named who gives it."""
    transitions.keep_waiting(appeal, route)
    if appeal.status != "triage":
        told: dict[str, Any] = {"from": appeal.status, "to": "triage", "reason": _WHY}
        appeal.status, appeal.closed_at = "triage", None
        journal.note(appeal, "moved", actor, **told)
        journal.tell(appeal, "appeal.moved", actor, **told)


def _make_certain(appeal: Appeal, wishes: Wishes, judged: UUID | None) -> None:
    """The topic that a person named, or confirmed of a message's words, is sure from now on."""
    said = wishes.topic_id or (judged if wishes.confirms else None)
    if said is not None and said == appeal.topic_id:
        appeal.route = {**appeal.route, "topic": {"id": str(said), "confidence": 1.0, "top3": []}}


def _change_class(appeal: Appeal, wishes: Wishes, caller: Caller, reference: Reference, journal: Journal) -> bool:
    """Topic, place and urgency as a person named them; says whether anything is another now."""
    changed = False
    if wishes.topic_id is not None and appeal.topic_id != wishes.topic_id:
        appeal.topic_id = wishes.topic_id
        journal.note(appeal, "topic_changed", caller.actor, topic_id=str(wishes.topic_id))
        changed = True
    before = place_of(appeal)
    if wishes.about_place and (place := wishes.placed(before)) != before:
        for part, value in place.items():
            setattr(appeal, part, value)
        journal.note(appeal, "place_changed", caller.actor, place=place)
        changed = True
    if wishes.urgency is not None and appeal.urgency != wishes.urgency:
        transitions.change_urgency(appeal, wishes.urgency, reference)
        journal.note(appeal, "urgency_changed", caller.actor, urgency=wishes.urgency)
        changed = True
    return changed


async def _refuse_replacing(session: AsyncSession, caller: Caller, appeal: Appeal, wishes: Wishes) -> None:
    """Raise `DecidedByAnother` where another person was the last to set what the caller sets otherwise now."""
    set_otherwise = {
        "topic_changed": wishes.topic_id not in {None, appeal.topic_id},
        "place_changed": wishes.about_place and wishes.placed(place_of(appeal)) != place_of(appeal),
        "urgency_changed": wishes.urgency not in {None, appeal.urgency},
        "assigned": wishes.organisation_id not in {None, appeal.organisation_id},
    }
    entries = await session.scalars(
        select(TimelineEntry)
        .where(
            TimelineEntry.appeal_id == appeal.id,
            TimelineEntry.kind.in_([kind for kind, differs in set_otherwise.items() if differs]),
        )
        .order_by(TimelineEntry.at, TimelineEntry.id)
    )
    for entry in {entry.kind: entry for entry in entries}.values():
        if entry.actor not in {caller.actor, SYSTEM, NETWORK}:
            raise DecidedByAnother(
                "Another person has decided about this appeal. Read it, and send If-Match with its version to "
                "decide otherwise",
                decision={
                    "by": entry.actor,
                    "at": entry.at.isoformat(),
                    "version": appeal.version,
                    "kind": entry.kind,
                },
            )


async def classify(
    session: WriteSession, caller: Caller, appeal: Appeal, wishes: Wishes, *, seen: Seen = UNSEEN
) -> None:
    """A person sets class, place, urgency and owner of a locked case that holds no message.

    Raises `Invalid`, `DecidedByAnother`, or `Conflict` where it holds one: a decision is about the citizen's words
    then.
    """
    message_id = await session.scalar(
        select(AppealMessage.message_id)
        .where(AppealMessage.appeal_id == appeal.id)
        .order_by(AppealMessage.created_at)
        .limit(1)
    )
    if message_id is not None:
        raise Conflict("The case holds a citizen's messages: decide about one of them", message_id=str(message_id))
    await check(session, wishes, needs_answer=True)
    if not seen.given:
        await _refuse_replacing(session, caller, appeal, wishes)
    known = {one for one in (appeal.organisation_id, wishes.organisation_id) if one is not None}
    reference = await Reference.load(session, {appeal.page_id} if appeal.page_id else (), known)
    journal = Journal()
    case = await _Case.load(session, appeal, None)
    _correct(case, wishes, None, caller, reference=reference, journal=journal)
    await _flush(session)
    await journal.write(session)


async def open_from_message(
    session: WriteSession, caller: Caller, message_id: UUID, wishes: Wishes
) -> tuple[Appeal, bool]:
    """Open a case from a stored message, or join its words to the open one; says whether it is new.

    Raises `Invalid` naming `/message_id`, `Conflict` when the message has a case.
    """
    await reviews.lock(session, message_id)
    message = await session.scalar(messages_query().where(Message.id == message_id))
    if message is None:
        raise Invalid.field("/message_id", "No such message")
    if message.from_community:
        raise Invalid.field("/message_id", "The page's own words open no case")
    desk = await Desk.load(session, [message])
    if (present := desk.by_message.get(message.id)) is not None:
        raise Conflict("The message belongs to a case already", appeal_id=str(present))
    joins = desk.case_for(key_of(message)) is not None
    decided = await _decide(session, caller, message, wishes, needs_answer=True)
    if decided.appeal is None:
        raise Conflict("The cases of this thread change too fast; try again")
    return decided.appeal, not joins


async def open_from_text(
    session: WriteSession, caller: Caller, text: str, wishes: Wishes, *, url: str | None
) -> Appeal:
    """Open a case from words that came another way: by phone, on paper. It has no thread to publish in."""
    topic = await check(session, wishes, needs_answer=True)
    reference = await Reference.load(session, (), {wishes.organisation_id} if wishes.organisation_id else ())
    read = await _read((text, Context()))
    judgement = _judgement(read, wishes, topic, reference, needs_answer=True)
    topic_id = wishes.topic_id or reference.topic_id(judgement)
    route = reference.route_message(None, judgement)
    now = clock.now()
    appeal = Appeal(
        id=new_id(), status="triage", urgency=judgement.urgency, outcome=None, topic_id=topic_id, text=text,
        url=url, municipality=reference.oktmo(judgement), settlement=judgement.settlement, street=judgement.street,
        house=judgement.house, fault=judgement.fault, language=judgement.language,
        written_at=now, opened_at=now, organisation_id=None, page_id=None, network=None, thread_key=None,
        author_key=None, route=route.waiting(), created_at=now, updated_at=now,
    )  # fmt: skip
    owner = wishes.organisation_id or route.organisation_id
    if owner is not None:
        by_hand = {"reason": _WHY, "rule_id": None, "confidence": 1.0, "topic": route.topic, "why": route.why}
        appeal.status, appeal.organisation_id, appeal.assigned_at = "assigned", owner, now
        appeal.route = by_hand if wishes.organisation_id else route.stored()
        clocks.set_deadline(appeal, reference.policies, reference.calendar(owner))
    session.add(appeal)
    await session.flush()
    journal = Journal()
    journal.note(appeal, "opened", caller.actor, by_hand=True)
    journal.tell(appeal, "appeal.opened", caller.actor)
    if owner is not None:
        handing: transitions.Handing = "assigned" if wishes.organisation_id else "routed"
        transitions.tell_first_owner(journal, appeal, caller.actor, handing=handing)
    if appeal.urgency == "high":
        journal.alert("urgent", appeal, read.why if read.urgency == "high" else _WHY)
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
    transitions.move(
        appeal, to, caller, reference, journal, organisation_id=organisation_id, reason=reason, outcome=outcome,
        holders=await assignments.holders(session, appeal),
    )  # fmt: skip
    await _flush(session)
    await journal.write(session)
