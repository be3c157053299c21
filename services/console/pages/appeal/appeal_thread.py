"""The thread of an appeal: the citizen's messages and the replies, oldest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.console.pages.appeal.appeal_locations import Document, location_words
from services.console.words.marked_words import Part, marked

_MEDIA = {
    "photo": "фото",
    "video": "видео",
    "audio": "аудио",
    "doc": "файл",
    "link": "ссылка",
    "sticker": "стикер",
    "audio_message": "голосовое сообщение",
}
# Replies in these statuses are not published yet.
_UNFINISHED = {"draft", "on_approval", "queued", "sending", "uncertain", "failed"}


@dataclass(frozen=True)
class Entry:
    """A message or a reply. `opens`: this message opened the appeal."""

    at: str
    message: Document | None = None
    reply: Document | None = None
    opens: bool = False
    parts: Sequence[Part] = ()
    media: str = ""
    location: str = ""
    other_matter: str | None = None
    feedback: Document | None = None
    unfinished: bool = False


def thread_of(appeal: Document) -> list[Entry]:
    """Return the entries, oldest first; replies that are not published yet have the time of their creation."""
    matters = {found["message_id"]: found["reason"] for found in appeal["possible_other_matters"]}
    opened_by = _opening_message(appeal)
    said = {found["reply_id"]: found for found in appeal["feedback"]}
    entries = [_message(message, opened_by, matters) for message in appeal["messages"]]
    entries += [
        Entry(
            at=reply["published_at"] or reply["created_at"],
            reply=reply,
            feedback=said.get(reply["id"]),
            unfinished=reply["status"] in _UNFINISHED,
        )
        for reply in appeal["replies"]
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _message(message: Document, opened_by: str | None, matters: Mapping[str, str]) -> Entry:
    classified = message["classification"]
    return Entry(
        at=message["written_at"],
        message=message,
        opens=message["id"] == opened_by,
        parts=marked(message["text"], (classified or {}).get("why", "")),
        media=_media(message["attachments"]),
        location=location_words((classified or {}).get("location")),
        other_matter=matters.get(message["id"]),
    )


def _opening_message(appeal: Document) -> str | None:
    """Return the id of the message that opened the appeal; without a known one, that of the first message."""
    begun = [found["id"] for found in appeal["messages"] if found["written_at"] == appeal["written_at"]]
    if begun:
        return str(begun[0])
    return str(appeal["messages"][0]["id"]) if appeal["messages"] else None


def _media(attachments: Sequence[Any]) -> str:
    """Return the kinds of attachments in words: «фото, видео»."""
    kinds = [found.get("type") for found in attachments if isinstance(found, Mapping)]
    named = [_MEDIA.get(str(kind).lower(), "вложение") for kind in kinds]
    return ", ".join(
        f"{name} × {named.count(name)}" if named.count(name) > 1 else name for name in dict.fromkeys(named)
    )
