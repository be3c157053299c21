"""Tables of appeals about work in bulk: operations, and the outcome of each for every appeal."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables import registry  # noqa: F401 — foreign keys refer to their tables
from shared.tables.base import Base, CreatedAt, Id


class BulkOperation(Base):
    """One change of many appeals, requested by a person or client.

    `action`: assign | transfer | close | triage | undo, with its `parameters`. `undoes_id`: the operation that
    this one undoes. `organisation_id` (null: the centre), `include_subordinates` and `scopes` are those of the
    author at the time of the request. `completed_at`: when every appeal had an outcome.
    """

    __tablename__ = "bulk_operations"
    __table_args__ = (
        Index("ix_bulk_operations_created_at", "created_at", "id"),
        Index("ix_bulk_operations_organisation_id", "organisation_id", "created_at", "id"),
        # An operation may be undone again if an error stopped the first undo.
        Index(
            "ix_bulk_operations_undoes_id",
            "undoes_id",
            "created_at",
            "id",
            postgresql_where=text("undoes_id IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    action: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    undoes_id: Mapped[UUID | None] = mapped_column(ForeignKey("bulk_operations.id"))
    author: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    include_subordinates: Mapped[bool]
    scopes: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    total: Mapped[int]
    created_at: Mapped[CreatedAt]
    completed_at: Mapped[datetime | None]


class BulkOperationRow(Base):
    """An appeal of a bulk operation; the list of appeals is fixed at the request.

    `outcome`: pending | done | refused | unchanged, written in the transaction of the change. `problem`: why it
    was refused, as the route for one appeal responds. `former` and `version`: the state before the change and the
    appeal's version after it, needed to undo the change. `number` is null for an appeal that the author may not
    see; such an id may not exist, so `appeal_id` has no foreign key.
    """

    __tablename__ = "bulk_operation_rows"
    __table_args__ = (
        Index("ix_bulk_operation_rows_outcome", "operation_id", "outcome", "appeal_id"),
        Index("ix_bulk_operation_rows_appeal_id", "appeal_id"),
    )

    operation_id: Mapped[UUID] = mapped_column(ForeignKey("bulk_operations.id"), primary_key=True)
    appeal_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(default="pending")
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    former: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    version: Mapped[int | None]
    changed_at: Mapped[datetime | None]
