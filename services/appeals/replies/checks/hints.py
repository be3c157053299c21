"""Hints for the author of a reply, which the checks return, and the input of the checks."""

from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypeAliasType

HintSeverity = TypeAliasType("HintSeverity", Literal["blocking", "warning", "hint"])
HintCode = TypeAliasType(
    "HintCode",
    Literal[
        "personal_phone", "personal_mail", "personal_document", "personal_card", "personal_account",
        "personal_address", "forbidden_link", "unfilled_field", "no_promise", "unknown_phone",
        "unknown_mail", "person_link", "off_topic", "when_unanswered", "why_unanswered",
        "where_unanswered", "no_action_or_date", "no_date", "no_contact", "no_responsible_person",
        "redirect_without_contact", "canned_phrase", "same_as_recent", "rating_asked_early",
        "officialese", "verbal_nouns", "participles", "long_sentence", "hard_to_read", "no_greeting",
        "impolite", "informal_address", "shouting",
    ],
)  # fmt: skip

# Only blocking hints prevent publication; all others are advice.
_SEVERITIES: dict[str, HintSeverity] = {
    **dict.fromkeys(
        (
            "personal_phone", "personal_mail", "personal_document", "personal_card", "personal_account",
            "personal_address", "forbidden_link", "unfilled_field", "no_promise",
        ),
        "blocking",
    ),
    **dict.fromkeys(
        (
            "unknown_phone", "unknown_mail", "person_link", "off_topic", "when_unanswered", "no_action_or_date",
            "redirect_without_contact", "same_as_recent",
        ),
        "warning",
    ),
}  # fmt: skip
_ORDER = ("blocking", "warning", "hint")


@dataclass(frozen=True)
class Hint:
    """A hint: `start` and `end` are the character positions of the passage; None for the text as a whole."""

    code: HintCode
    message: str
    start: int | None = None
    end: int | None = None
    severity: HintSeverity = field(default="hint")

    @staticmethod
    def of(code: HintCode, message: str, span: tuple[int, int] | None = None) -> "Hint":
        """Return the hint with the severity of its code."""
        start, end = span or (None, None)
        return Hint(code, message, start, end, _SEVERITIES.get(code, "hint"))

    def stored(self) -> dict[str, Any]:
        """Return the hint in the form stored with a version of the reply, without quotes of the text."""
        return {"code": self.code, "severity": self.severity, "start": self.start, "end": self.end}


@dataclass(frozen=True)
class RecentReply:
    """A published reply of the same organisation, with the number of its appeal."""

    appeal_number: int
    text: str


@dataclass(frozen=True)
class ReplyContext:
    """The data about the appeal that the checks use. `question` is the citizen's text. `phones` (national digits)
    and `mails` are official contacts. `hosts` are the hosts that links may lead to; None allows any host that is
    not forbidden. In a private conversation personal data is not published, so it does not block. `outcome`: the
    outcome of the matter stated in the reply.
    """

    question: str = ""
    topic_names: tuple[str, ...] = ()
    phones: frozenset[str] = frozenset()
    mails: frozenset[str] = frozenset()
    hosts: frozenset[str] | None = None
    recent: tuple[RecentReply, ...] = ()
    is_private: bool = False
    outcome: str | None = None


def in_order(hints: list[Hint]) -> list[Hint]:
    """Return the hints by severity, then by position."""
    return sorted(hints, key=lambda hint: (_ORDER.index(hint.severity), hint.start or 0, hint.code))
