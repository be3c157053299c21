"""Tables of the rollups of SLA figures: a month's appeals by one column, and which months have changed since."""

from datetime import date, datetime

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt


class SlaRollup(Base):
    """Figures of the appeals opened in a month (in the region's time zone) whose `kind` (organisation, topic,
    network, day) is `key` ("none": no value).

    The counts are the counts of `SlaFigure`, as if no open deadline had passed; overdue appeals are counted from
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
    """A month, by its first day, that is complete in `sla_rollups` (which has no rows if it has no appeals), with
    the version of the definition by which it was counted.
    """

    __tablename__ = "sla_rollup_months"

    month: Mapped[date] = mapped_column(primary_key=True)
    definition: Mapped[int]
    created_at: Mapped[CreatedAt]


class SlaRollupChange(Base):
    """A change that affects the SLA figures of appeals opened in the month.

    Triggers of `appeals` add it in the transaction of the change. While a month has a change, its rollups are
    not read.
    """

    __tablename__ = "sla_rollup_changes"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    month: Mapped[date]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
