"""Tables of metrics: published weekly reports, later changes of their figures, and open data."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id, IdempotencyMixin


class WeeklyReport(Base):
    """The report of a week as it was published; the row never changes.

    `week` is an ISO week of the region, such as 2026-W47. `document` is the report as canonical JSON, to the byte;
    `digest` is its SHA-256 in hexadecimal.
    """

    __tablename__ = "weekly_reports"

    id: Mapped[Id]
    week: Mapped[str] = mapped_column(unique=True)
    document: Mapped[str]
    digest: Mapped[str]
    # How many appeals were opened in the week, for the list of reports.
    appeals: Mapped[int]
    published_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]


class WeeklyReportCorrection(Base):
    """Differences of current figures from a published report, stored whenever a comparison finds new ones.

    `changes` has every figure that differs from the published one: [{"pointer", "published", "now"}]. An empty
    list means that they are equal again.
    """

    __tablename__ = "weekly_report_corrections"
    __table_args__ = (Index("ix_weekly_report_corrections_report_id", "report_id", "created_at"),)

    id: Mapped[Id]
    report_id: Mapped[UUID] = mapped_column(ForeignKey("weekly_reports.id"))
    changes: Mapped[list[dict[str, Any]]]
    created_at: Mapped[CreatedAt]


class OpenDataWeek(Base):
    """Open data of a published week; the row never changes.

    `document` is `OpenDataDocument` as JSON; no count in it is below `minimum`.
    """

    __tablename__ = "open_data_weeks"

    id: Mapped[Id]
    week: Mapped[str] = mapped_column(unique=True)
    minimum: Mapped[int]
    document: Mapped[str]
    published_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]


class MetricsIdempotency(IdempotencyMixin, Base):
    __tablename__ = "metrics_idempotency"
