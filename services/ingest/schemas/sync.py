"""What crosses the wire: comparisons with the networks, and history fetched."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from services.ingest.schemas.base import RequestModel, RowModel
from shared.networks import NetworkName

BackfillStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class ReconciliationIn(RequestModel):
    """What to compare."""

    since: AwareDatetime | None = Field(
        default=None,
        description="What was written then or later; left out: from where the last one left off",
        examples=["2026-11-20T00:00:00+08:00"],
    )


class ReconciliationsIn(ReconciliationIn):
    """Of which pages."""

    network: NetworkName | None = Field(default=None, description="Left out: all networks")


class ReconciliationsRequested(BaseModel):
    """What was asked for; `GET /sources/reconciliations/summary?started_from=` tells how it goes."""

    pages: int
    started_at: datetime = Field(description="The same for all of them")


class ReconciliationOut(RowModel):
    """One comparison of a page with what is stored."""

    id: UUID
    page_id: UUID
    since: datetime
    started_at: datetime
    finished_at: datetime | None
    compared: int = Field(description="Read from the network")
    gaps: int = Field(description="Missing although the ordinary ways had had the time; stored now")
    late: int = Field(description="Missing, but written too recently to count; stored now")
    edited: int = Field(description="Changed unnoticed")
    deleted: int = Field(description="Gone unnoticed")
    error: str | None = Field(description="Why it rests; it goes on by itself")


class ReconciliationSummary(BaseModel):
    """Comparisons of many pages together."""

    asked: int
    finished: int
    in_trouble: int
    compared: int
    gaps: int
    late: int
    edited: int
    deleted: int


class BackfillIn(RequestModel):
    """Which history to fetch."""

    since: AwareDatetime = Field(
        description="What was written then or later", examples=["2026-01-01T00:00:00+08:00"]
    )
    open_cases: bool = Field(
        default=False, description="What is found may open cases although it was written before the go-live moment"
    )


class BackfillOut(RowModel):
    """A page's history being fetched."""

    id: UUID
    page_id: UUID
    organisation_id: UUID
    since: datetime
    open_cases: bool
    status: BackfillStatus
    share: float = Field(description="How much is done, from 0 to 1")
    found: int = Field(description="Read from the network")
    stored: int = Field(description="New among them")
    error: str | None = Field(description="Why it failed, or what it waits for")
    asked_by: str
    created_at: datetime
    finished_at: datetime | None
    updated_at: datetime
