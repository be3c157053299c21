"""The beginning of made-up appeals: the message or submission that opens them, triage, and the assignment."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cli.demo.past import matters
from cli.demo.past.appeal_draft import MADE_UP_WHY, AppealDraft, Surroundings
from cli.demo.past.region_facts import Body
from cli.demo.past.volumes import Occasion
from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.sla import clocks
from shared.tables.appeals import Appeal

POS = "pos"
_REASON, _NO_ANSWER = "Отвечает владелец вопроса в районе", "Ответ не требуется"
_POS_SHARE, _NOT_REQUIRED_SHARE, _TRIAGE_SHARE = 0.16, 0.05, 0.3
_URGENT_SHARE, _DELETED_SHARE = 0.15, 0.025
_TRIAGE_WITHIN = timedelta(days=1)


def open_appeal(at: Surroundings, occasion: Occasion) -> AppealDraft:
    """Return a new appeal and add the rows that open it. It is assigned, in triage, or needs no answer."""
    rng, matter = at.rng, occasion.matter
    district = at.region.bodies[occasion.district]
    owner = at.region.owner(matter, district, rng)
    page = None if rng.random() < _POS_SHARE else at.network.choose_page(owner, district)
    settlement, street = rng.choice(matters.DISTRICTS[occasion.district][1]), rng.choice(matters.STREETS)
    text = _question(at, occasion, settlement, street)
    written = occasion.at.astimezone(UTC)
    opened = min(written + timedelta(seconds=rng.uniform(2, 40)), at.now)
    status = "assigned"
    if page is not None and rng.random() < _NOT_REQUIRED_SHARE:
        status, text = "triage", rng.choice(matters.NOT_QUESTIONS)
    elif at.now - opened < _TRIAGE_WITHIN and rng.random() < _TRIAGE_SHARE:
        status = "triage"
    is_chatter = text in matters.NOT_QUESTIONS
    thread = at.network.new_thread(page) if page is not None else None
    appeal = Appeal(
        id=at.ids.new(opened),
        version=1,
        status=status,
        urgency="high" if matter.utility_failure is not None and rng.random() < _URGENT_SHARE else "normal",
        organisation_id=owner.id if status == "assigned" else None,
        topic_id=None if is_chatter else at.region.topics.get(matter.topic),
        municipality=district.municipality,
        settlement=settlement,
        street=street if street in text else None,
        utility_failure=None if is_chatter else matter.utility_failure,
        language="ru",
        page_id=page.id if page is not None else None,
        network=page.network if page is not None else None,
        thread_key=thread.key if thread is not None else None,
        author_key=f"{rng.getrandbits(128):032x}" if page is not None else None,
        url=thread.url(1) if thread is not None else None,
        source=None if page is not None else POS,
        legal_regime="open_source_message",
        text=text,
        written_at=written,
        opened_at=opened,
        assigned_at=opened if status == "assigned" else None,
        route=_route(status, owner),
        created_at=opened,
        updated_at=opened,
        clocks=[],
    )
    draft = AppealDraft(at, appeal, matter, owner, street)
    _add_opening(draft, "no" if is_chatter else "yes" if status == "assigned" else "unsure")
    if status == "assigned":
        _assign(draft)
    elif is_chatter:
        _decide_no_answer(draft)
    return draft


def _question(at: Surroundings, occasion: Occasion, settlement: str, street: str) -> str:
    days = at.rng.randrange(3, 15)
    text = at.rng.choice(occasion.matter.questions).format(place=settlement, street=street, days=days)
    stop = "" if text.endswith(("?", "!")) else "."
    return at.rng.choice(matters.GREETINGS) + text + stop + at.rng.choice(matters.TAILS)


def _route(status: str, owner: Body) -> dict[str, Any]:
    if status == "assigned":
        return {"reason": _REASON, "confidence": 0.9}
    return {
        "reason": "Не ясно, требуется ли ответ",
        "triage_reason": "need_unclear",
        "suggested_organisation_id": str(owner.id),
        "confidence": 0.4,
    }


def _add_opening(draft: AppealDraft, needs_answer: str) -> None:
    appeal, at = draft.appeal, draft.at
    if appeal.network is None:
        at.writer.add(
            "appeal_submissions",
            appeal_id=appeal.id,
            source=POS,
            external_id=f"made-up-{appeal.id}",
            fingerprint=MADE_UP_WHY,
            extra={},
            created_at=appeal.opened_at,
        )
        draft.note(appeal.opened_at, "opened", manual=True, source=POS)
        return
    message = draft.message = draft.add_message(appeal.text, appeal.written_at, appeal.opened_at, needs_answer)
    draft.note(appeal.opened_at, "opened", message_id=str(message.id), why=MADE_UP_WHY, status=appeal.status)


def delete_by_community(draft: AppealDraft) -> None:
    """Record, for a few appeals, that the community deleted the question, before or after an answer."""
    appeal, at, message = draft.appeal, draft.at, draft.message
    deleted_at = appeal.opened_at + timedelta(hours=at.rng.uniform(0.5, 30))
    if message is None or at.rng.random() >= _DELETED_SHARE or deleted_at >= at.now:
        return
    message.deleted_by, message.deleted_at = "community", deleted_at
    before_answer = appeal.first_response_at is None or deleted_at < appeal.first_response_at
    draft.note(
        deleted_at,
        "message_deleted",
        message_id=str(message.id),
        deleted_by="community",
        before_answer=before_answer,
    )


def _assign(draft: AppealDraft) -> None:
    appeal, at = draft.appeal, draft.at
    clocks.start_first_response_clock(appeal, at.region.sla, SYSTEM_ACTOR)
    at.writer.add(
        "assignments",
        id=at.ids.new(appeal.opened_at),
        appeal_id=appeal.id,
        at=appeal.opened_at,
        kind="routed",
        to_organisation_id=appeal.organisation_id,
        reason=_REASON,
        actor=SYSTEM_ACTOR,
    )
    draft.note(
        appeal.opened_at,
        "assigned",
        organisation_id=str(appeal.organisation_id),
        reason=_REASON,
        deadline=clocks.first_response_text(appeal, at.region.sla),
    )


def _decide_no_answer(draft: AppealDraft) -> None:
    decided_at = draft.appeal.opened_at + timedelta(hours=draft.at.rng.uniform(0.2, 5))
    _end(draft, decided_at, "not_required", _NO_ANSWER)


def close_unanswered(draft: AppealDraft, reason: str) -> None:
    """Close the appeal without an answer. Its clocks keep running, as when a person closes an appeal."""
    _end(draft, draft.appeal.opened_at + timedelta(hours=draft.at.rng.uniform(2, 60)), "closed", reason)


def _end(draft: AppealDraft, moment: datetime, status: str, reason: str) -> None:
    appeal = draft.appeal
    if moment >= draft.at.now:
        return
    payload = {"from": appeal.status, "to": status, "reason": reason}
    appeal.status, appeal.closed_at = status, moment
    draft.note(moment, "moved", draft.at.region.author or SYSTEM_ACTOR, **payload)
