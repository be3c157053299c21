"""Tables of the rollups of SLA figures: a month's appeals by one column, and which months have changed since."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt


class SlaRollup(Base):
    """The appeals opened in a month of the region whose `kind` (organisation, topic, network, day) has the value
    `key` ("none": no value).

    The counts are those of `SlaFigure`, with every open deadline still ahead; what is overdue follows from
    `open_deadlines`.
    The other columns are packed, big-endian: working seconds of the first responses (int32), seconds from writing
    to opening (float64), deadlines of the waiting appeals (int64, microseconds since 2000).
    """

    __tablename__ = "sla_rollups"

    kind: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    opened: Mapped[int]
    answered: Mapped[int]
    on_time: Mapped[int]
    overdue: Mapped[int]
    waiting: Mapped[int]
    closed_unanswered: Mapped[int]
    final_answered: Mapped[int]
    solved: Mapped[int]
    disputed: Mapped[int]
    not_required: Mapped[int]
    in_triage: Mapped[int]
    response_seconds: Mapped[bytes]
    delay_seconds: Mapped[bytes]
    open_deadlines: Mapped[bytes]


class SlaRollupMonth(Base):
    """A month, by its first day, whose appeals are in `sla_rollups`, perhaps none, counted by a definition."""

    __tablename__ = "sla_rollup_months"

    month: Mapped[date] = mapped_column(primary_key=True)
    definition: Mapped[int]
    created_at: Mapped[CreatedAt]


class SlaRollupChange(Base):
    """A change of something that SLA figures count, of appeals that were opened in the month.

    Triggers of `appeals` add it in the transaction of the change. While one of a month exists, the rollups of the
    month are not read.
    """

    __tablename__ = "sla_rollup_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    month: Mapped[date]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
