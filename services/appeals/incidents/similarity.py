"""Similarity of two appeals by text, location, topic, author and time, with reasons in Russian. No I/O. Texts are
compared by n-grams of three and four letters, so that endings and typos hardly matter; stop words are left out. Of
each text the first `MAX_COMPARED_CHARACTERS` are compared.
"""

import math
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, Protocol
from uuid import UUID

import numpy as np
from rapidfuzz import fuzz

from services.appeals.classification.model.sparse_rows import SparseRows
from services.appeals.classification.rules.urgency_signals import utility_failure_names
from services.appeals.classification.text.tokenizer import clean_text, tokenize
from shared.russian import in_words

# The beginning of a text says what happened; the time of a comparison grows with the length of the texts.
MAX_COMPARED_CHARACTERS = 2_000
# Minimum score of an appeal that is shown as similar.
MIN_SHOWN_SCORE = 0.45
# Minimum ratio of texts that are the same apart from typos, and their minimum length in characters: many people
# write the same shorter text («нет света»).
_SAME_RATIO = 95.0
_OWN_WORDS_FROM = 20
_SAME_TEXT_SCORE = 0.9
# A person who writes to both networks does so within hours, not weeks.
SAME_PERSON_WITHIN = timedelta(hours=24)
_ALIKE_TEXT = 0.3
_WEIGHTS = {"text": 0.45, "place": 0.25, "matter": 0.2, "time": 0.1}
_AUTHOR = 0.15
_TIME_DECAY = timedelta(days=3)
_MIN_STEM = 4
_GRAMS = (3, 4)
_COLUMN_COUNT = 2**18
_CACHED_WORDS = 50_000
_STOP_WORDS = frozenset(
    tokenize(
        """
        а без бы был была были было быть в вам вас ваш ваша ваши весь вообще вот все всем всех вы где говорят да
        даже день дня добрый до доброе его ее если есть еще же за здравствуйте и из или им их к как какая какие
        какой когда кому кто куда ли лишь мне может можно мой моя мы на над надо нам нас наш наша нашей нашем
        наши не него нее нет неужели ни никто них но ну о об обратите они он она опять от очень по под
        пожалуйста пока помогите после почему при просим прошу пусть раз с сам сегодня сейчас скажите сколько
        снова со спасибо так там такое те тем то того тоже только том тот ты у уважаемые уже утро хватит хочу
        что чтобы че это этого этом эту я внимание вечер второй третий час часа часов минут
        """
    )
)


class LocatedAppeal(Protocol):
    """An appeal with its topic and location."""

    @property
    def text(self) -> str: ...
    @property
    def topic_id(self) -> UUID | None: ...
    @property
    def utility_failure(self) -> str | None: ...
    @property
    def municipality(self) -> str | None: ...
    @property
    def settlement(self) -> str | None: ...
    @property
    def street(self) -> str | None: ...


class ComparableAppeal(LocatedAppeal, Protocol):
    """The fields of an appeal that are compared."""

    @property
    def house(self) -> str | None: ...
    @property
    def network(self) -> str | None: ...
    @property
    def author_key(self) -> str | None: ...
    @property
    def written_at(self) -> datetime: ...


@dataclass(frozen=True)
class Similarity:
    """The similarity of two appeals, 0 to 1, and the reasons."""

    score: float
    why: tuple[str, ...]
    same_person: Literal["same_author", "probable"] | None = None


@lru_cache(maxsize=_CACHED_WORDS)
def _columns(word: str) -> tuple[int, ...]:
    """Return the columns of a word's n-grams, with a space at both ends. Columns are hashes, because there is no
    vocabulary.
    """
    edged = f" {word} "
    grams = [edged[at : at + size] for size in _GRAMS for at in range(len(edged) - size + 1)]
    return tuple(zlib.crc32(gram.encode()) % _COLUMN_COUNT for gram in grams)


def content_words(text: str, besides: Collection[str] = ()) -> str:
    """Return the content words of a text; `besides` are stems of location names to leave out."""
    return " ".join(
        word
        for word in tokenize(clean_text(text[:MAX_COMPARED_CHARACTERS]))
        if word not in _STOP_WORDS and not any(word.startswith(start) for start in besides)
    )


def word_stems(names: Iterable[str | None]) -> set[str]:
    """Return the stems of the names' words, which are equal in all case forms: «Селенгинск», «Селенгинске»."""
    words = {word for name in names if name for word in tokenize(clean_text(name))}
    return {word[: max(_MIN_STEM, len(word) - 2)] for word in words if len(word) >= _MIN_STEM}


def mentions_name(text: str, name: str) -> bool:
    """Return whether the text itself contains the name, in any case form; short names match only as written."""
    starts = word_stems([name]) or set(tokenize(clean_text(name)))
    return any(word.startswith(start) for word in tokenize(clean_text(text)) for start in starts)


def text_vectors(texts: Sequence[str], location_names: Iterable[str | None] = ()) -> SparseRows:
    """Return a matrix with a unit vector per text (a zero row without content words).

    The product of two rows is their cosine similarity. `location_names` are left out: naming the same location
    does not make two texts similar.
    """
    besides = word_stems(location_names)
    counted = [
        Counter(column for word in content_words(text, besides).split() for column in _columns(word))
        for text in texts
    ]
    ends = np.cumsum([0, *map(len, counted)])
    data = np.array([count for counts in counted for count in counts.values()], dtype=np.float64)
    for start, end in pairwise(ends):
        data[start:end] /= np.linalg.norm(data[start:end]) or 1.0
    indices = np.array([column for counts in counted for column in counts], dtype=np.int32)
    return SparseRows(data, indices, ends, _COLUMN_COUNT)


def normalized_words(text: str) -> str:
    """Return the folded words of a text: equal for texts that differ only in punctuation, case and white space."""
    return " ".join(tokenize(clean_text(text[:MAX_COMPARED_CHARACTERS])))


def distinctive_text(text: str) -> str | None:
    """Return the normalised words if the text is so long that two people would hardly write it by chance; else
    None.
    """
    words = normalized_words(text)
    return words if len(words) >= _OWN_WORDS_FROM else None


def same_words(one: str, other: str) -> bool:
    """Return whether two normalised texts are the same, apart from typos."""
    return bool(one) and (one == other or fuzz.ratio(one, other, score_cutoff=_SAME_RATIO) > 0)


def compare(
    asked: ComparableAppeal, others: Sequence[ComparableAppeal], groups: Mapping[UUID, UUID]
) -> list[Similarity]:
    """Return the similarity of each other appeal to the given one. `groups` maps a topic to its group."""
    if not others:
        return []
    rows = text_vectors([asked.text, *(other.text for other in others)], (asked.settlement, asked.street))
    alike = (rows[1:] @ rows[:1].T).ravel()
    words = normalized_words(asked.text)
    return [
        _compare(asked, other, float(text), same_words(words, normalized_words(other.text)), groups)
        for other, text in zip(others, alike, strict=True)
    ]


def _compare(
    asked: ComparableAppeal, other: ComparableAppeal, text: float, same: bool, groups: Mapping[UUID, UUID]
) -> Similarity:
    apart = abs(asked.written_at - other.written_at)
    location, where = _location_score(asked, other)
    matter, what = _subject_score(asked, other, groups)
    time = math.exp(-apart / _TIME_DECAY)
    own = same and distinctive_text(asked.text) is not None
    parts = {"text": 1.0 if same else text, "place": location, "matter": matter, "time": time}
    score = sum(_WEIGHTS[name] * value for name, value in parts.items())
    person = _person(asked, other, own=own, apart=apart)
    why: list[str] = []
    if same:
        why.append("тот же текст")
    elif text >= _ALIKE_TEXT:
        why.append(f"похожий текст ({text:.2f})".replace(".", ","))
    if person == "same_author":
        why.append("тот же автор")
        score += _AUTHOR if text >= _ALIKE_TEXT or matter > 0 else 0
    elif person == "probable":
        why.append("другая сеть, автор, вероятно, тот же")
    if own:
        score = max(score, _SAME_TEXT_SCORE)
    why += [*where, *what, in_words(apart)]
    return Similarity(min(max(score, 0.0), 1.0), tuple(why), person)


def _person(
    asked: ComparableAppeal, other: ComparableAppeal, *, own: bool, apart: timedelta
) -> Literal["same_author", "probable"] | None:
    if asked.author_key is not None and asked.author_key == other.author_key:
        return "same_author"
    if own and asked.network != other.network and apart <= SAME_PERSON_WITHIN:
        return "probable"
    return None


def same_location(one: ComparableAppeal, other: ComparableAppeal) -> bool:
    """Return whether the locations agree down to the settlement, as far as both have these parts."""
    return all(
        getattr(one, name) is None or getattr(other, name) is None or getattr(one, name) == getattr(other, name)
        for name in ("municipality", "settlement")
    )


def _location_score(one: ComparableAppeal, other: ComparableAppeal) -> tuple[float, list[str]]:
    if not same_location(one, other):
        return -0.4, []
    if one.street is not None and one.street == other.street:
        if one.house is not None and one.house == other.house:
            return 1.0, ["тот же дом"]
        return 0.9, ["та же улица"]
    if one.settlement is not None and one.settlement == other.settlement:
        return 0.6, ["тот же населённый пункт"]
    if one.municipality is not None and one.municipality == other.municipality:
        return 0.3, ["тот же район"]
    return 0.0, []


def _subject_score(
    one: ComparableAppeal, other: ComparableAppeal, groups: Mapping[UUID, UUID]
) -> tuple[float, list[str]]:
    if one.utility_failure is not None and other.utility_failure is not None:
        if one.utility_failure != other.utility_failure:
            return -0.5, []
        return 1.0, [
            f"та же неисправность: {utility_failure_names().get(one.utility_failure, one.utility_failure)}"
        ]
    if one.topic_id is None or other.topic_id is None:
        return 0.0, []
    if one.topic_id == other.topic_id:
        return 1.0, ["та же тема"]
    if groups.get(one.topic_id, one.topic_id) == groups.get(other.topic_id, other.topic_id):
        return 0.5, ["та же группа тем"]
    return 0.0, []


def mean_top_similarity(rows: SparseRows, others: SparseRows, *, best: int = 3) -> Any:
    """Return for each row the mean similarity to its `best` most similar rows of `others`; 0 if `others` is
    empty.
    """
    if others.shape[0] == 0:
        return np.zeros(rows.shape[0])
    alike = rows @ others.T
    kept = min(best, alike.shape[1])
    return np.sort(alike, axis=1)[:, -kept:].mean(axis=1)
