"""What crosses the wire: how each page is read."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.ingest.schemas.base import RowModel
from services.ingest.schemas.sync import BackfillOut, ReconciliationOut
from services.ingest.schemas.tokens import NetworkTokenOut
from shared.networks import NetworkName


class SourceOut(BaseModel):
    """One way into a page and how it goes."""

    way: str = Field(examples=["long_poll"])
    last_success_at: datetime | None = Field(description="The last look that went well, with news or without")
    last_message_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    failures: int = Field(description="Failures in a row")
    lag_seconds: float | None = Field(description="Since the last look that went well")


class CallBudgetOut(BaseModel):
    """Calls of a method that a network limits by the day, over all tokens that read for all pages."""

    network: NetworkName
    method: str = Field(examples=["wall.get"])
    tokens: int = Field(description="Usable now")
    used_today: int = Field(description="Counted before they are made: after a crash rather too many than too few")
    limit: int = Field(description="Of the usable tokens together")
    left: int


class CallBudgetList(BaseModel):
    """All methods with a limit a day."""

    items: list[CallBudgetOut]


class PageTokenStateOut(BaseModel):
    """Whether the network accepts us at a page."""

    state: Literal["healthy", "limited", "captcha", "revoked", "blocked", "none"] = Field(
        description="Of the page's best token; limited ends by itself, captcha, revoked and blocked need a person"
    )
    reason: str | None
    until: datetime | None = Field(description="When a limit ends")


class CallbackStateOut(RowModel):
    """Whether the network pushes the events of a page."""

    state: Literal["waiting", "working", "failed"]
    reason: str | None
    by_hand: bool = Field(description="A person set it up in the network")
    checked_at: datetime | None
    last_event_at: datetime | None


class PageSourcesOut(BaseModel):
    """A page as a source of messages."""

    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    name: str
    url: str
    live_from: datetime
    state: Literal["healthy", "waiting", "failing", "no_token"] = Field(
        description="waiting: not looked at yet; failing: the last look of some way failed, or the token is dead"
    )
    last_seen_at: datetime | None = Field(description="The last look of any way that went well")
    lag_seconds: float | None = Field(description="Since then")
    last_message_at: datetime | None
    last_message_way: str | None = Field(
        description="The way that brought the last message", examples=["long_poll"]
    )
    expected_delay_seconds: float | None = Field(
        description="How late polling brings a message on average; null where nothing is learnt yet"
    )
    gaps: int = Field(description="Messages that reconciliation found missing, ever")
    last_gap_at: datetime | None
    token: PageTokenStateOut
    push: CallbackStateOut | None = Field(
        description="Null where no push is set up; long poll is a way of its own"
    )
    last_reconciliation: ReconciliationOut | None
    ways: list[SourceOut]


class PageSourcesDetail(PageSourcesOut):
    """A page as a source in full."""

    tokens: list[NetworkTokenOut] = Field(description="The page's own; those of all pages are at /sources/tokens")
    reconciliations: list[ReconciliationOut] = Field(description="The last ten")
    backfill: BackfillOut | None = Field(description="The last one")
