"""Tables of notices: people's settings, each notice with its outcome, and the letters."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id, UpdatedAt

_UNSENT = text("status = 'waiting' AND letter_id IS NULL")
_ZERO = text("0")
_NO_CHANNELS = text("'{}'")


class NoticeSettings(Base):
    """A person's settings of notices.

    The encrypted address, when each kind of notice is sent (`choices`, by kind; a kind that is not there has its
    default), and where (`channels`, by kind: email or a network; by default email).

    `address_state`: none | unconfirmed | confirmed | bouncing. The link that confirms the address contains
    `confirmation_nonce`, which is null once it was used. `bounces` counts refused letters since the confirmation.
    `address_generation` counts changes of the address: a returned letter counts only against the address it was
    sent to.
    """

    __tablename__ = "notice_settings"

    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    choices: Mapped[dict[str, Any]]
    channels: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=_NO_CHANNELS)
    # Whether notices of escalations of urgent appeals are sent at any hour.
    urgent_at_any_hour: Mapped[bool] = mapped_column(default=False, server_default=false())
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    address_state: Mapped[str] = mapped_column(default="none")
    # The confirmed address that somebody else replaced, encrypted; kept until the letter about it has been sent.
    former_address: Mapped[bytes | None] = mapped_column(LargeBinary)
    address_generation: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    confirmation_nonce: Mapped[UUID | None]
    bounces: Mapped[int] = mapped_column(default=0, server_default=_ZERO)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class NoticeAccount(Base):
    """A person's account in a network, to which notices are sent as messages.

    `state`: pending | linked | ended. The person proves the account by sending a code, of which `code_digest` is a
    keyed digest, to a page of the centre; notices are sent to the conversation of that message, `message_id`. The
    account ends when the network refuses a message permanently, with its code in `ended_reason`.
    """

    __tablename__ = "notice_accounts"
    __table_args__ = (
        Index(
            "uq_notice_accounts_code_digest",
            "code_digest",
            unique=True,
            postgresql_where=text("code_digest IS NOT NULL"),
        ),
    )

    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="pending")
    code_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    code_expires_at: Mapped[datetime | None]
    message_id: Mapped[UUID | None]
    linked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class NoticeLetter(Base):
    """An e-mail or a message in a network (`channel`) to one person.

    `purpose` of an e-mail: notices | confirmation (the link that confirms the address) | replaced (to the former
    address: somebody else replaced it) | linked (an account in a network was linked) | endpoint_disabled (the
    person's webhook endpoint `endpoint_id` was disabled). `purpose` of a message: notices | linked.

    A message has its `text` from the beginning and is `sending` at once: ingest publishes it exactly once, under
    the id of the letter, from `handed_over_at` on.

    `status`: waiting | sending | sent | failed | cancelled. A worker leases a waiting letter by `lease_id` until
    `leased_until`, by the database's clock. `sending` is committed before the server gets the text: a letter that
    stays `sending` may have been sent, and is not sent again. `smtp_status` is the code of the server's answer,
    without its text, which may contain the address.
    """

    __tablename__ = "notice_letters"
    __table_args__ = (
        Index("ix_notice_letters_due", "next_attempt_at", postgresql_where=text("status = 'waiting'")),
        Index("ix_notice_letters_sending", "leased_until", postgresql_where=text("status = 'sending'")),
        Index("ix_notice_letters_person_id", "person_id", "created_at"),
        Index("ix_notice_letters_created_at", "created_at"),
        Index(
            "ix_notice_letters_address_digest",
            "address_digest",
            "created_at",
            postgresql_where=text("address_digest IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    person_id: Mapped[UUID]
    purpose: Mapped[str]
    status: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    # The generation of the address to which the last attempt was made.
    address_generation: Mapped[int | None]
    # Keyed digest of the address; only for letters with a confirmation link.
    address_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    lease_id: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    smtp_status: Mapped[str | None]
    reason: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    channel: Mapped[str] = mapped_column(default="email", server_default="email")
    handed_over_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    text: Mapped[str | None]
    endpoint_id: Mapped[UUID | None]


class Notice(Base):
    """The notice of one event to one person: at most one row for each event, person and kind.

    A notice is about an appeal, or about the weekly report of `report_week` (at most one for each person and
    week). `organisation_id` is the person's organisation and determines who may see the row; `details` contains
    what the letter needs besides the current state of the appeal: ids, steps and dates, never free text. `status`:
    waiting | sending | sent | failed | suppressed, with the `reason` of the last two. `digest`: it waits for the
    digest of the next working morning. `send_at` is within the person's working hours. `channel`: email or a
    network; a notice that can no longer be sent in a network goes by e-mail.
    """

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("event_id", "person_id", "kind"),
        CheckConstraint(
            "CASE WHEN report_week IS NULL THEN appeal_id IS NOT NULL AND appeal_number IS NOT NULL"
            " ELSE appeal_id IS NULL AND appeal_number IS NULL END",
            name="one_subject",
        ),
        Index(
            "uq_notices_person_id_report_week",
            "person_id",
            "report_week",
            unique=True,
            postgresql_where=text("report_week IS NOT NULL"),
        ),
        # Due notices, those outside digests first; and the due notices of one person.
        Index("ix_notices_due", "digest", "send_at", postgresql_where=_UNSENT),
        Index("ix_notices_person_id_send_at", "person_id", "send_at", postgresql_where=_UNSENT),
        Index("ix_notices_letter_id", "letter_id"),
        Index("ix_notices_person_id_created_at", "person_id", "created_at", "id"),
        Index("ix_notices_organisation_id_created_at", "organisation_id", "created_at", "id"),
        Index("ix_notices_status_created_at", "status", "created_at", "id"),
        Index("ix_notices_created_at", "created_at", "id"),
    )

    id: Mapped[Id]
    event_id: Mapped[UUID]
    event_type: Mapped[str]
    kind: Mapped[str]
    channel: Mapped[str] = mapped_column(default="email")
    person_id: Mapped[UUID]
    organisation_id: Mapped[UUID | None]
    appeal_id: Mapped[UUID | None]
    appeal_number: Mapped[int | None] = mapped_column(BigInteger)
    appeal_organisation_id: Mapped[UUID | None]
    # An ISO week of the region, such as 2026-W47.
    report_week: Mapped[str | None]
    details: Mapped[dict[str, Any]]
    status: Mapped[str]
    reason: Mapped[str | None]
    digest: Mapped[bool] = mapped_column(default=False)
    send_at: Mapped[datetime]
    letter_id: Mapped[UUID | None] = mapped_column(ForeignKey("notice_letters.id"))
    occurred_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
