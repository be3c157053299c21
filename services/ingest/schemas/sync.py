"""API models of reconciliations and backfills."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RequestModel, RowModel
from shared.networks import NetworkName

BackfillStatus = TypeAliasType("BackfillStatus", Literal["queued", "running", "done", "failed", "cancelled"])


class ReconciliationIn(RequestModel):
    """Request to reconcile one page."""

    since: AwareDatetime | None = Field(
        default=None,
        description="Compare messages written then or later; always those since the last successful one",
        examples=["2026-11-20T00:00:00+08:00"],
    )


class ReconciliationsIn(ReconciliationIn):
    """Request to reconcile many pages."""

    network: NetworkName | None = Field(default=None, description="Omitted: all networks")


class ReconciliationsRequested(BaseModel):
    """The queued reconciliations; `GET /sources/reconciliations/summary?started_from=` shows their progress."""

    page_count: int
    started_at: datetime = Field(description="The start time, the same for all queued reconciliations")


class ReconciliationOut(RowModel):
    """One reconciliation of a page."""

    id: UUID
    page_id: UUID
    since: datetime
    started_at: datetime
    finished_at: datetime | None
    compared: int = Field(description="Messages read from the network")
    gaps: int = Field(description="Missing after the grace period; stored now")
    within_grace: int = Field(description="Missing but too recent to count; stored now")
    edited: int = Field(description="Edits that were not noticed before")
    deleted: int = Field(description="Deletions that were not noticed before")
    error: str | None = Field(description="Why it waits; it continues automatically")


class ReconciliationSummary(BaseModel):
    """Totals of reconciliations."""

    requested: int
    finished: int
    failing: int
    compared: int
    gaps: int
    within_grace: int
    edited: int
    deleted: int


class BackfillIn(RequestModel):
    """Request to backfill a page's history."""

    since: AwareDatetime = Field(
        description="Messages written then or later", examples=["2026-01-01T00:00:00+08:00"]
    )
    open_appeals: bool = Field(
        default=False, description="Messages may open appeals although they were written before the go-live time"
    )


class BackfillOut(RowModel):
    """A backfill of a page's history."""

    id: UUID
    page_id: UUID
    organisation_id: UUID
    since: datetime
    open_appeals: bool
    status: BackfillStatus = Field(examples=["running"])
    progress: float = Field(description="From 0 to 1")
    items_read: int = Field(description="Messages read from the network")
    messages_added: int = Field(description="Messages that were not stored before")
    error: str | None = Field(description="Why it failed, or why it waits")
    requested_by: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    created_at: datetime
    finished_at: datetime | None
    updated_at: datetime
