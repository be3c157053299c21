"""What is known around a message, and what was judged of it."""

from dataclasses import dataclass
from typing import Literal, get_args

NeedsAnswer = Literal["yes", "no", "unsure"]
MessageType = Literal["complaint", "question", "request", "proposal", "thanks", "spam", "abuse", "chatter"]
Urgency = Literal["high", "normal"]
Language = Literal["ru", "bxr", "mixed"]
MessageKind = Literal["comment", "wall_post", "message"]


@dataclass(frozen=True)
class MessageContext:
    """What stands around a message: the post above, whom it answers, whose page it is.

    `post_text` is what the message is read under: the post, or where there is none the page's words it answers.
    `to_page`: it answers what the page wrote, not the post. `page_municipality` is the name of the municipality of
    the page's owner.
    """

    kind: MessageKind = "comment"
    post_text: str | None = None
    has_attachments: bool = False
    only_stickers: bool = False
    replies_to_citizen: bool = False
    replies_to_page: bool = False
    page_owner: str | None = None
    page_municipality: str | None = None


@dataclass(frozen=True)
class ClassificationResult:
    """What was judged, how sure it is (0–1), and the words that made it so.

    `topic` is the code of a topic or of a group, the finest that is sure; `top` the three likeliest with their
    probabilities. `municipality` is a name of the classifier of territories; `place_from` says what told it.
    `fault` names what is out when that is the matter, `other_region` where the trouble is when that is outside the
    republic.
    """

    needs_answer: NeedsAnswer
    type: MessageType
    urgency: Urgency
    topic: str | None
    needs_answer_confidence: float
    why: str
    topic_confidence: float | None = None
    topic_candidates: tuple[tuple[str, float], ...] = ()
    municipality: str | None = None
    settlement: str | None = None
    street: str | None = None
    house: str | None = None
    location_source: Literal["text", "page", "person"] | None = None
    language: Language = "ru"
    fault: str | None = None
    other_region: str | None = None


# From the coarse to the fine.
LOCATION_PARTS = ("municipality", "settlement", "street", "house")
ANSWERED_TYPES = frozenset({"complaint", "question", "request", "proposal"})
UNANSWERED_TYPES = frozenset(get_args(MessageType)) - ANSWERED_TYPES


# How what judges by itself is named; a person is known by an id.
AUTOMATIC_PREFIXES = ("rule:", "model:")


def is_automatic(classified_by: str) -> bool:
    """Whether a rule or a model judged, not a person."""
    return classified_by.startswith(AUTOMATIC_PREFIXES)
