"""The daily pulse: figures of a past day compared with earlier days, and what was unusual.

Docs: docs/moderator/pulse.md.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.metrics.fairness.wording import appeals as appeals_in_words
from services.metrics.fairness.wording import decimal
from services.metrics.indicators.channels import channel_name
from services.metrics.pulse import day_queries
from services.metrics.pulse.day_queries import DaySpan
from services.metrics.pulse.unusual_topics import DayCount, DayVerdict, UnusualTopic, find_unusual
from services.metrics.schemas.pulse import (
    PulseChannel,
    PulseFigure,
    PulseFigures,
    PulseReport,
    PulseTopic,
    PulseVerdict,
)
from shared.auth.callers import Caller
from shared.clock import REGION_TIME_ZONE
from shared.http.problems import Invalid
from shared.networks import NETWORKS
from shared.russian import plural

_FIGURES = ("opened", "answered", "overdue")
_LEVELS = {"calmer": "спокойнее обычного", "usual": "как обычно", "tenser": "напряжённее обычного"}
_ON_WEEKDAY = (
    "в понедельник", "во вторник", "в среду", "в четверг", "в пятницу", "в субботу", "в воскресенье",
)  # fmt: skip
_PEOPLE = ("человек", "человека", "человек")
_WROTE = ("написал", "написали", "написали")
_MOST_TOPICS = 3
_FIRST_YEAR = 2000

_Counts = Mapping[tuple[str, date], int]


def parse_day(day: date | None, now: datetime) -> date:
    """Return the requested day, by default yesterday in the region. Raises `Invalid` unless the day has ended."""
    yesterday = now.astimezone(REGION_TIME_ZONE).date() - timedelta(days=1)
    if day is None:
        return yesterday
    if day > yesterday or day.year < _FIRST_YEAR:
        detail = (
            f"«day»: must be a day that has ended in the region, from {_FIRST_YEAR} to {yesterday.isoformat()}"
        )
        raise Invalid.field("query/day", detail)
    return day


async def compute_pulse(session: AsyncSession, day: date, caller: Caller, now: datetime) -> PulseReport:
    """Return the pulse of a day over the appeals that the caller may see."""
    span = DaySpan(day)
    opened = (await session.execute(day_queries.opened_query(span, caller, now))).all()
    # Before the day of the first appeal nothing was collected: such a day has no figures, not zeros.
    earlier = await session.scalar(day_queries.earlier_query(span, caller))
    first = span.days[0] if earlier is not None else min((row.day for row in opened), default=None)
    known = [one for one in span.days if first is not None and one >= first]
    answered = (await session.execute(day_queries.answered_query(span, caller))).all()
    overdue = (await session.execute(day_queries.overdue_query(span, caller))).all()
    history = (await session.execute(day_queries.history_query(day, caller))).all()
    unusual = find_unusual(day, (DayCount(**row._mapping) for row in history))
    counts: dict[str, _Counts] = {
        name: {(row.channel, row.day): getattr(row, name) for row in rows}
        for name, rows in zip(_FIGURES, (opened, answered, overdue), strict=True)
    }
    channels = {channel for of_figure in counts.values() for (channel, _), count in of_figure.items() if count}
    return PulseReport(
        day=day,
        time_zone=REGION_TIME_ZONE.key,
        total=PulseFigures(**_figures(counts, channels, day, known)),
        in_triage=sum(row.in_triage for row in opened if row.day == day),
        channels=[
            PulseChannel(channel=channel, name=channel_name(channel), **_figures(counts, {channel}, day, known))
            for channel in sorted(channels, key=lambda name: (name not in NETWORKS, channel_name(name)))
        ],
        verdict=_verdict(unusual.verdict, day),
        unusual_topics=await _topics(session, day, unusual.topics, caller),
        pairs_tested=unusual.pairs_tested,
        history_days=unusual.history_days,
    )


def _figures(
    counts: Mapping[str, _Counts], channels: Iterable[str], day: date, known: Sequence[date]
) -> dict[str, PulseFigure]:
    """Return the figures of the day, compared with those of the `known` days before it."""
    names = list(channels)
    found = {}
    for figure, of_figure in counts.items():
        value, *before = (
            sum(of_figure.get((name, one), 0) for name in names)
            for one in (day, *(one for one in known if one != day))
        )
        previous = before[-1] if before else None
        found[figure] = PulseFigure(
            value=value,
            previous=previous,
            change=value - previous if previous is not None else None,
            mean=round(sum(before) / len(before), 2) if before else None,
        )
    return found


def _verdict(found: DayVerdict, day: date) -> PulseVerdict:
    opened = f"поступило {appeals_in_words(found.appeals)}"
    if found.expected is None:
        return PulseVerdict(level=found.level, text=f"мало данных для сравнения: {opened}", expected=None)
    usual = f"{_ON_WEEKDAY[day.weekday()]} обычно около {decimal(found.expected)}"
    return PulseVerdict(
        level=found.level, text=f"{_LEVELS[found.level]}: {opened}, {usual}", expected=round(found.expected, 2)
    )


async def _topics(
    session: AsyncSession, day: date, topics: Sequence[UnusualTopic], caller: Caller
) -> list[PulseTopic]:
    if not topics:
        return []
    pairs = [(topic.municipality, topic.topic_group_id) for topic in topics]
    rows: dict[Any, list[Row[Any]]] = defaultdict(list)
    for row in (await session.execute(day_queries.appeals_query(day, pairs, caller))).all():
        rows[row.municipality, row.topic_group_id].append(row)
    found = []
    for topic, pair in zip(topics, pairs, strict=True):
        behind = rows[pair]
        named = Counter(row.topic for row in behind if not row.group_only)
        found.append(
            PulseTopic(
                topic_group_id=topic.topic_group_id,
                topic_group=behind[0].topic_group,
                municipality=topic.municipality,
                municipality_name=behind[0].municipality_name or topic.municipality,
                topics=[name for name, _ in named.most_common(_MOST_TOPICS)],
                people=topic.people,
                appeals=topic.appeals,
                expected=round(topic.expected, 2),
                probability=topic.probability,
                reason=_reason(topic, day),
                appeal_ids=[row.id for row in behind],
            )
        )
    return found


def _reason(topic: UnusualTopic, day: date) -> str:
    usual = f"около {decimal(topic.expected)}" if topic.expected >= 0.1 else "почти никто"
    wrote = f"{plural(topic.people, _WROTE)} {topic.people} {plural(topic.people, _PEOPLE)}"
    return f"{wrote}, {_ON_WEEKDAY[day.weekday()]} обычно {usual}: случайностью это не объяснить"
