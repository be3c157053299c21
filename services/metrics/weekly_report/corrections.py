"""Corrections: figures of a published week that today's rows would give differently, stored beside the report."""

from datetime import datetime

from sqlalchemy import func, select

from services.metrics.indicators.weeks import Week
from services.metrics.rendering.figure_pointers import figures, steps
from services.metrics.schemas.weekly_report import CorrectedFigure, PageFigures, ReportDocument
from services.metrics.weekly_report.publication import build_in_snapshot, last_correction, read_published
from shared.database.sessions import Database
from shared.tables.metrics import WeeklyReportCorrection

# Rows of older weeks hardly change, and comparing a week takes as long as building its report.
COMPARED_WEEKS = 8
# Texts; selections that follow from the figures; the cells, whose sums are compared; and grades, which are still
# being given.
_NOT_COMPARED = frozenset(
    {"hard_appeals", "attention", "definitions", "page_definitions", "gaps", "as_of", "cells", "grades"}
)
# Values derived from compared counts: otherwise one late row would change the scores of all peers.
_DERIVED = frozenset(
    {"score", "low", "high", "rank", "share", "change", "change_to_last_year", "mean_of_8_weeks", "last_week"}
    | {
        "engagement_last_week",
        "reach_share_last_week",
        "mean_score_last_week",
        "lights_last_week",
        "light_changes",
    }
)


def weeks_to_compare(now: datetime) -> list[Week]:
    """Return the weeks whose published figures are compared with today's rows."""
    return [Week.containing(now).shifted(-weeks) for weeks in range(1, COMPARED_WEEKS + 1)]


async def note_corrections(database: Database, week: Week, now: datetime) -> int:
    """Compare a published week with today's rows and store the differences. Return how many figures differ.

    Nothing is stored if the differences are the same as at the last comparison.
    """
    async with database.read() as reading:
        published = await read_published(reading, week)
    if published is None:
        return 0
    rebuilt = await build_in_snapshot(database, week, now)
    changes = [change.model_dump(mode="json") for change in differences(published.document, rebuilt)]
    async with database.write() as session:
        # Serialised: two concurrent comparisons could store the same differences twice.
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(published.digest, 0))))
        last = await last_correction(session, published.id)
        if changes != ([] if last is None else last.changes):
            session.add(WeeklyReportCorrection(report_id=published.id, changes=changes, created_at=now))
    return len(changes)


def differences(published: ReportDocument, rebuilt: ReportDocument) -> list[CorrectedFigure]:
    """Return the differing figures, ordered by pointer; a figure missing in one document is null there."""
    rebuilt = _without_later_fields(published, rebuilt)
    before, after = (dict(figures(one.model_dump(mode="json"), _NOT_COMPARED)) for one in (published, rebuilt))
    return [
        CorrectedFigure(pointer=pointer, published=before.get(pointer), now=after.get(pointer))
        for pointer in sorted(before.keys() | after.keys())
        if before.get(pointer) != after.get(pointer) and not _DERIVED.intersection(steps(pointer))
    ]


def _without_later_fields(published: ReportDocument, rebuilt: ReportDocument) -> ReportDocument:
    """Return the rebuilt report without page figures that did not exist when the published report was built."""
    before, after = published.pages, rebuilt.pages
    if before is None or after is None:
        return rebuilt
    later = {name: getattr(before, name) for name in PageFigures.model_fields.keys() - before.model_fields_set}
    return rebuilt.model_copy(update={"pages": after.model_copy(update=later)})
