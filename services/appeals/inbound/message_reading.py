"""Readings of messages and appeals: the properties that the comparison of matters needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.appeals.classification.rules.keyword_classifier import TopicGroupIndex
from services.appeals.classification.text.tokenizer import CleanText
from services.appeals.classification.types import ClassificationResult
from services.appeals.inbound import matter_words
from services.appeals.inbound.matter_words import Cue
from shared.text.normalize import fold_text

# Minimum probability of a topic group that is certain enough to compare.
SURE = 0.5


def group_of(topic: str) -> str:
    """Return the code of the group of a topic or group: «roads.06» belongs to «roads»."""
    return topic.partition(".")[0]


@dataclass(frozen=True)
class NamedLocation:
    """The location named in a text itself, without the location implied by its page or the post above."""

    municipality: str | None = None
    settlement: str | None = None
    street: str | None = None
    house: str | None = None

    def __bool__(self) -> bool:
        return any((self.municipality, self.settlement, self.street, self.house))


@dataclass(frozen=True)
class MessageReading:
    """The properties of one message by itself, without the post above it."""

    text: CleanText
    groups: Mapping[str, float]
    topic: str | None
    topic_confidence: float
    asks: bool
    keyword_group: str | None
    is_readable: bool
    location: NamedLocation
    utility_failure: str | None
    cues: frozenset[Cue]
    words: frozenset[str]
    numbers: frozenset[str]

    @staticmethod
    def of(text: str, alone: ClassificationResult) -> "MessageReading":
        """Return the reading of a text; `alone` is its classification without the post above."""
        clean = CleanText.of(text)
        location = _named_location(clean, alone)
        names = (alone.municipality, location.settlement, location.street)
        return MessageReading(
            text=clean,
            # The keyword rules give a topic without a probability.
            groups=dict(alone.topic_candidates) or ({group_of(alone.topic): SURE} if alone.topic else {}),
            topic=alone.topic,
            topic_confidence=alone.topic_confidence or 0.0,
            asks="?" in clean.cleaned or alone.type == "question",
            keyword_group=TopicGroupIndex.of_groups().best(clean.tokens)[0],
            is_readable=alone.language != "bxr",
            location=location,
            utility_failure=alone.utility_failure,
            cues=matter_words.cues_of(clean),
            words=matter_words.content_words(clean, names),
            numbers=matter_words.numbers_of(clean),
        )

    @property
    def best_group(self) -> tuple[str | None, float]:
        """Return the most likely topic group with its probability; (None, 0) if there is none."""
        return max(self.groups.items(), key=lambda found: found[1], default=(None, 0.0))

    @property
    def is_vague(self) -> bool:
        """Return whether the message does not say what it is about: it has no topic, location or utility failure.

        A Buryat text, which the classifier cannot read, is not vague.
        """
        return (
            self.is_readable
            and self.best_group[1] < SURE
            and self.keyword_group is None
            and not self.location
            and self.utility_failure is None
        )


def _named_location(text: CleanText, alone: ClassificationResult) -> NamedLocation:
    in_text = alone.location_source == "text"
    settlement = alone.settlement
    if settlement is not None and not in_text:
        # `location_source` covers the municipality only: the settlement may come from the page or the text, so
        # look for it in the text.
        starts = [matter_words.stem_of(word) for word in fold_text(settlement).split()]
        if not any(word.startswith(start) for word in text.tokens for start in starts):
            settlement = None
    return NamedLocation(alone.municipality if in_text else None, settlement, alone.street, alone.house)


@dataclass(frozen=True)
class AppealReading:
    """The readings of an appeal's messages that need an answer; the first message opened the appeal. `group`: the
    topic group that a person has set. `replied_to`: the new message replies to a message of this appeal.
    """

    messages: tuple[MessageReading, ...]
    group: str | None = None
    location: NamedLocation = field(default_factory=NamedLocation)
    replied_to: bool = False

    @property
    def groups(self) -> Mapping[str, float]:
        """Return the topic groups, each with its highest probability among the messages."""
        if self.group is not None:
            return {self.group: 1.0}
        found: dict[str, float] = {}
        for message in self.messages:
            for group, probability in message.groups.items():
                found[group] = max(found.get(group, 0.0), probability)
        return found

    @property
    def is_vague(self) -> bool:
        """Return whether no message says what the appeal is about."""
        # A municipality or settlement without street or house does not count: it may come from the post above.
        address = self.location.street or self.location.house
        return self.group is None and not address and all(message.is_vague for message in self.messages)

    @property
    def locations(self) -> list[NamedLocation]:
        """Return the locations that the messages name, and the appeal's own."""
        named = [message.location for message in self.messages if message.location]
        # If messages name a location, the appeal's own without street and house is left out: another settlement of
        # its municipality would seem to be the same location.
        adds = self.location.street or self.location.house or (self.location and not named)
        return [*named, self.location] if adds else named
