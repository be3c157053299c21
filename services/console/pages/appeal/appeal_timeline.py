"""The timeline of an appeal: what happened, when, and who did it."""

from dataclasses import dataclass

from services.console.pages.appeal.appeal_locations import (
    Document,
    municipality_names,
    organisation_names,
    topic_names,
)
from services.console.pages.appeal.appeal_sentences import SENTENCES, Names

_DETAILS = ("why", "reason", "remarks", "deadline", "note")
# Entries whose `reason` is a code or a text for developers: their sentence says what matters.
_WITHOUT_REASON = frozenset({"extension_ended", "incident_reply_skipped"})


@dataclass(frozen=True)
class ShownEntry:
    """A timeline entry; `actor` is None for the system; `other_id` and `other_number` are those of another
    appeal.
    """

    at: str
    text: str
    actor: str | None
    details: tuple[str, ...]
    other_id: str | None = None
    other_number: int | None = None


def shown_timeline(appeal: Document) -> list[ShownEntry]:
    """Return the timeline of an appeal, oldest first."""
    names = Names(organisation_names(appeal), topic_names(appeal), municipality_names(appeal))
    return [_shown_entry(entry, names) for entry in appeal["timeline"]]


def _shown_entry(entry: Document, names: Names) -> ShownEntry:
    kind, data, actor = entry["kind"], entry["data"], entry["actor"]
    sentence = SENTENCES.get(kind)
    shown = [name for name in _DETAILS if not (name == "reason" and kind in _WITHOUT_REASON)]
    return ShownEntry(
        at=entry["at"],
        text=sentence(data, names) if sentence else "Обращение изменено",
        actor=None if actor["kind"] == "system" else actor["name"],
        details=tuple(str(data[name]) for name in shown if data.get(name)),
        other_id=data.get("appeal_id") or data.get("split_from"),
        other_number=data.get("number"),
    )
