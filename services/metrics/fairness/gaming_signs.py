"""Signs that figures may be embellished: reasons for a person to look, not verdicts.

Pure functions; `gaming_queries.py` reads their input. Docs: docs/moderator/fairness.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.metrics.fairness import wording
from services.metrics.fairness.intervals import wilson_interval
from services.metrics.fairness.peer_groups import PeerGroup
from services.metrics.schemas.embellishment_signs import SignCode
from shared.russian import in_words, plural

# An answer given less than this before the deadline is a last-minute answer.
LAST_MINUTES = timedelta(minutes=15)
# An appeal reopened within this time after its answer or closing is soon reopened.
SOON = timedelta(days=3)
# Fewer appeals than this, or identical answers to fewer people, are never a sign.
MIN_EVIDENCE = 5
# A share is a sign if it is at least this many times the peers' share and its interval lies above theirs. The
# confidence level of its interval is high, because a region has thousands of organisations.
MIN_RATIO, LEVEL = 2.0, 0.999

_PEOPLE = ("человека", "человек", "человек")
_ANSWERS_IN_TIME = ("ответа в срок", "ответов в срок", "ответов в срок")


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign with its figures in a Russian sentence, and the appeals it is based on."""

    code: SignCode
    organisation_id: UUID
    sentence: str
    appeal_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Conspicuous:
    """An organisation with `trials` appeals, of which `appeal_ids` are conspicuous."""

    organisation_id: UUID
    group: PeerGroup
    trials: int
    appeal_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class RepeatedText:
    """A text that an organisation published as the final answer to several appeals of `authors` people.

    `answers` is the number of all its final answers in the period.
    """

    organisation_id: UUID
    answers: int
    authors: int
    appeal_ids: tuple[UUID, ...]


def last_minute_answers(rows: Sequence[Conspicuous]) -> list[Sign]:
    """Return a sign for each organisation that answers in the last minutes far more often than its peers."""
    last = in_words(LAST_MINUTES)
    return [
        Sign(
            SignCode.LAST_MINUTE_ANSWERS,
            row.organisation_id,
            f"{len(row.appeal_ids)} из {row.trials} {plural(row.trials, _ANSWERS_IN_TIME)} "
            f"({wording.percent(len(row.appeal_ids) / row.trials)}) даны в последние {last} до срока; "
            f"у сопоставимых организаций\u00a0— {wording.percent(others)}",
            row.appeal_ids,
        )
        for row, others in _above_peers(rows)
    ]


def soon_reopened(rows: Sequence[Conspicuous]) -> list[Sign]:
    """Return a sign for each organisation whose ended appeals are soon reopened far more often than those of its
    peers.
    """
    soon = in_words(SOON)
    return [
        Sign(
            SignCode.SOON_REOPENED,
            row.organisation_id,
            f"{len(row.appeal_ids)} из {row.trials} отвеченных или закрытых обращений "
            f"({wording.percent(len(row.appeal_ids) / row.trials)}) открыты снова не позже чем через {soon}; "
            f"у сопоставимых организаций\u00a0— {wording.percent(others)}",
            row.appeal_ids,
        )
        for row, others in _above_peers(rows)
    ]


def identical_answers(rows: Iterable[RepeatedText]) -> list[Sign]:
    """Return a sign for each text published as the answer to appeals of at least `MIN_EVIDENCE` people."""
    return [
        Sign(
            SignCode.IDENTICAL_ANSWERS,
            row.organisation_id,
            f"один и тот же текст опубликован как окончательный ответ на {wording.appeals(len(row.appeal_ids))} "
            f"от {row.authors} {plural(row.authors, _PEOPLE)}; всего окончательных ответов\u00a0— {row.answers}",
            row.appeal_ids,
        )
        for row in rows
        if row.authors >= MIN_EVIDENCE
    ]


def _above_peers(rows: Sequence[Conspicuous]) -> Iterable[tuple[Conspicuous, float]]:
    """Yield the organisations whose share is far above that of their peers, with the peers' share.

    An organisation without peers is compared with all others.
    """
    hits: dict[PeerGroup | None, int] = defaultdict(int)
    trials: dict[PeerGroup | None, int] = defaultdict(int)
    for row in rows:
        for group in (row.group, None):
            hits[group] += len(row.appeal_ids)
            trials[group] += row.trials
    for row in rows:
        found = len(row.appeal_ids)
        group = row.group if trials[row.group] > row.trials else None
        others, among = hits[group] - found, trials[group] - row.trials
        own, theirs = wilson_interval(found, row.trials, LEVEL), wilson_interval(others, among)
        if found < MIN_EVIDENCE or own is None or theirs is None:
            continue
        if own[0] > theirs[1] and found / row.trials >= MIN_RATIO * others / among:
            yield row, others / among
