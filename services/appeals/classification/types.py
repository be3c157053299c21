"""Input and result of the classification of a message."""

from dataclasses import dataclass
from typing import Literal, get_args

from typing_extensions import TypeAliasType

from shared.contracts.values import Language, MessageKind, Urgency

NeedsAnswer = TypeAliasType("NeedsAnswer", Literal["yes", "no", "unsure"])
MessageType = TypeAliasType(
    "MessageType",
    Literal["complaint", "question", "request", "proposal", "thanks", "spam", "abuse", "chatter"],
)
LocationSource = TypeAliasType("LocationSource", Literal["text", "page", "person"])


@dataclass(frozen=True)
class MessageContext:
    """The context of a message: the post above, the message it replies to, the owner of the page. `post_text` is
    the post above, or without a post the page's message that is replied to. `replies_to_page`: the message replies
    to a message of the page, not to the post. `page_municipality` is the name of the municipality of the page's
    owner.
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
    """The classification of a message, its confidence (0–1), and the words that decided it.

    `topic` is the code of a topic, or of a group if no topic is certain enough; `topic_candidates` are the three
    most likely topics with their probabilities. `municipality` is a name of the taxonomy of territories;
    `location_source` says where the municipality comes from. `utility_failure` names the utility that is out of
    order, `other_region` the location of a problem outside the republic. `location_error` is the type of the error
    that prevented the detection of the location.
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
    location_source: LocationSource | None = None
    language: Language = "ru"
    utility_failure: str | None = None
    other_region: str | None = None
    location_error: str | None = None


# Parts of a location from coarse to fine.
LOCATION_PARTS = ("municipality", "settlement", "street", "house")
ANSWERED_TYPES = frozenset({"complaint", "question", "request", "proposal"})
UNANSWERED_TYPES = frozenset(get_args(MessageType.__value__)) - ANSWERED_TYPES


# Prefixes of `classified_by` for automatic classifiers; otherwise it is the id of the person or API client.
AUTOMATIC_PREFIXES = ("rule:", "model:")


def is_automatic(classified_by: str) -> bool:
    """Return whether a rule or a model classified the message, not a person."""
    return classified_by.startswith(AUTOMATIC_PREFIXES)
