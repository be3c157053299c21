"""What the form of a reply holds: read from the request, or from a stored draft; and as the API takes it."""

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
    """A photo of the reply: its id, and its name for people."""

    id: str
    name: str


@dataclass(frozen=True)
class EnteredReply:
    """The content of the form. `text` is None where the form had no text to write in."""

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
        """Return whether there is no text that could be saved."""
        return not (self.text or "").strip()

    @property
    def is_too_long(self) -> bool:
        """Return whether the text is longer than the API takes."""
        return len(self.text or "") > _MOST_CHARACTERS

    def body(self) -> dict[str, Any]:
        """Return the draft as the API takes it."""
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
        """Return whether a stored draft has this content already."""
        return self._content() == EnteredReply.of(reply)._content()

    def _content(self) -> tuple[Any, ...]:
        body = self.body()
        body.pop("message_id")
        return tuple(body.values())

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> "EnteredReply":
        """Return the form of a stored draft."""
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
        """Return what a form that was sent holds."""
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
        """Return the same content, to be saved over this version of the draft."""
        return replace(self, reply_id=reply["id"], version=str(reply["version"]))


def chosen_file(form: FormData) -> UploadFile | None:
    """Return the photo that was chosen, if one was."""
    file = form.get("photo")
    return file if isinstance(file, UploadFile) and file.filename else None


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def to_local(value: str | None) -> str:
    """Return a moment as `datetime-local` has it, in the region's time."""
    return f"{parsed(value):%Y-%m-%dT%H:%M}" if value else ""


def from_local(value: str) -> str | None:
    """Return a moment of `datetime-local`, in the region's time, as the API takes it; None where it is none."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=clock.REGION_TIME_ZONE).isoformat()
