"""Table of appeals about merges of appeals."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import appeals  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, ExactTextColumn, Id

_IN_EFFECT = text("undone_at IS NULL")


class AppealMerge(Base):
    """The merge of an appeal into another appeal of its author, in effect until `undone_at`.

    `message_ids` were moved. `thread_key` and `author_key` are the merged appeal's: later messages of this
    author in this thread go to the appeal `into_id`. `former_status`: the status before the merge.
    """

    __tablename__ = "appeal_merges"
    __table_args__ = (
        Index("uq_appeal_merges_appeal_id", "appeal_id", unique=True, postgresql_where=_IN_EFFECT),
        Index("ix_appeal_merges_into_id", "into_id", postgresql_where=_IN_EFFECT),
        Index("ix_appeal_merges_thread_key", "thread_key", postgresql_where=_IN_EFFECT),
    )

    id: Mapped[Id]
    appeal_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    into_id: Mapped[UUID] = mapped_column(ForeignKey("appeals.id"))
    thread_key: Mapped[str]
    author_key: Mapped[str]
    message_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    former_status: Mapped[str]
    reason: Mapped[ExactTextColumn]
    merged_by: Mapped[str]
    merged_at: Mapped[datetime]
    undone_by: Mapped[str | None]
    undone_at: Mapped[datetime | None]
