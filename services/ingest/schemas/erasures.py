"""API models of erasures."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RequestModel, RowModel

ErasureStatus = TypeAliasType("ErasureStatus", Literal["queued", "running", "done", "failed"])
ErasureRequestGround = TypeAliasType(
    "ErasureRequestGround", Literal["request_of_the_person", "consent_withdrawn", "court_or_regulator", "other"]
)
ErasureGround = TypeAliasType(
    "ErasureGround",
    Literal["request_of_the_person", "consent_withdrawn", "court_or_regulator", "other", "retention_ended"],
)
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

_DIGEST = "3c6e0b8a9c15224a8228b9a98ca1531d1d9f6a4c3f7c5b2e8d0f1a2b3c4d5e6f"


class ErasureIn(RequestModel):
    """Request to erase an author's personal data."""

    ground: ErasureRequestGround = Field(description="Why the data is erased", examples=["request_of_the_person"])
    reference: Reference = Field(
        description="Number of the document that requires it; no personal data", examples=["вх. 17/2026"]
    )


class ErasureRecordIn(RequestModel):
    """The record of an erasure, to repeat it after a restore from an older backup."""

    ground: ErasureGround = Field(description="As in the record", examples=["request_of_the_person"])
    reference: Reference = Field(description="As in the record", examples=["вх. 17/2026"])
    author_digest: Digest = Field(description="As in the record", examples=[_DIGEST])
    until: AwareDatetime = Field(description="As in the record", examples=["2026-11-23T02:00:00+00:00"])


class ErasureOut(RowModel):
    """An erasure: the record that it was done. It does not contain the author's key."""

    id: UUID
    author_digest: str = Field(
        description="Keyed digest of the author's key: recognises the author after a restore", examples=[_DIGEST]
    )
    ground: ErasureGround = Field(
        description="`retention_ended`: the author had written nothing for longer than messages are kept",
        examples=["request_of_the_person"],
    )
    reference: str = Field(examples=["вх. 17/2026"])
    status: ErasureStatus = Field(description="`failed`: repeat the request when the cause is fixed")
    until: datetime = Field(description="What was written until then, by the network's clock, is erased")
    counts: dict[str, Any] = Field(
        description="Erased rows by service and kind", examples=[{"ingest": {"messages": 3}}]
    )
    error: str | None = Field(description="Why it failed, or what it waits for")
    requested_by: str = Field(examples=["0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b11"])
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
