"""Candidates of clustering (incidents that are open or about to be opened), and their matching with appeals and
spikes. No I/O.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.appeals.incidents.spike_detection import (
    MAX_SAMPLE_TEXTS,
    MIN_SIMILARITY_SAME_TOPIC,
    RecentAppeal,
    is_related,
    may_concern,
    may_have_topic,
    names_utility_failure,
    text_similarities,
)
from services.appeals.incidents.subject import IncidentSubject, majority_value, subject_of
from shared.tables.appeals_incidents import Incident


@dataclass
class ClusterCandidate:
    """The subject of an incident and samples of its latest members; `new_members` are about to join.

    Without `incident`, the incident is about to be opened: `spike_appeals` arrived where `expected_count` are
    usual.
    """

    subject: IncidentSubject
    group_id: UUID | None
    first_written_at: datetime
    last_written_at: datetime
    incident: Incident | None = None
    spike_appeals: Sequence[RecentAppeal] = ()
    expected_count: float = 0.0
    texts: list[str] = field(default_factory=list)
    threads: Counter[str | None] = field(default_factory=Counter)
    pages: Counter[UUID | None] = field(default_factory=Counter)
    new_members: list[tuple[RecentAppeal, float | None]] = field(default_factory=list)

    @staticmethod
    def from_incident(incident: Incident, group_id: UUID | None) -> "ClusterCandidate":
        """Return the candidate of an open incident; `add_sample` adds its samples."""
        subject = IncidentSubject(
            topic_id=incident.topic_id, utility_failure=incident.utility_failure,
            municipality=incident.municipality, settlement=incident.settlement, street=incident.street,
        )  # fmt: skip
        return ClusterCandidate(subject, group_id, incident.first_written_at, incident.last_written_at, incident)

    @staticmethod
    def from_spike(appeals: Sequence[RecentAppeal], expected: float = 0.0) -> "ClusterCandidate":
        """Return the candidate of these appeals, which form a spike."""
        found = ClusterCandidate(
            subject_of(appeals),
            majority_value(appeal.group_id for appeal in appeals),
            min(appeal.written_at for appeal in appeals),
            max(appeal.written_at for appeal in appeals),
            spike_appeals=appeals,
            expected_count=expected,
            new_members=[(appeal, None) for appeal in appeals],
        )
        for appeal in appeals[:MAX_SAMPLE_TEXTS]:
            found.add_sample(appeal.text, appeal.thread_key, appeal.page_id)
        return found

    def add_sample(self, text: str, thread_key: str | None, page_id: UUID | None) -> None:
        """Add the text, thread and page of a member."""
        self.texts.append(text)
        self.threads[thread_key] += 1
        self.pages[page_id] += 1

    def merge(self, other: "ClusterCandidate") -> None:
        """Merge another candidate into this one: add its new members, and set utility failure and topic if they
        are unknown.
        """
        self.new_members += other.new_members
        self.first_written_at, self.last_written_at = (
            min(self.first_written_at, other.first_written_at),
            max(self.last_written_at, other.last_written_at),
        )
        self.subject = replace(
            self.subject,
            utility_failure=self.subject.utility_failure or other.subject.utility_failure,
            topic_id=self.subject.topic_id or other.subject.topic_id,
        )

    def overlaps(
        self, first_written_at: datetime, last_written_at: datetime, *, window: timedelta, quiet: timedelta
    ) -> bool:
        """Return whether messages of this time may belong to the candidate: from one window before the first
        member until `quiet` after the last member.
        """
        return (
            self.first_written_at - window <= last_written_at and first_written_at <= self.last_written_at + quiet
        )


def matches_candidate(appeal: RecentAppeal, candidate: ClusterCandidate, near: float) -> bool:
    """Return whether an appeal belongs to the candidate; `near` is the similarity of its text to the members'
    texts.
    """
    subject = candidate.subject
    if appeal.municipality != subject.municipality or not compatible_settlements(
        appeal.settlement, subject.settlement
    ):
        return False
    if subject.utility_failure is not None and appeal.utility_failure is not None:
        return subject.utility_failure == appeal.utility_failure
    if not may_concern(appeal, subject.utility_failure, candidate.group_id):
        return False
    beside = candidate.threads[appeal.thread_key] if appeal.thread_key is not None else 0
    return is_related(near, beside, same_topic=may_have_topic(appeal, subject.topic_id))


def match_rank(appeal: RecentAppeal, candidate: ClusterCandidate) -> tuple[bool, bool, int, bool, int, datetime]:
    """Return the rank of a matching candidate: equal settlement and utility failure first, then the same post or
    page.
    """
    subject = candidate.subject
    return (
        appeal.settlement is not None and appeal.settlement == subject.settlement,
        appeal.utility_failure is not None and appeal.utility_failure == subject.utility_failure,
        candidate.threads[appeal.thread_key],
        appeal.page_settlement is not None and appeal.page_settlement == subject.settlement,
        candidate.pages[appeal.page_id],
        candidate.last_written_at,
    )


def is_same_problem(known: ClusterCandidate, spike: ClusterCandidate) -> bool:
    """Return whether a spike reports the problem of a known candidate.

    The municipality must be the same, and the settlements must not differ. If both have a utility failure, the
    failures must be the same. Otherwise the groups must be the same and, in addition, one of these is true: the
    topics are the same; one of the two has a utility failure, and most texts of the other name it; one has a
    utility failure, and a topic is unknown or only the group. If only the groups are the same, or only the texts
    name the failure, the texts must be similar.
    """
    one, other = known.subject, spike.subject
    if one.municipality != other.municipality or not compatible_settlements(one.settlement, other.settlement):
        return False
    if one.utility_failure is not None and other.utility_failure is not None:
        return one.utility_failure == other.utility_failure
    utility_failure = one.utility_failure or other.utility_failure
    same_group = known.group_id is not None and known.group_id == spike.group_id
    same_topic = one.topic_id is not None and one.topic_id == other.topic_id
    vague = utility_failure is not None and not {one.topic_id, other.topic_id}.isdisjoint({None, known.group_id})
    silent = known.texts if one.utility_failure is None else spike.texts
    named = utility_failure is not None and 2 * sum(
        names_utility_failure(text, utility_failure) for text in silent
    ) > len(silent)
    reported = same_group and (same_topic or vague or named)
    if reported or not (same_group or named):
        return reported
    location_names = {name for subject in (one, other) for name in (subject.settlement, subject.street) if name}
    near = text_similarities(known.texts, spike.texts, location_names)
    return sum(near) >= MIN_SIMILARITY_SAME_TOPIC * len(near) > 0


def compatible_settlements(one: str | None, other: str | None) -> bool:
    """Return whether two settlements may be the same; None (not named) matches any."""
    return one is None or other is None or one == other
