"""Whether many tell of one trouble at once: cases of one matter in one place, clearly more than usual. Pure.

A matter is what is out of order (`fault`), else the group of topics. Cases that name a fault and a place are about
one thing; a group of topics is wide, so there the words must be alike as well.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from scipy.sparse.csgraph import connected_components
from scipy.special import gammainc

from services.appeals.classification.rules.urgency_signals import fault_index
from services.appeals.classification.text.tokenizer import clean_text, tokenize
from services.appeals.incidents.similarity import (
    Matrix,
    distinctive_text,
    mean_top_similarity,
    mentions_name,
    text_vectors,
)

# Texts of one group of topics and one place that are about one thing; measured on the examples of the classifier.
MIN_SIMILARITY = 0.36
# With the very topic, or none surer than the group, fewer words will do; fewer still beside the same post.
MIN_SIMILARITY_SAME_TOPIC, MIN_SIMILARITY_SAME_THREAD = 0.2, 0.12
# How much above the usual: this many times, and so many that chance brings as many once in ten thousand times.
_MIN_RATIO, _MAX_P_VALUE = 1.5, 1e-4
# What is thought of a matter of which nothing is known, as if it had been seen in this many cases.
_PRIOR_SHARE = {"fault": 0.02, "group": 0.04}
_PRIOR_WEIGHT = 50
_BESIDE = 2
# So many members tell how an incident speaks.
MAX_SAMPLE_TEXTS = 40
# The same trouble elsewhere at the same hour tells of a flood of messages, or of a storm: it explains this much.
_ELSEWHERE_MOST = {"fault": 0.10, "group": 0.25}

# ("fault", "power") or ("group", id of the group).
SpikeKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentAppeal:
    """A case as gathering reads it: `settlement` as its own words tell it, `seat` as its page or the post above.

    Those tell little of where the trouble is: who writes there may live in the next village.
    """

    id: UUID
    text: str
    municipality: str | None
    settlement: str | None
    page_settlement: str | None
    street: str | None
    fault: str | None
    topic_id: UUID | None
    group_id: UUID | None
    network: str | None
    page_id: UUID | None
    organisation_id: UUID | None
    author_key: str | None
    thread_key: str | None
    urgency: str
    written_at: datetime
    opened_at: datetime

    @staticmethod
    def of(*, text: str, settlement: str | None, **more: Any) -> "RecentAppeal":
        """From a case's columns, whose settlement may be told by anything."""
        named = settlement is not None and mentions_name(text, settlement)
        return RecentAppeal(
            text=text,
            settlement=settlement if named else None,
            page_settlement=None if named else settlement,
            **more,
        )

    @property
    def spike_key(self) -> SpikeKey | None:
        """What it is about."""
        if self.fault is not None:
            return "fault", self.fault
        return ("group", str(self.group_id)) if self.group_id is not None else None


@dataclass
class Counts:
    """Counts of cases by matter, of one place or of a region."""

    total: int
    by_key: Counter[SpikeKey]

    @staticmethod
    def of(rows: Iterable[tuple[SpikeKey | None, int]]) -> "Counts":
        """From matters with counts."""
        found = Counts(0, Counter())
        for key, count in rows:
            found.total += count
            if key is not None:
                found.by_key[key] += count
        return found

    def share(self, key: SpikeKey, prior: float | None = None) -> float:
        """The share of a matter, drawn towards what is thought of it while little was seen."""
        before = _PRIOR_SHARE[key[0]] if prior is None else prior
        return (self.by_key[key] + before * _PRIOR_WEIGHT) / (self.total + _PRIOR_WEIGHT)


def baseline_share(key: SpikeKey, *, here: Counts, region: Counts, elsewhere: Counts) -> float:
    """Which share of a place's cases the matter has: by the last weeks here and in the region, and by what is
    told elsewhere right now.
    """
    now = min(elsewhere.share(key), _ELSEWHERE_MOST[key[0]])
    return max(here.share(key, region.share(key)), now)


def is_significant(count: int, among: int, share: float) -> bool:
    """Whether so many among all cases of a place are clearly above what this share lets expect."""
    expected = share * among
    # The chance that as many or more come by themselves, one independent of the other.
    return count >= _MIN_RATIO * expected and float(gammainc(count, expected)) <= _MAX_P_VALUE


def count_authors(appeals: Iterable[RecentAppeal]) -> int:
    """How many people speak: the same words in two networks are one person's, unless anybody would use them."""
    authors: set[str] = set()
    network_by_text: dict[str, str | None] = {}
    for appeal in appeals:
        words = distinctive_text(appeal.text)
        if words is not None and network_by_text.setdefault(words, appeal.network) != appeal.network:
            continue
        authors.add(appeal.author_key or str(appeal.id))
    return len(authors)


def is_concentrated(appeals: Sequence[RecentAppeal], min_authors: int, window: timedelta) -> bool:
    """Whether at least so many people wrote within a window."""
    if count_authors(appeals) < min_authors:
        return False
    ordered = sorted(appeals, key=lambda appeal: appeal.written_at)
    start = 0
    for end in range(len(ordered)):
        while ordered[end].written_at - ordered[start].written_at > window:
            start += 1
        if end - start + 1 >= min_authors and count_authors(ordered[start : end + 1]) >= min_authors:
            return True
    return False


def group_by_settlement(appeals: Sequence[RecentAppeal], min_authors: int) -> Iterator[list[RecentAppeal]]:
    """Cases of one matter in one municipality, parted by settlement where several tell of their own.

    Who names none goes where most of their thread went, else where their page is, else to the largest. Without a
    settlement that enough people name all are one, but for those who name another than most do.
    """
    named: dict[str, list[RecentAppeal]] = defaultdict(list)
    for appeal in appeals:
        if appeal.settlement is not None:
            named[appeal.settlement].append(appeal)
    leading = {name: found for name, found in named.items() if count_authors(found) >= min_authors}
    if not leading:
        most = max(named, key=lambda name: len(named[name]), default="")
        agreed = 2 * len(named.get(most, ())) > sum(len(found) for found in named.values())
        yield [appeal for appeal in appeals if not agreed or appeal.settlement in (None, most)]
        return
    largest = max(leading, key=lambda name: len(leading[name]))
    threads: dict[str, Counter[str]] = defaultdict(Counter)
    for name, found in leading.items():
        for appeal in found:
            if appeal.thread_key:
                threads[appeal.thread_key][name] += 1
    for appeal in appeals:
        if appeal.settlement is None:
            thread_settlements = threads.get(appeal.thread_key or "")
            seat = appeal.page_settlement if appeal.page_settlement in leading else largest
            leading[thread_settlements.most_common(1)[0][0] if thread_settlements else seat].append(appeal)
    yield from leading.values()


def group_by_text(appeals: Sequence[RecentAppeal]) -> Iterator[list[RecentAppeal]]:
    """Cases parted into those that speak of one thing, by their words, largest first."""
    if not appeals:
        return
    rows = text_vectors([appeal.text for appeal in appeals], location_names(appeals))
    near: Matrix = (rows @ rows.T) >= MIN_SIMILARITY
    _, labels = connected_components(near, directed=False)
    parts: dict[int, list[RecentAppeal]] = defaultdict(list)
    for appeal, label in zip(appeals, labels, strict=True):
        parts[int(label)].append(appeal)
    yield from sorted(parts.values(), key=len, reverse=True)


def find_spikes(
    key: SpikeKey, appeals: Sequence[RecentAppeal], *, min_authors: int, window: timedelta
) -> Iterator[list[RecentAppeal]]:
    """The cases of each burst among those of one matter in one municipality, which stand out together."""
    for part in group_by_settlement(appeals, min_authors):
        for found in [part] if key[0] == "fault" else group_by_text(part):
            if is_concentrated(found, min_authors, window):
                yield found


def location_names(appeals: Iterable[RecentAppeal]) -> set[str]:
    """The names of places that these cases tell."""
    return {name for appeal in appeals for name in (appeal.settlement, appeal.street) if name}


def find_related(
    members: Sequence[RecentAppeal], others: Sequence[RecentAppeal], topic_id: UUID | None
) -> list[tuple[RecentAppeal, float]]:
    """Those of the others that speak of the members' trouble without saying what is out, and how alike they are.

    The others are such that may be about it; `topic_id` is what most members are about.
    """
    near = text_similarities(
        [appeal.text for appeal in members[:MAX_SAMPLE_TEXTS]],
        [appeal.text for appeal in others],
        location_names(members),
    )
    threads = Counter(appeal.thread_key for appeal in members if appeal.thread_key)
    return [
        (appeal, found)
        for appeal, found in zip(others, near, strict=True)
        if is_related(found, threads[appeal.thread_key or ""], same_topic=may_have_topic(appeal, topic_id))
    ]


def may_concern(appeal: RecentAppeal, fault: str | None, group_id: UUID | None) -> bool:
    """Whether a case that does not say that something is out may be about it: by its group, or because its words
    name the thing: «что со светом?».
    """
    if group_id is not None and appeal.group_id == group_id:
        return True
    return fault is not None and names_fault(appeal.text, fault)


def names_fault(text: str, fault: str) -> bool:
    """Whether the words name what is out, though maybe not that it is."""
    return any(hit.label == fault for hit in fault_index()[0].find(tokenize(clean_text(text))))


def may_have_topic(appeal: RecentAppeal, topic_id: UUID | None) -> bool:
    """Whether a case of the same group may be of this topic: it is, or nobody could tell which of the group's."""
    return topic_id is not None and appeal.topic_id in (topic_id, appeal.group_id)


def is_related(likeness: float, beside: int, *, same_topic: bool) -> bool:
    """Whether a case of the same group and place is about the trouble: by its words; by fewer with the same topic,
    and by fewer still beside a post where `beside` members stand.
    """
    if not same_topic:
        return likeness >= MIN_SIMILARITY
    return likeness >= (MIN_SIMILARITY_SAME_THREAD if beside >= _BESIDE else MIN_SIMILARITY_SAME_TOPIC)


def text_similarities(
    members: Sequence[str], texts: Sequence[str], places: Iterable[str | None] = ()
) -> list[float]:
    """How alike each text is to the likest of the members' texts, names of places aside; 0 without members."""
    if not texts or not members:
        return [0.0] * len(texts)
    known = list(places)
    return [
        float(value) for value in mean_top_similarity(text_vectors(texts, known), text_vectors(members, known))
    ]
