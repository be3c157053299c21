"""API models of sources."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from services.ingest.schemas.base import RowModel, SourceKind
from services.ingest.schemas.callbacks import CallbackState
from services.ingest.schemas.sync import BackfillOut, ReconciliationOut
from services.ingest.schemas.tokens import NetworkTokenOut
from shared.networks import NetworkName

PageCollectionState = TypeAliasType(
    "PageCollectionState", Literal["healthy", "not_read_yet", "failing", "no_token"]
)
PageTokenState = TypeAliasType(
    "PageTokenState", Literal["healthy", "limited", "captcha", "revoked", "blocked", "none"]
)


class SourceOut(BaseModel):
    """One source of a page and its state."""

    kind: SourceKind = Field(examples=["long_poll"])
    last_success_at: datetime | None = Field(description="The last successful check, with or without new messages")
    last_message_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    consecutive_failures: int
    lag_seconds: float | None = Field(description="Seconds since the last successful check")


class CallBudgetOut(BaseModel):
    """Calls of a method with a daily limit, over all shared tokens."""

    network: NetworkName
    method: str = Field(examples=["wall.get"])
    tokens: int = Field(description="Number of tokens that are usable now")
    calls_last_24h: int = Field(description="Reserved before they are made, so it may be too high after a crash")
    daily_limit: int = Field(description="Total of the usable tokens")
    calls_remaining: int


class CallBudgetList(BaseModel):
    """All methods with a daily limit."""

    items: list[CallBudgetOut]


class PageTokenStateOut(BaseModel):
    """State of a page's tokens."""

    state: PageTokenState = Field(
        description="State of the page's best token; limited expires, captcha, revoked and blocked need a person"
    )
    reason: str | None
    until: datetime | None = Field(description="When the limit expires")


class CallbackStateOut(RowModel):
    """State of a page's callback registration."""

    state: CallbackState
    reason: str | None
    manual: bool = Field(description="Set up by a person in the network")
    checked_at: datetime | None
    last_event_at: datetime | None


class PageSourcesOut(BaseModel):
    """A page with its sources."""

    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    name: str = Field(examples=["Школа № 71"])
    url: str = Field(examples=["https://vk.com/club101"])
    go_live_at: datetime
    state: PageCollectionState = Field(
        description="`not_read_yet`: no source has read the page; `failing`: the last check of a source failed,"
        " or no token is usable"
    )
    last_seen_at: datetime | None = Field(description="The last successful check of any source")
    lag_seconds: float | None = Field(description="Seconds since `last_seen_at`")
    last_message_at: datetime | None
    last_message_source: SourceKind | None = Field(
        description="The source that brought the last message", examples=["long_poll"]
    )
    expected_delay_seconds: float | None = Field(
        description="Expected mean delay of polling; null if nothing is learned yet"
    )
    gaps: int = Field(description="Total messages that reconciliation found missing")
    last_gap_at: datetime | None
    token: PageTokenStateOut
    callback: CallbackStateOut | None = Field(
        description="Null if no callback is registered; long poll is a separate source"
    )
    last_reconciliation: ReconciliationOut | None
    sources: list[SourceOut]


class PageSourcesDetail(PageSourcesOut):
    """A page with its sources, tokens, recent reconciliations and last backfill."""

    tokens: list[NetworkTokenOut] = Field(description="The page's own tokens; all tokens are at /sources/tokens")
    reconciliations: list[ReconciliationOut] = Field(description="The last ten reconciliations of the page")
    backfill: BackfillOut | None = Field(description="The last backfill of the page")
