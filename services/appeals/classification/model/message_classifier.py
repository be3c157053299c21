"""Classification of a citizen's message: need for an answer, topic, location, urgency and language.

The model predicts; some facts (only a sticker, a Buryat text, a problem in another region) take precedence. A
doubtful message is left to a moderator.

The order of decisions: docs/developer/classification.md.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from services.appeals.classification.locations.location_finder import DetectedLocation, find_location
from services.appeals.classification.model.builtin_model import (
    BuiltinModel,
    Floats,
    PreparedText,
    builtin_model_dir,
    softmax,
    text_features,
    with_need_features,
    with_urgency_features,
)
from services.appeals.classification.model.sparse_rows import Places, SparseRows
from services.appeals.classification.rules.keyword_classifier import KeywordMatches, classify_without_words
from services.appeals.classification.rules.urgency_signals import UrgencySignals, utility_failure_names
from services.appeals.classification.text.language_detection import detect_language
from services.appeals.classification.text.text_limits import with_truncation_note
from services.appeals.classification.text.tokenizer import clean_post
from services.appeals.classification.types import ClassificationResult, MessageContext, NeedsAnswer
from shared.contracts.values import Language
from shared.topic_taxonomy import entries

if TYPE_CHECKING:
    from services.appeals.classification.model.custom_model import CustomModel

_YES = ("complaint", "question", "request", "proposal")
_TYPE_WORDS = {
    "complaint": "жалоба",
    "question": "вопрос",
    "request": "просьба",
    "proposal": "предложение",
    "thanks": "благодарность или пожелание",
    "spam": "реклама",
    "abuse": "только оскорбление",
    "chatter": "разговор без обращения",
}
# Weight of the post above, relative to the text, in predicting the group; a text of few words depends on its post.
_POST_WEIGHT = 0.5
_POST_WEIGHT_FEW = 1.0
_FEW_WORDS = 3
# Minimum probability of a topic within its group; below it only the group is given.
_SURE_OF_TOPIC = 0.5
# Factor that lowers the threshold of "unsure" for a message that replies to the page: it may dispute the answer.
_REPLY_TO_PAGE = 0.3

# A sparse row: its column indexes and their values.
_Row = tuple[Places, Floats]


@dataclass(frozen=True)
class Prediction:
    """The model's prediction for a message, on which the decision is based.

    `needs_answer` is the probability that an answer is due; `groups` and `topics` are codes with probabilities,
    best first.
    """

    keywords: KeywordMatches
    needs_answer: float
    types: Mapping[str, float]
    urgent: float
    groups: tuple[tuple[str, float], ...]
    topics: tuple[tuple[str, float], ...]
    location: DetectedLocation
    language: Language
    urgency_signals: UrgencySignals
    why: str


@dataclass(frozen=True)
class _Scores:
    """The outputs of the heads for one text."""

    row: _Row
    need: float
    types: Floats
    urgent: float
    groups: Floats
    topics: Floats


def _explained(location: DetectedLocation, found: UrgencySignals) -> list[str]:
    """Return the explanation of location, danger and utility failure."""
    reasons = []
    if location.matched_words:
        reasons.append(f"место: {location.matched_words}")
    if found.dangers:
        reasons.append("опасность: " + ", ".join(f"«{words}»" for words in list(found.dangers.values())[:3]))
    if found.utility_failure:
        reasons.append(
            f"{utility_failure_names()[found.utility_failure]}: «{found.utility_failures[found.utility_failure]}»"
        )
    return reasons


def _under_posts(
    probabilities: npt.NDArray[Any],
    seen: Sequence[PreparedText],
    read: Callable[[Sequence[str]], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """Return the probabilities of the texts combined with those of the posts above; `read` classifies the
    posts.
    """
    below = [at for at, item in enumerate(seen) if item.context.post_text]
    if below:
        written = [seen[at].context.post_text or "" for at in below]
        posts = {post: place for place, post in enumerate(dict.fromkeys(written))}
        above = read(list(posts))[[posts[post] for post in written]]
        few = np.array([len(seen[at].keywords.words) <= _FEW_WORDS for at in below])
        weights = np.where(few, _POST_WEIGHT_FEW, _POST_WEIGHT)[:, None]
        joint = np.log(probabilities[below] + 1e-9) + weights * np.log(above + 1e-9)
        probabilities[below] = softmax(joint)
    return probabilities


def _place(item: PreparedText) -> DetectedLocation:
    try:
        return find_location(
            item.keywords.source,
            page_owner=item.context.page_owner,
            page_municipality=item.context.page_municipality,
            post=item.context.post_text,
        )
    except Exception as error:  # noqa: BLE001 — an error must affect neither the rest nor other messages
        # The service logs it: the classifier process has no configured log, which would print the citizen's text.
        return DetectedLocation(matched_words="не прочитано", error=type(error).__name__)


def _likeliest(types: Mapping[str, float], *, yes: bool) -> str:
    """Return the most likely type among those that need an answer, or among those that need none."""
    return max((kind for kind in types if (kind in _YES) == yes), key=lambda kind: types[kind])


class MessageClassifier:
    """The loaded model with its thresholds and model card."""

    def __init__(self, heads: BuiltinModel, card: Mapping[str, Any], custom: "CustomModel | None" = None) -> None:
        """`card`: the model card, with the thresholds; `custom`: the custom model to combine with `heads`."""
        self._heads = heads
        self._custom = custom
        self.card = card
        self.name = f"model:{card['name']}-{card['examples']['digest'][:8]}"
        if custom is not None:
            self.name += f"+topics-{custom.version}"
        self._need: float = card["thresholds"]["need"]
        self._maybe: float = card["thresholds"]["maybe"]
        self._urgent: float = card["thresholds"]["urgent"]
        self._lifts: float = card["thresholds"]["lifts"]
        self._group_of = {item.code: item.group for item in entries()}
        self._names = {item.code: item.name for item in entries()}
        # Only single words explain a result. The first columns are lemmas, and pairs of lemmas joined by `_`.
        self._words = heads.features.lemmas
        self._telling = np.zeros(heads.features.column_count, dtype=bool)
        self._telling[: len(self._words)] = ["_" not in word and len(word) > 2 for word in self._words]
        self._pulls = heads.group.weights[: len(self._words)].toarray()
        self._alarms = heads.urgent.weights[: len(self._words)].toarray()[:, 1]
        self._topics_of: dict[str, list[int]] = {}
        for at, code in enumerate(heads.topic.labels):
            self._topics_of.setdefault(self._group_of[code], []).append(at)

    @staticmethod
    @cache
    def load(topics_model: Path | None = None) -> "MessageClassifier":
        """Return the classifier with the built-in model, loaded at the first call; combined with the custom model
        of the folder `topics_model`, if given. Raises `ModelStoreError` if the folder has no usable model.
        """
        with np.load(builtin_model_dir() / "builtin.npz", allow_pickle=False) as state:
            heads = BuiltinModel.of(state)
        card = json.loads((builtin_model_dir() / "card.json").read_text("utf-8"))
        if topics_model is None:
            return MessageClassifier(heads, card)
        # The import takes a second, so it is done only if there is a custom model.
        from services.appeals.classification.model.custom_model import CustomModel  # noqa: PLC0415

        return MessageClassifier(heads, card, CustomModel(topics_model, heads.group.labels, heads.topic.labels))

    @property
    def labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the codes of the groups and of the topics: the columns of `topic_probabilities`."""
        return self._heads.group.labels, self._heads.topic.labels

    @property
    def custom_card(self) -> Mapping[str, Any] | None:
        """Return the model card of the custom model, if there is one."""
        return None if self._custom is None else self._custom.card

    @property
    def unmapped_labels(self) -> str:
        """Return a description of the custom model's labels that name no topic; empty if every label names one."""
        return "" if self._custom is None else self._custom.labels.describe_unmapped()

    def topic_probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return the probabilities of groups and of topics for texts without a post."""
        seen = [PreparedText.of(text, MessageContext()) for text in texts]
        return self._subjects(text_features(self._heads.features, seen), seen)

    def predict(self, items: Sequence[tuple[str, MessageContext]]) -> list[Prediction]:
        """Return predictions in the order of the messages; batches cost less per message. Never raises."""
        return self._read([PreparedText.of(text, context) for text, context in items])

    def _read(self, seen: Sequence[PreparedText]) -> list[Prediction]:
        if not seen:
            return []
        rows = text_features(self._heads.features, seen)
        wanting = with_need_features(rows, seen)
        needs = self._heads.need.probabilities(wanting)[:, 1]
        types = self._heads.type.probabilities(wanting)
        urgent = self._heads.urgent.probabilities(with_urgency_features(rows, seen))[:, 1]
        groups, topics = self._subjects(rows, seen)
        found = []
        for at, item in enumerate(seen):
            part = slice(rows.indptr[at], rows.indptr[at + 1])
            scores = _Scores(
                (rows.indices[part], rows.data[part]),
                float(needs[at]),
                types[at],
                float(urgent[at]),
                groups[at],
                topics[at],
            )
            found.append(self._understood(item, scores))
        return found

    def _subjects(self, rows: SparseRows, seen: Sequence[PreparedText]) -> tuple[Floats, Floats]:
        """Return the probabilities of groups and of topics."""
        heads = self._heads
        groups = _under_posts(
            heads.group.probabilities(rows),
            seen,
            lambda posts: heads.group.probabilities(heads.features.rows([clean_post(post) for post in posts])),
        )
        topics = heads.topic.probabilities(rows)
        if self._custom is None:
            return groups, topics
        reasons = _under_posts(
            self._custom.label_probabilities([item.text for item in seen]), seen, self._custom.label_probabilities
        )
        return self._custom.combine(reasons, groups, topics)

    def _understood(self, item: PreparedText, scores: _Scores) -> Prediction:
        labels = self._heads.group.labels
        best = np.argsort(-scores.groups)[:3]
        types = dict(zip(self._heads.type.labels, map(float, scores.types), strict=True))
        kind = _likeliest(types, yes=self._is_due(scores.need, scores.urgent))
        place, found = _place(item), item.signs
        group = labels[best[0]]
        reasons = [self._manner(item, kind)]
        if kind in _YES:
            reasons += [self._subject(scores.row, group), *_explained(place, found)]
            if scores.urgent * scores.need >= self._urgent and not found.dangers and not found.utility_failure:
                reasons += self._alarm(scores.row)
        return Prediction(
            keywords=item.keywords,
            needs_answer=scores.need,
            types=types,
            urgent=scores.urgent,
            groups=tuple((labels[one], round(float(scores.groups[one]), 4)) for one in best),
            topics=self._topics(group, scores.topics),
            location=place,
            language=detect_language(item.keywords.source),
            urgency_signals=found,
            why="; ".join([*reasons, item.truncation_note] if item.truncation_note else reasons),
        )

    def _topics(self, group: str, probabilities: Floats) -> tuple[tuple[str, float], ...]:
        """Return the topics of the group with their probabilities within it, best first, at most three."""
        columns = self._topics_of.get(group, [])
        total = float(probabilities[columns].sum()) or 1.0
        ranked = sorted(columns, key=lambda column: -probabilities[column])[:3]
        return tuple(
            (self._heads.topic.labels[one], round(float(probabilities[one]) / total, 4)) for one in ranked
        )

    def _manner(self, item: PreparedText, kind: str) -> str:
        quoted = item.keywords.quote("problem", "question", "request", "proposal", "thanks", "spam")
        return _TYPE_WORDS[kind].capitalize() + (f": {quoted}" if quoted else "")

    def _subject(self, row: _Row, group: str) -> str:
        named = ", ".join(f"«{word}»" for word in self._words_for(row, group))
        return f"тема «{self._names[group]}»" + (f": {named}" if named else "")

    def _alarm(self, row: _Row) -> list[str]:
        """Return the words with the greatest weight for urgency, to explain it if no danger signal was found."""
        named = ", ".join(f"«{word}»" for word in self._heaviest(row, self._alarms))
        return [f"срочно: {named}"] if named else ["срочно: по записи выше"]

    def _words_for(self, row: _Row, group: str) -> list[str]:
        """Return the words with the greatest weight for a group, at most three."""
        return self._heaviest(row, self._pulls[:, self._heads.group.labels.index(group)])

    def _heaviest(self, row: _Row, weights: Floats) -> list[str]:
        columns, values = row
        telling = self._telling[columns]
        columns = columns[telling]
        pulls = values[telling] * weights[columns]
        return [self._words[columns[at]] for at in np.argsort(-pulls)[:3] if pulls[at] > 0]

    def wants_answer(self, found: Prediction) -> bool:
        """Return whether the message needs an answer, without leaving the decision to a moderator."""
        if found.location.other_region:
            return False
        return self._due(found) or (found.language == "bxr" and found.needs_answer >= self._maybe)

    def _due(self, found: Prediction) -> bool:
        """Return whether an answer is likely due. Clear danger lowers the threshold."""
        return self._is_due(found.needs_answer, found.urgent)

    def _is_due(self, need: float, urgent: float) -> bool:
        return need >= self._need or (urgent >= self._lifts and need >= self._maybe)

    def is_urgent(self, found: Prediction) -> bool:
        """Return whether a message is urgent: it reports danger, and it needs an answer."""
        return found.urgent * found.needs_answer >= self._urgent

    def message_type(self, found: Prediction, *, yes: bool) -> str:
        """Return the type of a message, given whether it needs an answer."""
        return _likeliest(found.types, yes=yes)

    def classify(self, items: Sequence[tuple[str, MessageContext]]) -> list[ClassificationResult]:
        """Return classifications in the order of the messages; `unsure` ones are left to a moderator."""
        seen = [PreparedText.of(text, context) for text, context in items]
        return [self._decide(item, prediction) for item, prediction in zip(seen, self._read(seen), strict=True)]

    def _decide(self, seen: PreparedText, prediction: Prediction) -> ClassificationResult:
        if not seen.keywords.words:
            return with_truncation_note(
                classify_without_words(seen.text, seen.keywords, seen.context), seen.truncation_note
            )
        needs, confidence, why = self._needs(prediction, seen.context)
        if needs == "no" and seen.truncation_note:
            # The truncated part may need an answer.
            needs = "unsure"
        topic, probability = prediction.groups[0]
        if prediction.topics and prediction.topics[0][1] >= _SURE_OF_TOPIC:
            topic, probability = prediction.topics[0][0], probability * prediction.topics[0][1]
        place = prediction.location
        counts = needs != "no"
        readable = counts and prediction.language != "bxr"
        return ClassificationResult(
            needs_answer=needs,
            type=self.message_type(prediction, yes=needs == "yes" or self._due(prediction)),  # type: ignore[arg-type]
            urgency="high" if counts and self.is_urgent(prediction) else "normal",
            topic=topic if readable else None,
            needs_answer_confidence=round(confidence, 4),
            why=why,
            topic_confidence=round(probability, 4) if readable else None,
            topic_candidates=prediction.groups if counts else (),
            municipality=place.municipality if counts else None,
            settlement=place.settlement if counts else None,
            street=place.street if counts else None,
            house=place.house if counts else None,
            location_source=place.source if counts else None,
            language=prediction.language,
            utility_failure=prediction.urgency_signals.utility_failure if counts else None,
            other_region=place.other_region if counts else None,
            location_error=place.error,
        )

    def _needs(self, prediction: Prediction, context: MessageContext) -> tuple[NeedsAnswer, float, str]:
        need = prediction.needs_answer
        if prediction.language == "bxr" and need >= self._maybe:
            return "unsure", need, f"Бурятский текст: решает модератор; {prediction.why}"
        if prediction.location.other_region:
            why = f"Другой регион: «{prediction.location.other_region}»; {prediction.why}"
            return ("unsure", need, why) if need >= self._maybe else ("no", 1 - need, why)
        if self._due(prediction):
            return "yes", need, prediction.why
        if need >= self._maybe:
            return "unsure", 1 - need, prediction.why
        if context.replies_to_page and need >= self._maybe * _REPLY_TO_PAGE:
            return "unsure", 1 - need, f"Ответ на слова страницы: решает модератор; {prediction.why}"
        return "no", 1 - need, prediction.why
