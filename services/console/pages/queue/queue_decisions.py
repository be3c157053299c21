"""A moderator's decisions about an appeal of the queue, and their undo."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Form
from pydantic import BaseModel

from services.console.api_calls.client import Answer
from services.console.site.visit import Visit


class Seen(BaseModel):
    """What the person saw when deciding: the versions of appeal and classification, and whether the appeal had an
    answer.
    """

    message_id: str = ""
    version: int
    classification_version: int = 0
    answered: bool = False


class AssignmentForm(Seen):
    """The organisation that must answer; empty: the routing rules choose it. `was_urgent` is what the box `urgent`
    showed at first.
    """

    organisation_id: str = ""
    urgent: bool = False
    was_urgent: bool = False


class NoAnswerForm(Seen):
    """Why no answer is needed: the value of a `NoAnswerReason`, or empty."""

    reason: str = ""


class TopicForm(Seen):
    """The right topic."""

    topic_id: str


class LocationForm(Seen):
    """Where the problem is: a municipality, and a settlement in it."""

    municipality: str
    settlement: str = ""


Assignment = Annotated[AssignmentForm, Form()]
NoAnswer = Annotated[NoAnswerForm, Form()]
Topic = Annotated[TopicForm, Form()]
Location = Annotated[LocationForm, Form()]


@dataclass(frozen=True)
class NoAnswerReason:
    """A common reason why no answer is needed. `type` becomes the message's type; without a type the reason's
    title is recorded with the appeal.
    """

    value: str
    title: str
    key: str
    type: str | None = None


NO_ANSWER_REASONS = (
    NoAnswerReason("thanks", "Благодарность", "b", "thanks"),
    NoAnswerReason("chatter", "Разговор, мнение", "r", "chatter"),
    NoAnswerReason("spam", "Реклама", "p", "spam"),
    NoAnswerReason("abuse", "Оскорбление", "a", "abuse"),
    NoAnswerReason("region", "Другой регион", "l"),
    NoAnswerReason("solved", "Вопрос уже решён", "d"),
    NoAnswerReason("not_ours", "Не к органам власти", "v"),
)
_BY_VALUE = {one.value: one for one in NO_ANSWER_REASONS}


@dataclass(frozen=True)
class Outcome:
    """The result of a decision. `version` is the appeal's version after it, needed to undo it; None if it cannot
    be undone.
    """

    note: str
    left_queue: bool
    version: int | None


def reasons_for(appeal: dict[str, Any]) -> list[NoAnswerReason]:
    """Return the reasons that can be chosen: an answered appeal cannot be ended with a reason that has no
    `type`.
    """
    return [one for one in NO_ANSWER_REASONS if one.type or appeal["first_response_at"] is None]


async def assign(visit: Visit, appeal_id: str, form: AssignmentForm) -> Outcome:
    """Assign the appeal to the organisation or by the routing rules, and set the urgency if the person changed
    it.
    """
    body: dict[str, Any] = {"organisation_id": form.organisation_id or None}
    if form.urgent != form.was_urgent:
        body["urgency"] = "high" if form.urgent else "normal"
    return _assigned((await _triage(visit, appeal_id, form, body)).data, form)


async def correct_topic(visit: Visit, appeal_id: str, form: TopicForm) -> Outcome:
    """Correct the topic; the routing rules may then assign the appeal."""
    decided = (await _triage(visit, appeal_id, form, {"topic_id": form.topic_id})).data
    return _routed(decided, form, "Тема исправлена.")


async def name_location(visit: Visit, appeal_id: str, form: LocationForm) -> Outcome:
    """Set the location; the routing rules may then assign the appeal."""
    body = {"municipality": form.municipality, "settlement": form.settlement.strip() or None}
    return _routed((await _triage(visit, appeal_id, form, body)).data, form, "Место указано.")


async def end_without_answer(visit: Visit, appeal_id: str, form: NoAnswerForm) -> Outcome:
    """Decide that no answer is needed."""
    reason = _BY_VALUE.get(form.reason)
    if form.message_id and (reason is None or reason.type):
        body = {"needs_answer": False, "type": reason.type if reason else None}
        decided = (await _triage(visit, appeal_id, form, body)).data
    else:
        words = reason.title if reason else "Ответ не нужен"
        decided = (
            await visit.api.send(
                "POST",
                f"/appeals/{appeal_id}/moves",
                {"to": "not_required", "reason": words},
                version=form.version,
            )
        ).data
    return _ended(decided, form)


async def take_back(visit: Visit, appeal_id: str, version: int) -> str:
    """Undo the decision that made this version of the appeal; return the note to show."""
    appeal = (await visit.api.send("POST", f"/appeals/{appeal_id}/undo", version=version)).data
    return f"Решение отменено: обращение № {appeal['number']} снова в очереди."


async def _triage(visit: Visit, appeal_id: str, form: Seen, body: dict[str, Any]) -> Answer:
    """Send a decision about the message, or about the appeal if the appeal has no message."""
    if not form.message_id:
        return await visit.api.send("POST", f"/appeals/{appeal_id}/triage", body, version=form.version)
    return await visit.api.send(
        "POST",
        f"/messages/{form.message_id}/triage",
        {"needs_answer": True, "appeal_version": form.version} | body,
        version=form.classification_version,
    )


def _routed(decided: dict[str, Any], seen: Seen, words: str) -> Outcome:
    if _status(decided) == "triage":
        return Outcome(f"{words} Выберите, кто ответит.", False, _version(decided, seen))
    return _assigned(decided, seen, f"{words} По правилам назначено")


def _assigned(decided: dict[str, Any], seen: Seen, words: str = "Назначено") -> Outcome:
    organisation, status = decided["organisation"], _status(decided)
    if organisation is None or status == "triage":
        return Outcome("Записано, что ответ нужен. Выберите, кто ответит.", False, _version(decided, seen))
    note = f"{words}: {organisation['name']}. Обращение № {_number(decided)}."
    return Outcome(note, True, _version(decided, seen))


def _ended(decided: dict[str, Any], seen: Seen) -> Outcome:
    number, version = _number(decided), _version(decided, seen)
    match _status(decided):
        case "not_required":
            return Outcome(f"Ответ не нужен: обращение № {number} закрыто.", True, version)
        case "triage":
            note = f"Записано. Обращение № {number} остаётся в очереди: ответа ждёт другое сообщение"
            return Outcome(note, False, version)
    note = f"На это сообщение ответ не нужен. Обращение № {number} остаётся отвеченным."
    return Outcome(note, True, version)


def _status(decided: dict[str, Any]) -> str | None:
    status: str | None = decided["appeal_status"] if "appeal_status" in decided else decided["status"]
    return status


def _number(decided: dict[str, Any]) -> int:
    number: int = decided["appeal_number"] if "appeal_number" in decided else decided["number"]
    return number


def _version(decided: dict[str, Any], seen: Seen) -> int | None:
    if seen.answered:
        return None
    version: int = decided["appeal_version"] if "appeal_version" in decided else decided["version"]
    return version
