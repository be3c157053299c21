"""The data that a moderator sees of one appeal in the queue, loaded with few API calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.console.pages.queue.queue_state import QueueState
from services.console.site.visit import Visit, together
from services.console.words.marked_words import Part, Reason, marked, reasons

Document = dict[str, Any]
RIGHT = "appeals:triage"
_THREAD = 7
_DIGITS = 3


@dataclass(frozen=True)
class Upcoming:
    """The next appeals of the queue, and how many the queue has in all."""

    items: Sequence[Document]
    remaining: int

    def first(self, *, besides: str = "") -> Document | None:
        """Return the next appeal other than `besides`; None if there is none."""
        return next((item for item in self.items if item["id"] != besides), None)


@dataclass(frozen=True)
class Candidate:
    """An organisation that may have to answer, with the reason."""

    id: str
    name: str
    why: str
    confidence: float | None = None


@dataclass(frozen=True)
class Screen:
    """An appeal and the data that helps to decide about it. `message` is the message that is decided on."""

    appeal: Document
    message: Document | None = None
    thread: Sequence[Document] = ()
    parts: Sequence[Part] = ()
    reasons: Sequence[Reason] = ()
    candidates: Sequence[Candidate] = field(default_factory=tuple)
    municipalities: Sequence[Document] = ()

    @property
    def returned(self) -> Document | None:
        """Return the last return of the appeal; None unless the appeal is in triage because of it."""
        steps = [step for step in self.appeal["assignments"] if step["kind"] == "returned"]
        return steps[-1] if steps and self.appeal["triage_reason"] == "returned" else None

    @property
    def classification(self) -> Document:
        """Return the classification of the message; without one, the known values of the appeal in the same
        form.
        """
        of_message: Document | None = self.message and self.message["classification"]
        return of_message or {"type": None, "topic": self.appeal["topic"], "top3": [], "why": "", "version": 0}


async def upcoming(visit: Visit, state: QueueState) -> Upcoming:
    """Return the first urgent and the first other appeals, each opened longest ago first."""
    waiting: dict[str, Any] = {"status": "triage", "triage_reason": state.reasons}
    urgent, normal, counts = await together(
        visit.api.get("/appeals", {**waiting, "urgency": "high", **state.parameters(2, urgent=True)}),
        visit.api.get("/appeals", {**waiting, "urgency": "normal", **state.parameters(2)}),
        visit.api.get("/appeals/counts", waiting),
    )
    return Upcoming(state.unskipped([*urgent["items"], *normal["items"]]), counts["total"])


async def load(visit: Visit, appeal_id: str) -> Screen:
    """Return the screen of an appeal: its message, the earlier messages of the thread, the candidates."""
    appeal = await visit.api.get(f"/appeals/{appeal_id}")
    message = decided_message(appeal)
    thread, municipalities = await together(_thread(visit, appeal, message), _municipalities(visit, appeal))
    why = (message and message["classification"] and message["classification"]["why"]) or ""
    return Screen(
        appeal,
        message,
        thread,
        marked(message["text"] if message else appeal["text"], why),
        reasons(why),
        candidates(appeal),
        municipalities,
    )


def decided_message(appeal: Document) -> Document | None:
    """Return the message that a decision is about: the last unclear one, otherwise the first; None without
    messages.
    """
    messages: list[Document] = appeal["messages"]
    unclear = [one for one in messages if (one["classification"] or {}).get("needs_answer") == "unsure"]
    return unclear[-1] if unclear else messages[0] if messages else None


def candidates(appeal: Document) -> list[Candidate]:
    """Return up to three likely organisations: the present one, those that the rules suggest, the page's owner;
    not the one that has returned the appeal.
    """
    found = []
    if (present := appeal["organisation"]) is not None:
        found.append(Candidate(present["id"], present["name"], "Обращение уже у этой организации"))
    found += [
        Candidate(one["organisation_id"], one["organisation"]["name"], one["why"], one["confidence"])
        for one in appeal["route"]["suggestions"]
    ]
    if appeal["page"] is not None:
        owner = appeal["page"]["organisation"]
        found.append(Candidate(owner["id"], owner["name"], "Владелец страницы"))
    former = appeal["route"]["returned_by"] if appeal["triage_reason"] == "returned" else None
    first = {one.id: one for one in reversed(found) if one.id != former}
    return [one for one in dict.fromkeys(found) if first.get(one.id) is one][:_DIGITS]


async def _municipalities(visit: Visit, appeal: Document) -> list[Document]:
    """Return the municipalities to choose from, if triage needs a location; otherwise none."""
    if appeal["triage_reason"] not in {"no_role_holder", "several_role_holders"}:
        return []
    items: list[Document] = (await visit.api.get("/municipalities", {"limit": 200}))["items"]
    return items


async def _thread(visit: Visit, appeal: Document, message: Document | None) -> list[Document]:
    """Return the last messages before this one in its thread; a wall post begins its thread, so it has none."""
    if message is None or message["kind"] == "wall_post":
        return []
    before = {"thread_key": appeal["thread_key"], "received_to": message["received_at"], "limit": _THREAD}
    detail, listed = await together(
        visit.api.get(f"/messages/{message['id']}"), visit.api.get("/messages", before)
    )
    written = datetime.fromisoformat(message["written_at"])
    above = [one for one in listed["items"] if datetime.fromisoformat(one["written_at"]) <= written]
    for one in above:
        one["same_author"] = one["author_key"] is not None and one["author_key"] == detail["author_key"]
    return sorted((one for one in above if one["id"] != message["id"]), key=lambda one: str(one["written_at"]))
