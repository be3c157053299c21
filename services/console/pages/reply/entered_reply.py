"""The content of the reply form: read from a submission or a stored draft, and sent to the API."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.datastructures import FormData, UploadFile

from services.console.site.forms import is_id
from services.console.words.formats import parsed
from shared import clock

_KINDS = ("final", "interim")
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Photo:
    """A photo of the reply: its id, and the file name shown to people."""

    id: str
    name: str


@dataclass(frozen=True)
class EnteredReply:
    """The content of the form. `text` is None if the form had no text field; `kept` is a text shown below for
    copying.
    """

    text: str | None = None
    kind: str = "final"
    promised: str = ""
    outcome: str = ""
    ask_mark: bool = False
    message_id: str = ""
    photos: tuple[Photo, ...] = ()
    reply_id: str = ""
    version: str = ""
    key: str = ""
    kept: str = ""

    @property
    def is_blank(self) -> bool:
        """Return whether there is no text to save."""
        return not (self.text or "").strip()

    @property
    def is_too_long(self) -> bool:
        """Return whether the text is longer than the API accepts."""
        return len(self.text or "") > _MOST_CHARACTERS

    def body(self) -> dict[str, Any]:
        """Return the draft as a request body for the API."""
        interim = self.kind == "interim"
        return {
            "text": self.text,
            "kind": self.kind,
            "promised_at": from_local(self.promised) if interim else None,
            "outcome": None if interim else self.outcome or None,
            "ask_mark": not interim and self.outcome == "solved" and self.ask_mark,
            "message_id": self.message_id or None,
            "attachments": [photo.id for photo in self.photos],
        }

    def same_content(self, reply: Mapping[str, Any]) -> bool:
        """Return whether a stored draft already has this content, and replies to the same message."""
        if self.message_id and self.message_id != reply["in_reply_to"]:
            return False
        return self._content() == EnteredReply.of(reply)._content()

    def _content(self) -> tuple[Any, ...]:
        body = self.body()
        body.pop("message_id")
        return tuple(body.values())

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> "EnteredReply":
        """Return the form filled with a stored draft."""
        return cls(
            text=reply["text"],
            kind=reply["kind"],
            promised=to_local(reply["promised_at"]),
            outcome=reply["outcome"] or "",
            ask_mark=reply["asks_mark"],
            message_id=reply["in_reply_to"] or "",
            photos=tuple(Photo(found["id"], found["name"]) for found in reply["attachments"]),
            reply_id=reply["id"],
            version=str(reply["version"]),
        )

    @classmethod
    def from_form(cls, form: FormData) -> "EnteredReply":
        """Return the content of a submitted form."""
        kind = _text(form, "kind")
        names = [str(value) for value in form.getlist("photo_name")]
        return cls(
            text=_text(form, "text").replace("\r\n", "\n") if "text" in form else None,
            kind=kind if kind in _KINDS else "final",
            promised=_text(form, "promised"),
            outcome=_text(form, "outcome"),
            ask_mark="ask_mark" in form,
            message_id=_text(form, "message_id"),
            photos=tuple(
                Photo(str(found), name) for found, name in zip(form.getlist("photo_id"), names, strict=False)
            ),
            reply_id=reply_id if is_id(reply_id := _text(form, "reply_id")) else "",
            version=_text(form, "version"),
            key=_text(form, "key"),
            kept=_text(form, "kept"),
        )

    def stored_as(self, reply: Mapping[str, Any]) -> "EnteredReply":
        """Return the same content with the id and version of this draft, so that saving overwrites it."""
        return replace(self, reply_id=reply["id"], version=str(reply["version"]))


def chosen_file(form: FormData) -> UploadFile | None:
    """Return the uploaded photo; None if no file was chosen."""
    file = form.get("photo")
    return file if isinstance(file, UploadFile) and file.filename else None


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def to_local(value: str | None) -> str:
    """Return a moment as the value of a `datetime-local` field, in the region's time; empty for None."""
    return f"{parsed(value):%Y-%m-%dT%H:%M}" if value else ""


def from_local(value: str) -> str | None:
    """Return the value of a `datetime-local` field, in the region's time, for the API; None if it is not a
    moment.
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=clock.REGION_TIME_ZONE).isoformat()
