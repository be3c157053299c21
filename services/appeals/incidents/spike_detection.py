"""Spike detection: appeals with one key in one municipality, significantly more than the baseline. No I/O.

The key is the utility failure, else the topic group. Appeals with the same utility failure and location are about
one problem; a topic group is broad, so the texts must be similar as well.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from services.appeals.classification.rules.urgency_signals import utility_failure_index
from services.appeals.classification.text.tokenizer import clean_text, tokenize
from services.appeals.incidents.similarity import (
    distinctive_text,
    mean_top_similarity,
    mentions_name,
    text_vectors,
)

# Minimum similarity of texts about one problem in the same group and location; measured on the training examples.
MIN_SIMILARITY = 0.36
# Lower minimum if the topic is the same or unknown, and still lower if the post is the same too.
MIN_SIMILARITY_SAME_TOPIC, MIN_SIMILARITY_SAME_THREAD = 0.2, 0.12
# A spike has at least this ratio to the baseline, and at most this probability of occurring by chance.
_MIN_RATIO, _MAX_P_VALUE = 1.5, 1e-4
# Prior share of a key among appeals, by kind of key; it weighs as much as `_PRIOR_WEIGHT` appeals.
_PRIOR_SHARE = {"utility_failure": 0.02, "group": 0.04}
_PRIOR_WEIGHT = 50
# Number of members in a thread from which `MIN_SIMILARITY_SAME_THREAD` is enough for another appeal in it.
_BESIDE = 2
_NEGLIGIBLE = 1e-16
# Maximum number of members' texts that represent an incident.
MAX_SAMPLE_TEXTS = 40
# Upper limit of the baseline share taken from current counts elsewhere: the same problem may really occur in many
# municipalities, as in a storm.
_ELSEWHERE_MOST = {"utility_failure": 0.10, "group": 0.25}

# ("utility_failure", "power") or ("group", id of the group).
SpikeKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentAppeal:
    """An appeal as clustering reads it: `settlement` is named in its text, `page_settlement` comes from its page
    or the post above. `page_settlement` is weak evidence: the author may live in the next village.
    """

    id: UUID
    text: str
    municipality: str | None
    settlement: str | None
    page_settlement: str | None
    street: str | None
    utility_failure: str | None
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
        """Return the appeal from its columns. The settlement may come from the text, the post or the page."""
        named = settlement is not None and mentions_name(text, settlement)
        return RecentAppeal(
            text=text,
            settlement=settlement if named else None,
            page_settlement=None if named else settlement,
            **more,
        )

    @property
    def spike_key(self) -> SpikeKey | None:
        """Return the key that spikes are counted by."""
        if self.utility_failure is not None:
            return "utility_failure", self.utility_failure
        return ("group", str(self.group_id)) if self.group_id is not None else None


@dataclass
class Counts:
    """Counts of appeals by key, in one municipality or in the region."""

    total: int
    by_key: Counter[SpikeKey]

    @staticmethod
    def of(rows: Iterable[tuple[SpikeKey | None, int]]) -> "Counts":
        """Return the counts built from pairs of key and count."""
        found = Counts(0, Counter())
        for key, count in rows:
            found.total += count
            if key is not None:
                found.by_key[key] += count
        return found

    def share(self, key: SpikeKey, prior: float | None = None) -> float:
        """Return the share of a key, shrunk towards the prior while there is little data."""
        before = _PRIOR_SHARE[key[0]] if prior is None else prior
        return (self.by_key[key] + before * _PRIOR_WEIGHT) / (self.total + _PRIOR_WEIGHT)


def baseline_share(key: SpikeKey, *, here: Counts, region: Counts, elsewhere: Counts) -> float:
    """Return the expected share of a key, from the last weeks here and in the region, and from current counts
    elsewhere.
    """
    now = min(elsewhere.share(key), _ELSEWHERE_MOST[key[0]])
    return max(here.share(key, region.share(key)), now)


def is_significant(count: int, among: int, share: float) -> bool:
    """Return whether `count` of `among` appeals is significantly above the expected share."""
    expected = share * among
    # Poisson probability of at least this count by chance, if appeals are independent.
    return count >= _MIN_RATIO * expected and poisson_at_least(count, expected) <= _MAX_P_VALUE


def poisson_at_least(count: int, mean: float) -> float:
    """Return the Poisson probability of at least `count` with the given mean. Not for counts far below the mean,
    where the first term underflows.
    """
    if count <= 0 or mean <= 0:
        return float(count <= 0)
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    total = term
    # Terms increase up to the mean and decrease above it.
    while count < mean or term > total * _NEGLIGIBLE:
        count += 1
        term *= mean / count
        total += term
    return min(total, 1.0)


def count_authors(appeals: Iterable[RecentAppeal]) -> int:
    """Return the number of authors: the same long text in two networks counts as one author."""
    authors: set[str] = set()
    network_by_text: dict[str, str | None] = {}
    for appeal in appeals:
        words = distinctive_text(appeal.text)
        if words is not None and network_by_text.setdefault(words, appeal.network) != appeal.network:
            continue
        authors.add(appeal.author_key or str(appeal.id))
    return len(authors)


def is_concentrated(appeals: Sequence[RecentAppeal], min_authors: int, window: timedelta) -> bool:
    """Return whether at least `min_authors` people wrote within one window."""
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
    """Split appeals of one key and municipality by the settlements that enough people name. An appeal without a
    settlement goes to the settlement of most appeals of its thread, else of its page, else to the largest group.
    Appeals with a settlement that too few people name are left out. If no settlement has enough people, all
    appeals are one group, except those whose settlement differs from that of the majority.
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
    """Split appeals into groups of similar texts, largest first."""
    if not appeals:
        return
    rows = text_vectors([appeal.text for appeal in appeals], location_names(appeals))
    others = rows.T
    left = np.ones(len(appeals), dtype=bool)
    parts: list[list[RecentAppeal]] = []
    for first in range(len(appeals)):
        if not left[first]:
            continue
        left[first] = False
        found = [first]
        # `found` grows during the loop: each text that is reached is compared with the remaining texts.
        for at in found:
            if not left.any():
                break
            near = (rows[at : at + 1] @ others)[0] >= MIN_SIMILARITY
            reached = np.flatnonzero(near & left)
            left[reached] = False
            found += reached.tolist()
        parts.append([appeals[at] for at in sorted(found)])
    yield from sorted(parts, key=len, reverse=True)


def find_spikes(
    key: SpikeKey, appeals: Sequence[RecentAppeal], *, min_authors: int, window: timedelta
) -> Iterator[list[RecentAppeal]]:
    """Yield the appeals of each spike among the appeals of one key and municipality."""
    for part in group_by_settlement(appeals, min_authors):
        for found in [part] if key[0] == "utility_failure" else group_by_text(part):
            if is_concentrated(found, min_authors, window):
                yield found


def location_names(appeals: Iterable[RecentAppeal]) -> set[str]:
    """Return the location names of these appeals."""
    return {name for appeal in appeals for name in (appeal.settlement, appeal.street) if name}


def find_related(
    members: Sequence[RecentAppeal], others: Sequence[RecentAppeal], topic_id: UUID | None
) -> list[tuple[RecentAppeal, float]]:
    """Return the appeals among `others` that are about the members' problem without having the utility failure,
    with their similarity. `others` are appeals for which `may_concern` is true; `topic_id` is the topic of most
    members.
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


def may_concern(appeal: RecentAppeal, utility_failure: str | None, group_id: UUID | None) -> bool:
    """Return whether an appeal without a utility failure may be about this one: it has the same group, or its text
    names the utility, as in «что со светом?».
    """
    if group_id is not None and appeal.group_id == group_id:
        return True
    return utility_failure is not None and names_utility_failure(appeal.text, utility_failure)


def names_utility_failure(text: str, utility_failure: str) -> bool:
    """Return whether the text names the utility, even if it does not say that the utility is out of order."""
    return any(hit.label == utility_failure for hit in utility_failure_index()[0].find(tokenize(clean_text(text))))


def may_have_topic(appeal: RecentAppeal, topic_id: UUID | None) -> bool:
    """Return whether an appeal of the same group has this topic, or may have it because only its group is
    known.
    """
    return topic_id is not None and appeal.topic_id in (topic_id, appeal.group_id)


def is_related(similarity: float, beside: int, *, same_topic: bool) -> bool:
    """Return whether an appeal of the same group and location is about the problem, by the similarity of its text.

    The threshold is lower with the same topic, and still lower in a thread with enough members (`beside`).
    """
    if not same_topic:
        return similarity >= MIN_SIMILARITY
    return similarity >= (MIN_SIMILARITY_SAME_THREAD if beside >= _BESIDE else MIN_SIMILARITY_SAME_TOPIC)


def text_similarities(
    members: Sequence[str], texts: Sequence[str], places: Iterable[str | None] = ()
) -> list[float]:
    """Return the mean similarity of each text to the most similar members' texts, ignoring location names; 0
    without members.
    """
    if not texts or not members:
        return [0.0] * len(texts)
    known = list(places)
    return [
        float(value) for value in mean_top_similarity(text_vectors(texts, known), text_vectors(members, known))
    ]
