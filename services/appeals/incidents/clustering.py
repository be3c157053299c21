"""Clustering: new appeals join the open incident that they report, and many appeals about one problem at once form
a spike. Clustering consumes the events of this service in batches; the number of statements depends on the
incidents and spikes, not on the appeals of a batch. The lock on its offset admits one worker at a time. A batch
also holds an advisory lock for each municipality it touches, so that an appeal handled outside the batch (a
retried dead letter) cannot open a second incident.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    select,
    text,
    true,
)

from services.appeals.actors import SYSTEM_ACTOR
from services.appeals.alerts import raising
from services.appeals.incidents import service, subject
from services.appeals.incidents.cluster_candidates import (
    ClusterCandidate,
    compatible_settlements,
    is_same_problem,
    match_rank,
    matches_candidate,
)
from services.appeals.incidents.service import NewMember
from services.appeals.incidents.similar_appeals import FORCE_CUSTOM_PLAN
from services.appeals.incidents.spike_counts import (
    RECENT_WINDOW,
    count_by_municipality,
    count_region,
    counted,
    read_baseline,
    topic_group,
)
from services.appeals.incidents.spike_detection import (
    MAX_SAMPLE_TEXTS,
    Counts,
    RecentAppeal,
    SpikeKey,
    baseline_share,
    count_authors,
    find_related,
    find_spikes,
    is_concentrated,
    may_concern,
    text_similarities,
)
from services.appeals.settings import AppealsSettings, settings
from shared.database.sessions import WriteSession
from shared.russian import in_words, plural
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_incidents import Incident, IncidentMember
from shared.tables.common import Event

CLUSTERING_EVENT_TYPES = ("appeal.opened", "appeal.message_added")
# Maximum number of rows read for one spike.
MAX_APPEALS_PER_SPIKE = 1_000
_LOCK = 0x6275  # the namespace of these advisory locks ("bu")
# Locks are taken in a fixed order, so that two batches wait for each other instead of deadlocking.
_LOCK_MUNICIPALITIES = text(
    """
    SELECT pg_advisory_xact_lock(:namespace, key)
    FROM (SELECT DISTINCT hashtext(name) AS key FROM unnest(CAST(:names AS text[])) AS name ORDER BY 1) AS keys
    """
)


async def handle_appeal_events(session: WriteSession, events: Sequence[Event]) -> None:
    """Cluster the appeals of these events. Idempotent."""
    await ClusteringBatch(session, settings()).run({event.subject_id for event in events})


def _never_joined() -> ColumnElement[bool]:
    """Return the SQL condition of appeals that never joined an incident: an appeal removed by a person must not
    join again.
    """
    return ~exists().where(IncidentMember.appeal_id == Appeal.id)


def _select_appeals() -> Select[Any]:
    # The location may come from the text, the post above, or the page.
    same = (
        Appeal.id, Appeal.text, Appeal.municipality, Appeal.settlement, Appeal.street, Appeal.utility_failure,
        Appeal.topic_id, Appeal.network, Appeal.page_id, Appeal.organisation_id, Appeal.author_key,
        Appeal.thread_key, Appeal.urgency, Appeal.written_at, Appeal.opened_at,
    )  # fmt: skip
    # `Any`, because SQLAlchemy's overloads do not cover this many columns.
    query: Any = select(*same, topic_group.label("group_id")).outerjoin(Topic, Topic.id == Appeal.topic_id)
    found: Select[Any] = query
    return found


class ClusteringBatch:
    """Clusters one batch of appeals."""

    def __init__(self, session: WriteSession, config: AppealsSettings) -> None:
        self._session = session
        self._min_authors = config.spike_min_authors
        self._window = timedelta(minutes=config.spike_window_minutes)
        self._quiet = timedelta(hours=config.incident_quiet_hours)

    async def run(self, appeal_ids: Collection[UUID]) -> None:
        """Add these appeals to open incidents, and open incidents for the spikes they are part of."""
        await self._session.execute(FORCE_CUSTOM_PLAN)
        appeals = await self._read(_select_appeals().where(Appeal.id.in_(appeal_ids), *counted(), _never_joined()))
        appeals = [appeal for appeal in appeals if appeal.municipality is not None]
        if not appeals:
            return
        await self._lock({appeal.municipality for appeal in appeals if appeal.municipality})
        candidates = await self._load_open_incidents(appeals)
        left = self._join(appeals, candidates)
        await self._find_spikes(left, candidates)
        await self._store(candidates)

    async def _read(self, query: Select[Any]) -> list[RecentAppeal]:
        return [RecentAppeal.of(**row._mapping) for row in await self._session.execute(query)]

    async def _lock(self, municipalities: Collection[str]) -> None:
        await self._session.execute(_LOCK_MUNICIPALITIES, {"namespace": _LOCK, "names": sorted(municipalities)})

    async def _load_open_incidents(self, appeals: Sequence[RecentAppeal]) -> list[ClusterCandidate]:
        """Return the open incidents of the appeals' municipalities, locked, with samples of their latest
        members.
        """
        found = list(
            await self._session.scalars(
                select(Incident)
                .where(
                    Incident.closed_at.is_(None),
                    Incident.municipality.in_({appeal.municipality for appeal in appeals}),
                    Incident.last_written_at >= min(appeal.written_at for appeal in appeals) - self._quiet,
                )
                .order_by(Incident.id)
                .with_for_update(key_share=True)
                .execution_options(populate_existing=True)
            )
        )
        if not found:
            return []
        groups = await self._groups(found)
        candidates = {one.id: ClusterCandidate.from_incident(one, groups.get(one.topic_id)) for one in found}
        last = (
            select(IncidentMember.appeal_id)
            .where(IncidentMember.incident_id == Incident.id, IncidentMember.left_at.is_(None))
            .order_by(IncidentMember.joined_at.desc(), IncidentMember.id.desc())
            .limit(MAX_SAMPLE_TEXTS)
            .lateral()
        )
        rows = await self._session.execute(
            select(Incident.id, Appeal.text, Appeal.thread_key, Appeal.page_id)
            .select_from(Incident)
            .join(last, true())
            .join(Appeal, Appeal.id == last.c.appeal_id)
            .where(Incident.id.in_(candidates))
        )
        for incident_id, words, thread_key, page_id in rows:
            candidates[incident_id].add_sample(words, thread_key, page_id)
        return list(candidates.values())

    async def _groups(self, incidents: Sequence[Incident]) -> dict[UUID | None, UUID]:
        rows = await self._session.execute(
            select(Topic.id, topic_group).where(Topic.id.in_({one.topic_id for one in incidents if one.topic_id}))
        )
        return {row[0]: row[1] for row in rows}

    def _join(self, appeals: Sequence[RecentAppeal], candidates: Sequence[ClusterCandidate]) -> list[RecentAppeal]:
        """Add the appeals to the open incidents that they match; return the remaining appeals."""
        near = [_similarities(candidate, appeals) for candidate in candidates]
        left: list[RecentAppeal] = []
        for appeal in appeals:
            fitting = [
                (match_rank(appeal, candidate), index)
                for index, candidate in enumerate(candidates)
                if self._overlaps(candidate, appeal.written_at, appeal.written_at)
                and matches_candidate(appeal, candidate, near[index].get(appeal.id, 0.0))
            ]
            if not fitting:
                left.append(appeal)
                continue
            _, best = max(fitting)
            candidates[best].new_members.append((appeal, near[best][appeal.id]))
        return left

    def _overlaps(
        self, candidate: ClusterCandidate, first_written_at: datetime, last_written_at: datetime
    ) -> bool:
        return candidate.overlaps(first_written_at, last_written_at, window=self._window, quiet=self._quiet)

    async def _find_spikes(self, appeals: Sequence[RecentAppeal], candidates: list[ClusterCandidate]) -> None:
        """Add a candidate for each spike that these appeals are part of, or merge the spike into a known
        candidate.
        """
        municipalities: dict[str, datetime] = {}
        keys: dict[str, set[SpikeKey]] = defaultdict(set)
        for appeal in appeals:
            if appeal.municipality is None or appeal.spike_key is None:
                continue
            municipalities[appeal.municipality] = max(
                appeal.opened_at, municipalities.get(appeal.municipality, appeal.opened_at)
            )
            keys[appeal.municipality].add(appeal.spike_key)
        if not municipalities:
            return
        coming = [appeal.id for candidate in candidates for appeal, _ in candidate.new_members]
        tallies = await count_by_municipality(self._session, municipalities, coming)
        latest = max(municipalities.values())
        baseline = await read_baseline(self._session, latest)
        around = await count_region(self._session, latest, coming)
        for municipality in sorted(municipalities):
            here = tallies.get(municipality)
            if here is None:
                continue
            known = baseline.municipalities.get(municipality, Counts.of(()))
            others = Counts.of((key, count) for name, key, count in around if name != municipality)
            for key in sorted(keys[municipality]):
                share = baseline_share(key, here=known, region=baseline.region, elsewhere=others)
                if here.is_hot(key, self._min_authors, share):
                    await self._add_spikes(
                        municipality, key, municipalities[municipality], share * here.total, candidates
                    )

    async def _add_spikes(
        self,
        municipality: str,
        key: SpikeKey,
        until: datetime,
        expected: float,
        candidates: list[ClusterCandidate],
    ) -> None:
        taken = {appeal.id for candidate in candidates for appeal, _ in candidate.new_members}
        appeals = [
            appeal
            for appeal in await self._read(self._recent(municipality, until, _has_key(key)))
            if appeal.id not in taken
        ]
        parts = list(find_spikes(key, appeals, min_authors=self._min_authors, window=self._window))
        taken.update(appeal.id for part in parts for appeal in part)
        for part in parts:
            spike = ClusterCandidate.from_spike(part, expected)
            for appeal, near in find_related(
                part, await self._related_appeals(municipality, until, spike, taken), spike.subject.topic_id
            ):
                spike.new_members.append((appeal, near))
                taken.add(appeal.id)
            # A second incident about the same problem would split the appeals, and a reply would reach only some
            # of them.
            known = next(
                (
                    candidate
                    for candidate in candidates
                    if self._overlaps(candidate, spike.first_written_at, spike.last_written_at)
                    and is_same_problem(candidate, spike)
                ),
                None,
            )
            if known is None:
                candidates.append(spike)
            else:
                known.merge(spike)

    def _recent(self, municipality: str, until: datetime, *about: ColumnElement[bool]) -> Select[Any]:
        return (
            _select_appeals()
            .where(
                Appeal.municipality == municipality,
                Appeal.opened_at > until - RECENT_WINDOW,
                Appeal.opened_at <= until,
                *counted(),
                _never_joined(),
                *about,
            )
            .order_by(Appeal.opened_at.desc())
            .limit(MAX_APPEALS_PER_SPIKE)
        )

    async def _related_appeals(
        self, municipality: str, until: datetime, spike: ClusterCandidate, taken: Collection[UUID]
    ) -> list[RecentAppeal]:
        """Return recent appeals of the municipality that may be about the same problem as the spike: if the spike
        has a utility failure, appeals that name none; otherwise appeals of the same topic group.
        """
        unsaid = (
            (Appeal.utility_failure.is_(None),)
            if spike.subject.utility_failure is not None
            else (topic_group == spike.group_id,)
        )
        return [
            appeal
            for appeal in await self._read(self._recent(municipality, until, *unsaid))
            if appeal.id not in taken
            and compatible_settlements(appeal.settlement, spike.subject.settlement)
            and may_concern(appeal, spike.subject.utility_failure, spike.group_id)
        ]

    async def _store(self, candidates: Sequence[ClusterCandidate]) -> None:
        """Write the result. All appeals are locked at once in id order, to avoid deadlocks."""
        free = await self._lock_appeals(
            {appeal.id for candidate in candidates for appeal, _ in candidate.new_members}
        )
        for candidate in candidates:
            # Appeals may have joined an incident, or may no longer count, since they were read without a lock.
            coming = [(appeal, near) for appeal, near in candidate.new_members if appeal.id in free]
            new_members = [_new_member(appeal, near, candidate.subject.utility_failure) for appeal, near in coming]
            if candidate.incident is not None:
                came = await service.add_members(
                    self._session, candidate.incident, new_members, actor=SYSTEM_ACTOR
                )
                if (
                    came
                    and candidate.incident.utility_failure is None
                    and candidate.subject.utility_failure is not None
                ):
                    await service.set_utility_failure(
                        self._session, candidate.incident, candidate.subject.utility_failure
                    )
            elif is_concentrated(
                [appeal for appeal in candidate.spike_appeals if appeal.id in free],
                self._min_authors,
                self._window,
            ):
                incident = await service.open_incident(
                    self._session, candidate.subject, new_members, actor=SYSTEM_ACTOR, origin="spike"
                )
                why = _why(incident, [appeal for appeal, _ in coming], candidate.expected_count)
                await raising.raise_spike(self._session, incident, why)

    async def _lock_appeals(self, appeal_ids: Collection[UUID]) -> set[UUID]:
        """Lock the appeals; return those that may still join an incident."""
        if not appeal_ids:
            return set()
        query = (
            select(Appeal.id)
            .where(Appeal.id.in_(appeal_ids), *counted())
            .order_by(Appeal.id)
            .with_for_update(key_share=True)
        )
        return set(await self._session.scalars(query))


def _has_key(key: SpikeKey) -> ColumnElement[bool]:
    kind, name = key
    if kind == "utility_failure":
        return Appeal.utility_failure == name
    return and_(Appeal.utility_failure.is_(None), topic_group == UUID(name))


def _similarities(candidate: ClusterCandidate, appeals: Sequence[RecentAppeal]) -> dict[UUID, float]:
    """Return the similarity of each appeal in the candidate's municipality to the texts of its members."""
    about = candidate.subject
    here = [appeal for appeal in appeals if appeal.municipality == about.municipality]
    found = text_similarities(candidate.texts, [appeal.text for appeal in here], (about.settlement, about.street))
    return {appeal.id: near for appeal, near in zip(here, found, strict=True)}


def _new_member(appeal: RecentAppeal, near: float | None, utility_failure: str | None) -> NewMember:
    named = appeal.utility_failure is not None and appeal.utility_failure == utility_failure
    what = (
        subject.utility_failure_title(utility_failure)
        if named and utility_failure
        else "похожие слова на ту же тему"
    )
    where = appeal.settlement or "место страницы или района"
    return NewMember(
        appeal_id=appeal.id,
        written_at=appeal.written_at,
        urgency=appeal.urgency,
        organisation_id=appeal.organisation_id,
        similarity=None if near is None else round(near, 3),
        why=f"{what}; {where}",
    )


def _why(incident: Incident, appeals: Sequence[RecentAppeal], expected: float) -> str:
    people = count_authors(appeals)
    span = incident.last_written_at - incident.first_written_at
    summary = f"{people} {plural(people, ('человек', 'человека', 'человек'))} за {in_words(span)}"
    return f"{incident.title}. {summary}; обычно при таком потоке — {expected:.0f}"
