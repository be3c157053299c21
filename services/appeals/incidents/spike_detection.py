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

from services.appeals.classification.rules.urgency_signals import faults
from services.appeals.classification.text.tokenizer import plain, words_of
from services.appeals.incidents.similarity import Matrix, nearest, own_words, tells_of, vectors

# Texts of one group of topics and one place that are about one thing; measured on the examples of the classifier.
ALIKE = 0.36
# With the very topic, or none surer than the group, fewer words will do; fewer still beside the same post.
ALIKE_BY_TOPIC, ALIKE_IN_THREAD = 0.2, 0.12
# How much above the usual: this many times, and so many that chance brings as many once in ten thousand times.
_TIMES, _CHANCE = 1.5, 1e-4
# What is thought of a matter of which nothing is known, as if it had been seen in this many cases.
_PRIOR = {"fault": 0.02, "group": 0.04}
_PRIOR_CASES = 50
_BESIDE = 2
# So many members tell how an incident speaks.
PROFILE = 40
# The same trouble elsewhere at the same hour tells of a flood of messages, or of a storm: it explains this much.
_ELSEWHERE_MOST = {"fault": 0.10, "group": 0.25}

# ("fault", "power") or ("group", id of the group).
Matter = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A case as gathering reads it: `settlement` as its own words tell it, `seat` as its page or the post above.

    Those tell little of where the trouble is: who writes there may live in the next village.
    """

    id: UUID
    text: str
    municipality: str | None
    settlement: str | None
    seat: str | None
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
    def of(*, text: str, settlement: str | None, **more: Any) -> "Heard":
        """From a case's columns, whose settlement may be told by anything."""
        named = settlement is not None and tells_of(text, settlement)
        return Heard(
            text=text, settlement=settlement if named else None, seat=None if named else settlement, **more
        )

    @property
    def matter(self) -> Matter | None:
        """What it is about."""
        if self.fault is not None:
            return "fault", self.fault
        return ("group", str(self.group_id)) if self.group_id is not None else None


@dataclass
class Tally:
    """Counts of cases by matter, of one place or of a region."""

    total: int
    by_matter: Counter[Matter]

    @staticmethod
    def of(rows: Iterable[tuple[Matter | None, int]]) -> "Tally":
        """From matters with counts."""
        found = Tally(0, Counter())
        for matter, count in rows:
            found.total += count
            if matter is not None:
                found.by_matter[matter] += count
        return found

    def share(self, matter: Matter, prior: float | None = None) -> float:
        """The share of a matter, drawn towards what is thought of it while little was seen."""
        before = _PRIOR[matter[0]] if prior is None else prior
        return (self.by_matter[matter] + before * _PRIOR_CASES) / (self.total + _PRIOR_CASES)


def usual_share(matter: Matter, *, here: Tally, region: Tally, elsewhere: Tally) -> float:
    """Which share of a place's cases the matter has: by the last weeks here and in the region, and by what is
    told elsewhere right now.
    """
    now = min(elsewhere.share(matter), _ELSEWHERE_MOST[matter[0]])
    return max(here.share(matter, region.share(matter)), now)


def stands_out(count: int, among: int, share: float) -> bool:
    """Whether so many among all cases of a place are clearly above what this share lets expect."""
    expected = share * among
    # The chance that as many or more come by themselves, one independent of the other.
    return count >= _TIMES * expected and float(gammainc(count, expected)) <= _CHANCE


def speakers(cases: Iterable[Heard]) -> int:
    """How many people speak: the same words in two networks are one person's, unless anybody would use them."""
    authors: set[str] = set()
    said: dict[str, str | None] = {}
    for case in cases:
        words = own_words(case.text)
        if words is not None and said.setdefault(words, case.network) != case.network:
            continue
        authors.add(case.author_key or str(case.id))
    return len(authors)


def is_sudden(cases: Sequence[Heard], least: int, window: timedelta) -> bool:
    """Whether at least so many people wrote within a window."""
    if speakers(cases) < least:
        return False
    ordered = sorted(cases, key=lambda case: case.written_at)
    start = 0
    for end in range(len(ordered)):
        while ordered[end].written_at - ordered[start].written_at > window:
            start += 1
        if end - start + 1 >= least and speakers(ordered[start : end + 1]) >= least:
            return True
    return False


def by_settlement(cases: Sequence[Heard], least: int) -> Iterator[list[Heard]]:
    """Cases of one matter in one municipality, parted by settlement where several tell of their own.

    Who names none goes where most of their thread went, else where their page is, else to the largest. Without a
    settlement that enough people name all are one, but for those who name another than most do.
    """
    named: dict[str, list[Heard]] = defaultdict(list)
    for case in cases:
        if case.settlement is not None:
            named[case.settlement].append(case)
    leading = {name: found for name, found in named.items() if speakers(found) >= least}
    if not leading:
        most = max(named, key=lambda name: len(named[name]), default="")
        agreed = 2 * len(named.get(most, ())) > sum(len(found) for found in named.values())
        yield [case for case in cases if not agreed or case.settlement in (None, most)]
        return
    largest = max(leading, key=lambda name: len(leading[name]))
    threads: dict[str, Counter[str]] = defaultdict(Counter)
    for name, found in leading.items():
        for case in found:
            if case.thread_key:
                threads[case.thread_key][name] += 1
    for case in cases:
        if case.settlement is None:
            told = threads.get(case.thread_key or "")
            seat = case.seat if case.seat in leading else largest
            leading[told.most_common(1)[0][0] if told else seat].append(case)
    yield from leading.values()


def alike(cases: Sequence[Heard]) -> Iterator[list[Heard]]:
    """Cases parted into those that speak of one thing, by their words, largest first."""
    if not cases:
        return
    rows = vectors([case.text for case in cases], places_of(cases))
    near: Matrix = (rows @ rows.T) >= ALIKE
    _, labels = connected_components(near, directed=False)
    parts: dict[int, list[Heard]] = defaultdict(list)
    for case, label in zip(cases, labels, strict=True):
        parts[int(label)].append(case)
    yield from sorted(parts.values(), key=len, reverse=True)


def bursts(matter: Matter, cases: Sequence[Heard], *, least: int, window: timedelta) -> Iterator[list[Heard]]:
    """The cases of each burst among those of one matter in one municipality, which stand out together."""
    for part in by_settlement(cases, least):
        for found in [part] if matter[0] == "fault" else alike(part):
            if is_sudden(found, least, window):
                yield found


def places_of(cases: Iterable[Heard]) -> set[str]:
    """The names of places that these cases tell."""
    return {name for case in cases for name in (case.settlement, case.street) if name}


def likely_members(
    members: Sequence[Heard], others: Sequence[Heard], topic_id: UUID | None
) -> list[tuple[Heard, float]]:
    """Those of the others that speak of the members' trouble without saying what is out, and how alike they are.

    The others are such that may be about it; `topic_id` is what most members are about.
    """
    near = likenesses(
        [case.text for case in members[:PROFILE]], [case.text for case in others], places_of(members)
    )
    threads = Counter(case.thread_key for case in members if case.thread_key)
    return [
        (case, found)
        for case, found in zip(others, near, strict=True)
        if belongs(found, threads[case.thread_key or ""], same_topic=is_of_topic(case, topic_id))
    ]


def may_be_about(case: Heard, fault: str | None, group_id: UUID | None) -> bool:
    """Whether a case that does not say that something is out may be about it: by its group, or because its words
    name the thing: «что со светом?».
    """
    if group_id is not None and case.group_id == group_id:
        return True
    return fault is not None and names_fault(case.text, fault)


def names_fault(text: str, fault: str) -> bool:
    """Whether the words name what is out, though maybe not that it is."""
    return any(hit.label == fault for hit in faults()[0].find(words_of(plain(text))))


def is_of_topic(case: Heard, topic_id: UUID | None) -> bool:
    """Whether a case of the same group may be of this topic: it is, or nobody could tell which of the group's."""
    return topic_id is not None and case.topic_id in (topic_id, case.group_id)


def belongs(likeness: float, beside: int, *, same_topic: bool) -> bool:
    """Whether a case of the same group and place is about the trouble: by its words; by fewer with the same topic,
    and by fewer still beside a post where `beside` members stand.
    """
    if not same_topic:
        return likeness >= ALIKE
    return likeness >= (ALIKE_IN_THREAD if beside >= _BESIDE else ALIKE_BY_TOPIC)


def likenesses(members: Sequence[str], texts: Sequence[str], places: Iterable[str | None] = ()) -> list[float]:
    """How alike each text is to the likest of the members' texts, names of places aside; 0 without members."""
    if not texts or not members:
        return [0.0] * len(texts)
    known = list(places)
    return [float(value) for value in nearest(vectors(texts, known), vectors(members, known))]
