"""Changes by colleagues while a person worked on an appeal: the fields as the person saw them, and as they are
now.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from services.console.pages.appeal.appeal_locations import Document, location_words
from services.console.pages.appeal.appeal_timeline import ShownEntry, shown_timeline
from services.console.words import formats, labels

_TITLES = {
    "status": "Статус",
    "organisation": "Организация",
    "assignee": "Исполнитель",
    "topic": "Тема",
    "location": "Место",
    "urgency": "Срочность",
    "due": "Ближайший срок",
    "outcome": "Итог",
    "messages": "Сообщений гражданина",
    "replies": "Ответов",
}


@dataclass(frozen=True)
class Difference:
    """A field that has changed since the person saw it."""

    title: str
    before: str
    now: str


@dataclass(frozen=True)
class Conflict:
    """The changes since the person loaded the page: changed fields, and new timeline entries."""

    differences: Sequence[Difference]
    happened: Sequence[ShownEntry]


def seen(appeal: Document) -> str:
    """Return the shown fields of the appeal as JSON, for a hidden field of the page's forms."""
    return json.dumps(_shown(appeal) | {"entries": len(appeal["timeline"])}, ensure_ascii=False)


def conflict_of(before: str, appeal: Document) -> Conflict:
    """Return the changes since the page was shown; `before` is the field that `seen` put into its forms.

    If the field cannot be parsed, only the latest timeline entry is returned.
    """
    try:
        former = dict(json.loads(before))
        known = int(former.pop("entries"))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        former, known = {}, len(appeal["timeline"]) - 1
    now = _shown(appeal)
    differences = [
        Difference(title, str(former[name]), now[name])
        for name, title in _TITLES.items()
        if name in former and str(former[name]) != now[name]
    ]
    return Conflict(differences, shown_timeline(appeal)[max(known, 0) :])


def _shown(appeal: Document) -> dict[str, str]:
    organisation, assignee, topic = appeal["organisation"], appeal["assignee"], appeal["topic"]
    return {
        "status": labels.label(appeal["status"], "appeal_status"),
        "organisation": organisation["name"] if organisation else "у модератора",
        "assignee": assignee["name"] if assignee else "никто",
        "topic": topic["name"] if topic else "не определена",
        "location": location_words(appeal["location"]) or "не определено",
        "urgency": labels.label(appeal["urgency"], "urgency"),
        "due": formats.exact(appeal["next_due_at"])[:16] or "срока нет",
        "outcome": labels.label(appeal["outcome"], "outcome"),
        "messages": str(len(appeal["messages"])),
        "replies": str(len(appeal["replies"])),
    }
