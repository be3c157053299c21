"""Events of the ingest service: messages, publications, sources and tokens."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from shared.auth.rights import Right
from shared.contracts.event_base import EventData, FeedOnly, Moment
from shared.contracts.values import DeletedBy, MessageKind
from shared.networks import NetworkName

TokenKind = TypeAliasType("TokenKind", Literal["group", "service", "user"])
TokenState = TypeAliasType("TokenState", Literal["healthy", "limited", "captcha", "revoked", "blocked", "deleted"])

_MESSAGE: dict[str, Any] = {
    "page_id": "0198f3a0-3333-7000-8000-000000000004",
    "network": "vk",
    "kind": "comment",
    "thread_key": "vk:-101_31",
}
_PUBLICATION: dict[str, Any] = {"reply_id": "0198f3a5-1111-7000-8000-000000000002"}
_PART = _PUBLICATION | {"part": 0, "parts": 1}


class MessageReference(EventData):
    """A stored message, without its text."""

    required_right = Right.MESSAGES_READ

    page_id: UUID = Field(description="The page it was written on")
    network: NetworkName = Field(description="Network of the page")
    kind: MessageKind = Field(description="Comment, post on the wall of the page, or direct message")
    thread_key: Annotated[str, FeedOnly()] = Field(description="The thread that a reply goes to")


class MessageReceived(MessageReference):
    """A message was stored for the first time, or an old message may now open an appeal."""

    event_type = "message.received"
    example = _MESSAGE | {
        "author_key": "c2b1f0",
        "from_community": False,
        "publication_id": None,
        "reply_to": None,
        "history": False,
        "written_at": "2026-11-23T02:00:00+00:00",
        "received_at": "2026-11-23T02:00:04+00:00",
    }

    author_key: str | None = Field(description="Pseudonym of the author; null for the community")
    from_community: bool = Field(description="Written by the page itself")
    publication_id: UUID | None = Field(description="Set if the message is a reply that this system published")
    reply_to: str | None = Field(description="The network's id of the message that it replies to")
    history: bool = Field(
        description="Opens no appeal: it predates the page's go-live time, or its author was erased"
    )
    written_at: Moment = Field(description="When it was written, by the network's clock")
    received_at: Moment = Field(description="When it was stored")


class MessageEdited(MessageReference):
    """The text of a message was edited in the network."""

    event_type = "message.edited"
    example = _MESSAGE | {"version": 2}

    version: int = Field(description="Number of the text, counted from 1")


class MessageDeleted(MessageReference):
    """A message was deleted in the network, by its author or somebody else; the system keeps its text."""

    event_type = "message.deleted"
    sent_by_webhooks = True
    example = _MESSAGE | {"deleted_by": "community"}

    deleted_by: DeletedBy = Field(description="`unknown`: the network does not say")


class MessageRestored(MessageReference):
    """A deleted message was restored in the network."""

    event_type = "message.restored"
    example = _MESSAGE


class PublicationPublished(EventData):
    """All parts of a reply are published in the network."""

    event_type = "publication.published"
    required_right = Right.APPEALS_READ
    example = _PUBLICATION | {
        "external_ids": ["-101_32"],
        "url": "https://vk.com/wall-101_31?reply=32",
        "published_at": "2026-11-23T03:30:00+00:00",
        "matched": False,
    }

    reply_id: UUID = Field(description="The reply")
    external_ids: list[str] = Field(description="The network's ids of all parts, in order")
    url: str = Field(description="Address of the first part in the network")
    published_at: Moment = Field(description="When the last part was published")
    matched: bool = Field(description="Found in the network, because the response to the call was lost")


class PublicationFailure(BaseModel):
    """Why a publication did not succeed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(description="Code of the reason, from the network or this system")
    message: str = Field(description="Explanation for the author of the reply")
    final: bool = Field(description="False: it is retried automatically")


class PublicationProblem(EventData):
    """A publication that did not succeed."""

    required_right = Right.APPEALS_READ

    reply_id: UUID = Field(description="The reply")
    part: int = Field(description="Number of the part, counted from 0")
    parts: int = Field(description="Number of parts of the reply")
    failure: PublicationFailure = Field(description="Why it did not succeed")


class PublicationFailed(PublicationProblem):
    """A publication failed permanently: a person must act."""

    event_type = "publication.failed"
    example = _PART | {"failure": {"code": "vk:222", "message": "Сеть не пропустила ссылку.", "final": True}}


class PublicationRetryScheduled(PublicationProblem):
    """A publication failed and is retried automatically."""

    event_type = "publication.retry_scheduled"
    example = _PART | {"failure": {"code": "vk:9", "message": "Сеть просит подождать.", "final": False}}


class PublicationUncertain(PublicationProblem):
    """The response to a publishing call was lost: the thread is read before anything is sent again."""

    event_type = "publication.uncertain"
    example = _PART | {
        "failure": {"code": "outcome_unknown", "message": "Сеть не подтвердила отправку.", "final": False}
    }


class PublicationChangeResult(EventData):
    """The result of an edit or a withdrawal of a published reply."""

    required_right = Right.APPEALS_READ
    example = _PUBLICATION | {"change_id": "0198f3a5-3333-7000-8000-000000000004"}

    reply_id: UUID = Field(description="The reply")
    change_id: UUID = Field(description="The edit or withdrawal, as the reply shows it")


class PublicationEdited(PublicationChangeResult):
    """The text of a published reply was replaced in the network by the new text."""

    event_type = "publication.edited"


class PublicationWithdrawn(PublicationChangeResult):
    """A published reply, with all its parts, was deleted in the network at the request of its organisation."""

    event_type = "publication.withdrawn"


class PublicationChangeFailed(PublicationChangeResult):
    """A published reply could not be edited or withdrawn: a person must act."""

    event_type = "publication.change_failed"
    example = PublicationChangeResult.example | {
        "failure": {"code": "ok:704", "message": "Время для правки вышло.", "final": True}
    }

    failure: PublicationFailure = Field(description="Why it did not succeed")


class AuthorErased(EventData):
    """The personal data of a citizen was erased. Systems that store what the citizen wrote in these appeals must
    erase it too. Each organisation that has or had one of the appeals gets a separate event with its own appeals.
    """

    event_type = "author.erased"
    required_right = Right.APPEALS_READ
    sent_by_webhooks = True
    example: ClassVar = {
        "appeal_ids": ["0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10"],
        "erased_until": "2026-11-23T02:00:00+00:00",
    }

    appeal_ids: list[UUID] = Field(description="The appeals of the citizen; at most 500 in one event")
    erased_until: Moment = Field(description="What was written until then is erased")


class SourceGapFound(EventData):
    """A reconciliation with the network found messages of a page that were missing; they are stored now."""

    event_type = "source.gap_found"
    required_right = Right.SOURCES_READ
    sent_by_webhooks = True
    example: ClassVar = {
        "page_id": "0198f3a0-3333-7000-8000-000000000004",
        "network": "vk",
        "reconciliation_id": "0198f3a0-4444-7000-8000-000000000005",
        "since": "2026-11-21T02:00:00+00:00",
        "gaps": 2,
    }

    page_id: UUID = Field(description="The page, also the subject of the event")
    network: NetworkName = Field(description="Network of the page")
    reconciliation_id: UUID = Field(description="The reconciliation")
    since: Moment = Field(description="Start of the compared period")
    gaps: int = Field(description="Number of missing messages")


class NetworkTokenStateChanged(EventData):
    """A network rejected a token, or accepts it again."""

    event_type = "network_token.state_changed"
    required_right = Right.SOURCES_INSPECT
    sent_by_webhooks = True
    example: ClassVar = {
        "network": "vk",
        "kind": "group",
        "page_id": "0198f3a0-3333-7000-8000-000000000004",
        "state": "revoked",
        "reason": "error 27 of messages.send: Group authorization failed",
        "method": None,
    }

    network: NetworkName = Field(description="Network of the token")
    kind: TokenKind = Field(description="Token of a page, of an application or of a person")
    page_id: UUID | None = Field(description="The page it belongs to, if any")
    state: TokenState = Field(description="`limited` ends by itself; the other unusable states need a person")
    reason: str | None = Field(description="What the network or a person said")
    method: Annotated[str | None, FeedOnly()] = Field(
        description="The only method of the network to which it applies; null: all methods"
    )
