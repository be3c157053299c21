"""What crosses the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from shared.networks import NetworkName

MessageKind = Literal["comment", "wall_post", "message"]
BackfillStatus = Literal["queued", "running", "done", "failed", "cancelled"]
PublicationStatus = Literal["queued", "sending", "uncertain", "published", "failed"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Text = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_not_blank)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TokenIn(_In):
    """A credential of a network. Never shown again."""

    network: NetworkName = Field(examples=["ok"])
    kind: Literal["group", "service", "user"] = Field(examples=["user"])
    page_id: UUID | None = Field(default=None, description="The page a group's token belongs to")
    token: SecretStr = Field(min_length=1, max_length=4_000, examples=["-s-example"])
    application_key: SecretStr | None = Field(default=None, description="OK: key of the application")
    application_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the application")
    session_secret_key: SecretStr | None = Field(default=None, description="OK: secret of the session")


class TokenOut(_Out):
    """What may be known of a credential."""

    id: UUID
    network: NetworkName
    kind: str
    page_id: UUID | None
    state: Literal["healthy", "limited", "captcha", "revoked", "blocked"]
    reason: str | None
    limited_until: datetime | None
    created_at: datetime
    updated_at: datetime


class TokenDetail(TokenOut):
    """What those who manage credentials may know beside."""

    resting: dict[str, datetime] = Field(description="Methods that rest, and until when")
    challenge: dict[str, str] | None = Field(description="What a person has to solve before it is taken again")
    calls_today: dict[str, int] = Field(description="Calls of limited methods in the network's day")


class RecoveryIn(_In):
    """What a person did about a credential; empty: it was mended in the network itself."""

    success_token: SecretStr | None = Field(
        default=None, max_length=4_000, description="VK: what the page at `redirect_uri` answered"
    )
    captcha_key: str | None = Field(default=None, max_length=200, description="VK: what the picture shows")


class TokenList(BaseModel):
    """All credentials."""

    items: list[TokenDetail]


class WayOut(BaseModel):
    """One way into a page and how it goes."""

    way: str = Field(examples=["long_poll"])
    last_success_at: datetime | None = Field(description="The last look that went well, with news or without")
    last_message_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    failures: int = Field(description="Failures in a row")
    lag_seconds: float | None = Field(description="Since the last look that went well")


class BudgetOut(BaseModel):
    """Calls of a method that a network limits by the day, over all tokens that read for all pages."""

    network: NetworkName
    method: str = Field(examples=["wall.get"])
    tokens: int = Field(description="Usable now")
    used_today: int = Field(description="Counted before they are made: after a crash rather too many than too few")
    limit: int = Field(description="Of the usable tokens together")
    left: int


class BudgetList(BaseModel):
    """All methods with a limit a day."""

    items: list[BudgetOut]


class ReconciliationIn(_In):
    """What to compare."""

    since: AwareDatetime | None = Field(
        default=None, description="What was written then or later; left out: from where the last one left off"
    )


class ReconciliationsIn(ReconciliationIn):
    """Of which pages."""

    network: NetworkName | None = Field(default=None, description="Left out: all networks")


class ReconciliationsAsked(BaseModel):
    """What was asked for; `GET /sources/reconciliations/summary?started_from=` tells how it goes."""

    pages: int
    started_at: datetime = Field(description="The same for all of them")


class ReconciliationOut(_Out):
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


class PageTokenOut(BaseModel):
    """Whether the network accepts us at a page."""

    state: Literal["healthy", "limited", "captcha", "revoked", "blocked", "none"] = Field(
        description="Of the page's best token; limited ends by itself, captcha, revoked and blocked need a person"
    )
    reason: str | None
    until: datetime | None = Field(description="When a limit ends")


class PushOut(_Out):
    """Whether the network pushes the events of a page."""

    state: Literal["waiting", "working", "failed"]
    reason: str | None
    by_hand: bool = Field(description="A person set it up in the network")
    checked_at: datetime | None
    last_event_at: datetime | None


class SourceOut(BaseModel):
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
    token: PageTokenOut
    push: PushOut | None = Field(description="Null where no push is set up; long poll is a way of its own")
    last_reconciliation: ReconciliationOut | None
    ways: list[WayOut]


class BackfillIn(_In):
    """Which history to fetch."""

    since: AwareDatetime = Field(
        description="What was written then or later", examples=["2026-01-01T00:00:00+08:00"]
    )
    open_cases: bool = Field(
        default=False, description="What is found may open cases although it was written before the go-live moment"
    )


class BackfillOut(_Out):
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


class SourceDetail(SourceOut):
    """A page as a source in full."""

    tokens: list[TokenOut] = Field(description="The page's own; those of all pages are at /sources/tokens")
    reconciliations: list[ReconciliationOut] = Field(description="The last ten")
    backfill: BackfillOut | None = Field(description="The last one")


class SetAsideOut(_Out):
    """A payload that could not be read."""

    id: UUID
    network: NetworkName
    page_id: UUID | None
    organisation_id: UUID | None
    way_in: str = Field(examples=["callback"])
    reason: str = Field(examples=["the field 'id' is missing"])
    created_at: datetime


class SetAsideDetail(SetAsideOut):
    """With the payload as it came."""

    raw: Any


class SetAsideRead(BaseModel):
    """What reading it again brought."""

    new: int
    edited: int
    deleted: int
    restored: int


class MessageOut(BaseModel):
    """A citizen's or the community's words."""

    id: UUID
    network: NetworkName
    kind: MessageKind
    external_id: str
    page_id: UUID
    organisation_id: UUID
    thread_key: str
    reply_to: str | None
    author_key: str | None = Field(description="Pseudonym: the same person has the same one")
    from_community: bool
    publication_id: UUID | None = Field(description="Set when the words are an answer published from here")
    text: str
    attachments: list[Any]
    url: str
    history: bool = Field(description="Written before the page's go-live moment")
    way_in: str
    written_at: datetime
    received_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    deleted_by: str | None = Field(description="author, community, or unknown where the network does not tell")
    version: int


class VersionOut(BaseModel):
    """The words before an edit."""

    version: int
    text: str
    attachments: list[Any]
    replaced_at: datetime


class MessageDetail(MessageOut):
    """A message with the texts it had before, oldest first."""

    versions: list[VersionOut]


class FailureOut(BaseModel):
    """Why an answer is not out, in words for its author."""

    code: str = Field(examples=["vk:213"])
    message: str = Field(examples=["Комментировать эту запись нельзя: комментарии закрыты."])
    final: bool = Field(default=True, description="False: it is tried again by itself")


class PublicationOut(_Out):
    """An answer, or one part of a long one, on its way into the network."""

    id: UUID
    reply_id: UUID
    part: int = Field(description="From 0; a part is sent when the one before it stands")
    parts: int = Field(description="How many parts the answer has", examples=[1])
    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    kind: Literal["comment", "message"]
    thread_key: str
    target: str | None
    text: str
    status: PublicationStatus
    attempts: int
    external_id: str | None
    url: str | None
    published_at: datetime | None
    failure: FailureOut | None
    version: int
    created_at: datetime
    updated_at: datetime


class PublicationIn(_In):
    """Appeals asks for an answer to be published."""

    reply_id: UUID
    message_id: UUID
    text: Text
    on_behalf_of: str = Field(min_length=1, max_length=200)
    organisation_id: UUID | None = Field(default=None, description="Whose answer it is; the page's by default")


class RetryIn(_In):
    """How an answer that failed is sent again."""

    text: Text | None = Field(
        default=None, description="The whole answer, corrected; the same words when left out"
    )


class PublicationAsked(_Out):
    """What became of the request."""

    id: UUID
    status: PublicationStatus


class CallbackIn(_In):
    """A push that a person set up in the network. Never shown again."""

    secret: SecretStr = Field(
        min_length=6,
        max_length=50,
        examples=["s3cret-of-the-server"],
        description="The key of VK, or the address's end of OK",
    )
    confirmation_code: SecretStr | None = Field(
        default=None, max_length=100, examples=["1a2b3c4d"], description="VK: what the settings page shows"
    )


class CallbackOut(BaseModel):
    """Where a network pushes a page's events to."""

    page_id: UUID
    network: NetworkName
    url: str = Field(description="With the secret hidden where it is part of the address")
    by_hand: bool = Field(description="Set up by a person, and not watched over")
    state: Literal["waiting", "working", "failed"]
    reason: str | None
    has_confirmation_code: bool
    checked_at: datetime | None
    last_event_at: datetime | None
