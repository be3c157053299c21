"""API models of notices: their kinds, the settings of people, and the outcomes."""

from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from shared.contracts import appeal_events as events
from shared.contracts.metrics_events import ReportReady
from shared.networks import NetworkName

MAX_ADDRESS_LENGTH = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets


_EVENTS = (
    events.AppealAssigned,
    events.AppealAssigneeChanged,
    events.AppealReopened,
    events.AppealDeadlineNear,
    events.PromiseReminded,
    events.AppealMoved,
    events.ReplyRefused,
    events.AppealNoteAdded,
    events.AppealEscalated,
    events.ReplyApprovalRequested,
    events.AppealExtensionRequested,
    events.ReplyFailed,
    events.ReplyChangeFailed,
    ReportReady,
)
NoticeEventType = StrEnum(  # type: ignore[misc]
    "NoticeEventType", {model.event_type.replace(".", "_").upper(): model.event_type for model in _EVENTS}
)
NoticeEventType.__doc__ = "Event types that people are notified of."


class NoticeKind(StrEnum):
    """Kinds of notices."""

    ASSIGNMENT = "assignment"
    WARNING = "warning"
    RETURN = "return"
    MENTION = "mention"
    ESCALATION = "escalation"
    APPROVAL = "approval"
    REPLY_FAILED = "reply_failed"
    REPORT = "report"


class NoticeDelivery(StrEnum):
    """When notices of a kind are sent. `at_once` still waits for working hours."""

    AT_ONCE = "at_once"
    DIGEST = "digest"
    NEVER = "never"


class NoticeChannel(StrEnum):
    """The channel of notices: e-mail, or messages to a linked account in a network."""

    EMAIL = "email"
    VK = "vk"
    OK = "ok"


class AccountState(StrEnum):
    """The state of a person's account in a network; notices can be sent to a `linked` one.

    `pending`: the code was not sent to the page yet. `ended`: the network refused a message because of the
    account.
    """

    NONE = "none"
    PENDING = "pending"
    LINKED = "linked"
    ENDED = "ended"


class NoticeStatus(StrEnum):
    """The status of a notice. `failed` and `suppressed` have a reason."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


class NoticeReason(StrEnum):
    """Why a notice was suppressed or failed.

    `uncertain`: the connection or the process failed while the letter was being sent; it may have arrived, and is
    not sent again.
    """

    EMAIL_OFF = "email_off"
    NO_ADDRESS = "no_address"
    ADDRESS_UNCONFIRMED = "address_unconfirmed"
    ADDRESS_BOUNCES = "address_bounces"
    UNSUBSCRIBED = "unsubscribed"
    NO_ACCESS = "no_access"
    SETTLED = "settled"
    TOO_LATE = "too_late"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"
    UNCERTAIN = "uncertain"
    BOUNCED = "bounced"


class AddressState(StrEnum):
    """The state of a person's address. Notices are sent only to a `confirmed` one."""

    NONE = "none"
    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    BOUNCING = "bouncing"


DEFAULT_DELIVERY = dict.fromkeys(NoticeKind, NoticeDelivery.AT_ONCE) | {NoticeKind.WARNING: NoticeDelivery.DIGEST}


def _email_address(value: str) -> str:
    """Return the address with its domain in ASCII, as mail servers need it. Raise `ValueError` if invalid."""
    local, _, domain = value.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode().lower()
        Address(addr_spec=f"{local}@{domain}")
    except (UnicodeError, HeaderParseError, ValueError, IndexError) as error:
        raise ValueError("Expected an e-mail address such as name@example.ru") from error
    address = f"{local}@{domain}"
    if not local or "." not in domain or not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError("Expected an e-mail address such as name@example.ru")
    return address


EmailAddress = Annotated[
    str, Field(max_length=MAX_ADDRESS_LENGTH, examples=["sadik5@example.ru"]), AfterValidator(_email_address)
]
Choices = Annotated[
    dict[NoticeKind, NoticeDelivery],
    Field(examples=[{"assignment": "at_once", "warning": "digest", "mention": "never"}]),
]
Channels = Annotated[
    dict[NoticeKind, NoticeChannel],
    Field(examples=[{"assignment": "vk", "warning": "email"}]),
]
ShownAddress = Annotated[
    str | None, Field(description="Where letters go; null: none was given", examples=["sadik5@example.ru"])
]


class NoticeAddress(BaseModel):
    """The notice address of a person."""

    person_id: UUID
    version: int = Field(description="Of the person's notice settings")
    address: ShownAddress
    address_state: AddressState


class NoticeAddressUpdate(BaseModel):
    """The new address, used once its owner has confirmed it; null removes the address."""

    model_config = ConfigDict(extra="forbid")

    address: EmailAddress | None


class NoticeSettings(NoticeAddress):
    """The caller's settings of notices."""

    choices: Choices = Field(description="When each kind is sent")
    channels: Channels = Field(
        description="The channel chosen for each kind; without a linked account notices are sent by e-mail"
    )
    urgent_at_any_hour: bool = Field(
        description="true: escalations of urgent appeals come at any hour, not only in working hours"
    )


class NoticeSettingsUpdate(BaseModel):
    """Fields to change. Omitted fields, and omitted kinds in a field, keep their values."""

    model_config = ConfigDict(extra="forbid")

    choices: Choices | None = None
    channels: Channels | None = Field(
        default=None, description="A network may be chosen only if the person's account in it is linked"
    )
    urgent_at_any_hour: bool | None = None
    address: EmailAddress | None = Field(
        default=None,
        description="A confirmation link is sent to it, and another one if it is set again; null removes it",
    )

    @field_validator("choices", "channels", "urgent_at_any_hour", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise ValueError("null is not allowed here: leave the field out to keep its value")
        return value


class Notice(BaseModel):
    """A notice and its outcome."""

    id: UUID
    kind: NoticeKind
    event_id: UUID = Field(description="The event in the feed")
    event_type: NoticeEventType = Field(examples=["appeal.assigned"])
    person_id: UUID
    organisation_id: UUID | None = Field(description="Of the person; null: the centre")
    appeal_id: UUID | None = Field(description="Null: a weekly report")
    appeal_number: int | None = Field(examples=[1024])
    report_week: str | None = Field(description="The week of the report; null: an appeal", examples=[None])
    channel: NoticeChannel
    status: NoticeStatus
    reason: NoticeReason | None = Field(description="Why it failed or was suppressed")
    digest: bool = Field(description="true: sent in the digest of a working morning")
    send_at: datetime = Field(
        description="When it is to be sent: in working hours, except urgent escalations if the person chose so"
    )
    letter_id: UUID | None = Field(description="The same for all notices of one letter")
    sent_at: datetime | None
    created_at: datetime


class CodeRecipient(BaseModel):
    """The page to which the person sends the code as a direct message."""

    name: str = Field(examples=["Центр управления регионом"])
    url: str = Field(examples=["https://vk.com/club101"])


class NoticeAccount(BaseModel):
    """The caller's account in a network, to which notices can be sent."""

    network: NetworkName
    state: AccountState
    page: CodeRecipient
    code_expires_at: datetime | None = Field(description="Until when the current code works; null: there is none")
    linked_at: datetime | None
    ended_at: datetime | None
    ended_reason: str | None = Field(
        description="Why it ended: the network's code with its name, such as `vk:901` (the person allows no "
        "messages); `author_erased` or `conversation_gone`: the conversation no longer exists",
        examples=[None],
    )


class NewAccountCode(BaseModel):
    """The network whose account is to be linked."""

    model_config = ConfigDict(extra="forbid")

    network: NetworkName = Field(examples=["vk"])


class NoticeAccountCode(BaseModel):
    """A code that works once: it links the account that sends it to the page."""

    network: NetworkName
    code: str = Field(description="Send it to the page as a direct message", examples=["ГП 12345 67890"])
    expires_at: datetime
    page: CodeRecipient
