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


class TokenList(BaseModel):
    """All credentials."""

    items: list[TokenOut]


class WayOut(BaseModel):
    """One way into a page and how it goes."""

    way: str = Field(examples=["long_poll"])
    last_success_at: datetime | None = Field(description="The last look that went well, with news or without")
    last_message_at: datetime | None
    last_error_at: datetime | None
    last_error: str | None
    failures: int = Field(description="Failures in a row")
    lag_seconds: float | None = Field(description="Since the last look that went well")


class SourceOut(BaseModel):
    """A page as a source of messages."""

    page_id: UUID
    organisation_id: UUID
    network: NetworkName
    name: str
    url: str
    live_from: datetime
    state: Literal["healthy", "waiting", "failing", "no_token"] = Field(
        description="waiting: not looked at yet; failing: the last look of some way failed"
    )
    lag_seconds: float | None = Field(description="Of the way that looked last")
    ways: list[WayOut]


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
    """An answer on its way into the network."""

    id: UUID
    reply_id: UUID
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


class PublicationAsked(_Out):
    """What became of the request."""

    id: UUID
    status: PublicationStatus
