"""Comparison of a message with its author's appeal: the same matter, an addition, or another matter.

Pure functions on the readings of messages. Each signal raises or lowers a score; a high score means another
matter. docs/moderator/appeals.md describes the signals for moderators. Weights and thresholds were chosen on the
development half of `bench/data/threads/pairs.csv`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from services.appeals.classification.rules.keyword_classifier import TopicGroupIndex
from services.appeals.classification.text.tokenizer import CleanText
from services.appeals.classification.types import ClassificationResult
from services.appeals.inbound import matter_words
from services.appeals.inbound.matter_words import Cue
from services.appeals.inbound.message_reading import (
    SURE,
    AppealReading,
    MessageReading,
    NamedLocation,
    group_of,
)
from services.appeals.routing.rule_precedence import MIN_TOPIC_CONFIDENCE
from shared.text.normalize import fold_text
from shared.topic_taxonomy import groups

Relation = Literal["same", "addition", "other", "unsure"]
PlaceRelation = Literal["same", "adds", "differs"]

# At the first score or above a message is about another matter; at the second or above a person should check.
OTHER_FROM = 2.5
UNSURE_FROM = 1.0
# Probability at or above which a topic group is nearly certain, and at or below which it is practically excluded.
_VERY_SURE = 0.8
_UNLIKELY = 0.1
# Minimum number of content words of a question that can be understood by itself.
_MANY_WORDS = 4
# Complaints about a missing answer have their own group («ЦУР»), whatever matter they are about.
_ABOUT_ANSWERS = "centre"


@dataclass(frozen=True)
class Comparison:
    """The relation of a message to an appeal, with the reason in Russian; the higher the score, the less
    related.
    """

    relation: Relation
    reason: str
    score: float


class _Signals:
    """Signals for another matter (positive weights) and for the same matter (negative weights), with their
    reasons.
    """

    def __init__(self) -> None:
        self._found: list[tuple[float, str]] = []

    def add(self, weight: float, reason: str) -> None:
        self._found.append((weight, reason))

    @property
    def score(self) -> float:
        return sum(weight for weight, _ in self._found)

    def reasons(self, sign: int) -> str:
        """Return the three strongest reasons whose weights have this sign, strongest first."""
        chosen = sorted((found for found in self._found if found[0] * sign > 0), key=lambda found: -abs(found[0]))
        return "; ".join(reason for _, reason in chosen[:3])


def compare(new: MessageReading, appeal: AppealReading) -> Comparison:
    """Return how a new message of the author relates to one of the author's appeals."""
    signals = _Signals()
    place = _compare_locations(new, appeal, signals)
    # The same problem in another location has the same topic and words, so both prove nothing if the locations
    # differ.
    if place != "differs":
        _compare_topics(new, appeal, place, signals)
        _compare_words(new, appeal, signals)
    _compare_failures(new, appeal, signals)
    _weigh_cues(new, appeal, signals)
    if appeal.replied_to:
        signals.add(-1.5, "ответ на сообщение этого обращения")
    score = signals.score
    if appeal.is_vague and not new.cues & {"other_matter", "one_more"}:
        return Comparison("addition", "Прежние сообщения не называют ни темы, ни места", min(score, -2.0))
    if score >= OTHER_FROM and not _is_bare_address(new):
        return Comparison("other", _sentence(signals.reasons(1)), score)
    if score >= UNSURE_FROM:
        return Comparison("unsure", _sentence(f"Возможно, другой вопрос: {signals.reasons(1)}"), score)
    if place == "adds" or "clarifies" in new.cues or _makes_clearer(new, appeal):
        reason = "называет место" if place == "adds" else signals.reasons(-1) or "уточняет тему"
        return Comparison("addition", _sentence(reason), score)
    return Comparison("same", _sentence(signals.reasons(-1) or "нет признаков другого вопроса"), score)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _is_bare_address(new: MessageReading) -> bool:
    """Return whether the message names only a location, and no problem."""
    says_so = new.cues & {"other_matter", "one_more"} or matter_words.tells_of_elsewhere(new.text)
    return bool(new.location) and not new.words and not says_so


def _makes_clearer(new: MessageReading, appeal: AppealReading) -> bool:
    known = max(appeal.groups.values(), default=0.0)
    return known < SURE <= new.best_group[1]


def _compare_topics(
    new: MessageReading, appeal: AppealReading, place: PlaceRelation | None, signals: _Signals
) -> None:
    group, probability = new.best_group
    known = appeal.groups
    theirs, their_probability = max(known.items(), key=lambda found: found[1], default=(None, 0.0))
    if group is None or group == _ABOUT_ANSWERS:
        return
    if not new.words:
        signals.add(-4, "только уточнение места или срока")
        return
    if group == theirs and min(probability, their_probability) >= SURE:
        # A message that names the missing location seldom opens another matter of the same group.
        fills_gap = place == "adds" and not appeal.locations
        if not fills_gap and _has_other_fine_topic(new, appeal) and not _shared_words(new, appeal):
            signals.add(1, f"другой вопрос в той же группе тем «{_name(group)}»")
        else:
            signals.add(-2, f"та же тема «{_name(group)}»")
        return
    keywords = {message.keyword_group for message in appeal.messages if message.keyword_group is not None}
    apart = known.get(group, 0.0) <= _UNLIKELY and new.groups.get(theirs or "", 0.0) <= _UNLIKELY
    if not apart and probability >= SURE:
        signals.add(-0.5, "темы близки")
    elif apart and probability >= SURE and (their_probability >= SURE or keywords - {group}):
        weight = 3.5 if min(probability, their_probability) >= _VERY_SURE else 3
        named = theirs or min(keywords - {group})
        signals.add(weight, f"другая тема: «{_name(group)}», а обращение — «{_name(named)}»")
    elif apart and probability >= _VERY_SURE:
        signals.add(3, f"другая тема: «{_name(group)}»")
    elif apart and new.keyword_group is not None and known.get(new.keyword_group, 0.0) <= _UNLIKELY:
        signals.add(1.5, f"похоже на другую тему: «{_name(new.keyword_group)}»")
    elif new.asks and len(new.words) >= _MANY_WORDS and not _shared_words(new, appeal):
        signals.add(1.5, "вопрос другими словами")


def _has_other_fine_topic(new: MessageReading, appeal: AppealReading) -> bool:
    """Return whether the message certainly has a topic, within the group, that differs from all certain topics of
    the appeal.
    """
    theirs = {message.topic for message in appeal.messages if message.topic_confidence >= SURE}
    certain = new.topic is not None and "." in new.topic and new.topic_confidence >= SURE
    return certain and bool(theirs) and all(topic and "." in topic and topic != new.topic for topic in theirs)


def _shared_words(new: MessageReading, appeal: AppealReading) -> list[str]:
    return matter_words.shared_words(new.words, {word for message in appeal.messages for word in message.words})


def _compare_failures(new: MessageReading, appeal: AppealReading, signals: _Signals) -> None:
    theirs = {message.utility_failure for message in appeal.messages} - {None}
    if new.utility_failure is None or not theirs:
        return
    if new.utility_failure in theirs:
        signals.add(-1.5, "та же неисправность")
    else:
        signals.add(2.5, "другая неисправность")


def _compare_words(new: MessageReading, appeal: AppealReading, signals: _Signals) -> None:
    numbers = {number for message in appeal.messages for number in message.numbers}
    if shared := _shared_words(new, appeal):
        quoted = ", ".join(f"«{word}»" for word in shared[:3])
        signals.add(-1.5 * min(len(shared), 2), f"те же слова: {quoted}")
    elif shared_numbers := sorted(new.numbers & numbers):
        signals.add(-1.5, f"тот же номер: {shared_numbers[0]}")


def _weigh_cues(new: MessageReading, appeal: AppealReading, signals: _Signals) -> None:
    weights: Mapping[Cue, tuple[float, str]] = {
        "other_matter": (5, "автор пишет о другом вопросе"),
        "one_more": (1.5, "автор задаёт ещё один вопрос"),
        "clarifies": (-4, "автор уточняет сказанное"),
        "points_at_place": (-3, "автор указывает место"),
        "follows_up": (-0.75, "автор спрашивает снова"),
        "refers_back": (-0.5, "ссылается на сказанное"),
    }
    for cue, (weight, reason) in weights.items():
        if cue in new.cues:
            signals.add(weight, reason)
    if "one_more" in new.cues and appeal.is_vague:
        signals.add(1.5, "прежнее сообщение — отдельный вопрос")


def _compare_locations(new: MessageReading, appeal: AppealReading, signals: _Signals) -> PlaceRelation | None:
    """Add the signals of the location; return whether the message names the same one, adds to it or differs."""
    mine, theirs = new.location, appeal.locations
    if not mine:
        return None
    if "corrects" in new.cues:
        return "adds"
    differing = [_difference(mine, other) for other in theirs]
    if theirs and all(differing):
        part, here, there = next(found for found in differing if found)
        signals.add(1.5 if part == "house" else 5, f"другое место: {here}, а в обращении {there}")
        return "same" if part == "house" else "differs"
    if any(_names_the_same(mine, other) for other in theirs):
        signals.add(-1.5, "то же место")
        return "adds" if _adds_part(mine, theirs) else "same"
    if theirs and matter_words.tells_of_elsewhere(new.text):
        signals.add(5, f"то же в другом месте: {mine.settlement or mine.street or mine.municipality}")
        return "differs"
    return "adds"


def _difference(one: NamedLocation, other: NamedLocation) -> tuple[str, str, str] | None:
    """Return the coarsest part of the location that both name with different values, with these values."""
    for part in ("municipality", "settlement", "street", "house"):
        here, there = getattr(one, part), getattr(other, part)
        if here and there and fold_text(here) != fold_text(there):
            return part, here, there
    return None


def _names_the_same(one: NamedLocation, other: NamedLocation) -> bool:
    return any(
        getattr(one, part) and getattr(one, part) == getattr(other, part) for part in ("settlement", "street")
    )


def _adds_part(mine: NamedLocation, theirs: Sequence[NamedLocation]) -> bool:
    return any(
        getattr(mine, part) and not any(getattr(other, part) for other in theirs)
        for part in ("municipality", "settlement", "street", "house")
    )


@cache
def _group_names() -> Mapping[str, str]:
    return {entry.code: entry.name for entry in groups()}


def _name(group: str) -> str:
    return _group_names().get(group, group)


@dataclass(frozen=True)
class Choice:
    """The index of the appeal that a message belongs to, among the compared ones; None if it must open a new
    appeal.
    """

    index: int | None
    comparison: Comparison


def choose(new: MessageReading, appeals: Sequence[AppealReading]) -> Choice:
    """Choose among the author's appeals in the thread: at least one, given in order of preference. Appeals with
    the same matter or an addition come before unsure ones; among these the appeal that is replied to, then the
    lowest score, then the order given.
    """
    compared = [compare(new, appeal) for appeal in appeals]
    rank = {"same": 0, "addition": 0, "unsure": 1}
    fitting = [index for index, found in enumerate(compared) if found.relation in rank]
    if fitting:
        best = min(
            fitting,
            key=lambda index: (
                rank[compared[index].relation],
                not appeals[index].replied_to,
                compared[index].score,
            ),
        )
        return Choice(best, compared[best])
    nearest = min(compared, key=lambda found: found.score)
    return Choice(None, nearest)


def most_related(text: str, appeals: Sequence[str]) -> int | None:
    """Return the index of the appeal text that shares the most words with a staff reply; None if no text shares
    words, or several share the most.
    """
    reply = CleanText.of(text)
    words = matter_words.content_words(reply, ())
    group = TopicGroupIndex.of_groups().best(reply.tokens)[0]
    scores = []
    for appeal in appeals:
        clean = CleanText.of(appeal)
        shared = matter_words.shared_words(words, matter_words.content_words(clean, ()))
        same_group = group is not None and TopicGroupIndex.of_groups().best(clean.tokens)[0] == group
        scores.append(len(shared) + 2 * same_group)
    best = max(scores, default=0)
    return scores.index(best) if best > 0 and scores.count(best) == 1 else None


def takes_topic(
    known: str | None,
    confidence: float,
    reading: MessageReading,
    whole: ClassificationResult,
    relation: Relation,
) -> bool:
    """Return whether the appeal gets the topic of all its messages taken together. `known` and `confidence`: the
    code of its current topic, and how certain it is. A certain topic replaces an uncertain one; another certain
    topic is replaced only by a finer topic of its group, or by the topic that an addition itself names.
    """
    if whole.topic is None or whole.topic == known:
        return False
    if known is None:
        return True
    certainty, group = whole.topic_confidence or 0.0, group_of(whole.topic)
    if group == group_of(known):
        is_finer = "." in whole.topic and "." not in known
        return certainty >= (MIN_TOPIC_CONFIDENCE if is_finer else max(MIN_TOPIC_CONFIDENCE, confidence))
    probability = dict(whole.topic_candidates).get(group, 0.0)
    if confidence < MIN_TOPIC_CONFIDENCE:
        return probability > confidence
    names_it = relation == "addition" and reading.best_group[0] == group
    return names_it and probability >= MIN_TOPIC_CONFIDENCE
