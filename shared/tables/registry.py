"""Tables of registry: organisations, pages, people and API clients with access, calendars."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import FetchedValue, ForeignKey, Index, UniqueConstraint, Uuid, false, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id, IdempotencyMixin, UpdatedAt


class Municipality(Base):
    """A district or city of the region with its ОКТМО code."""

    __tablename__ = "municipalities"

    oktmo: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    sort_key: Mapped[str]


class Calendar(Base):
    """A working calendar: a weekly pattern with named exceptions (`calendar_days`).

    `weekly` maps ISO weekday "1".."7" to a list of ["HH:MM", "HH:MM"] intervals; "24:00" ends the day. A calendar
    with a `base_id` inherits the base's exceptions, except for dates with its own exceptions.
    """

    __tablename__ = "calendars"

    id: Mapped[Id]
    name: Mapped[str]
    time_zone: Mapped[str]
    weekly: Mapped[dict[str, Any]]
    base_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    is_default: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class CalendarDay(Base):
    """One date that differs from the weekly pattern: a holiday, a moved working day, a short day."""

    __tablename__ = "calendar_days"

    calendar_id: Mapped[UUID] = mapped_column(ForeignKey("calendars.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    intervals: Mapped[list[Any]]
    title: Mapped[str]


class Organisation(Base):
    """A state body or institution that answers citizens.

    `lineage` contains the ids from the root of the tree down to the organisation itself; a trigger keeps it up to
    date. `valid_from` and `valid_to` are the first and last day of the organisation, null: unknown.
    """

    __tablename__ = "organisations"
    __table_args__ = (
        Index("ix_organisations_sort_key_id", "sort_key", "id"),
        Index("ix_organisations_lineage", "lineage", postgresql_using="gin"),
        Index("ix_organisations_parent_id", "parent_id"),
        Index("ix_organisations_inn", "inn"),
        Index("ix_organisations_ogrn", "ogrn"),
        Index("ix_organisations_kind", "kind"),
    )

    id: Mapped[Id]
    code: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]
    short_name: Mapped[str | None]
    sort_key: Mapped[str]
    kind: Mapped[str]
    sphere: Mapped[str | None]
    other_spheres: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    municipality: Mapped[str | None] = mapped_column(ForeignKey("municipalities.oktmo"))
    oktmo: Mapped[str | None]
    inn: Mapped[str | None]
    ogrn: Mapped[str | None]
    address: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    site: Mapped[str | None]
    pos_opa_id: Mapped[str | None]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    lineage: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=FetchedValue())
    calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    exempt_reason: Mapped[str | None]
    exempt_document: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class OrganisationName(Base):
    """A current, former or other name of an organisation; `normalized_name` is the normalised form for search.

    `kind` is `official` or `short` (kept from the organisation itself), `former` or `alias`.
    """

    __tablename__ = "organisation_names"
    __table_args__ = (
        Index("ix_organisation_names_organisation_id", "organisation_id"),
        Index(
            "ix_organisation_names_normalized_name",
            "normalized_name",
            postgresql_using="gin",
            postgresql_ops={"normalized_name": "gin_trgm_ops"},
        ),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    kind: Mapped[str]
    name: Mapped[str]
    normalized_name: Mapped[str]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    created_at: Mapped[CreatedAt]


class Succession(Base):
    """A succession: `successor_id` replaces `predecessor_id` from a date on. Old appeals are not moved."""

    __tablename__ = "successions"
    __table_args__ = (UniqueConstraint("predecessor_id", "successor_id"),)

    id: Mapped[Id]
    predecessor_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"))
    successor_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"), index=True)
    kind: Mapped[str]
    effective_on: Mapped[date]
    document: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class Page(Base):
    """An official page in a network. `external_id` is the network's id of the community, as text."""

    __tablename__ = "pages"
    __table_args__ = (
        UniqueConstraint("network", "external_id"),
        Index("ix_pages_screen_name", "network", text("lower(screen_name)")),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"), index=True)
    network: Mapped[str]
    external_id: Mapped[str]
    name: Mapped[str]
    sort_key: Mapped[str]
    screen_name: Mapped[str | None]
    url: Mapped[str]
    go_live_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="unknown", server_default="unknown")
    checked_at: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class PageStep(Base):
    """A step of a page towards being official and live: the date, the evidence, who confirmed it, and its loss.

    A step that was lost and reached again has two rows: the ended one and the current one.
    """

    __tablename__ = "page_steps"
    __table_args__ = (
        Index("uq_page_steps_current", "page_id", "step", unique=True, postgresql_where=text("lost_on IS NULL")),
        Index("ix_page_steps_lost_on", "lost_on", postgresql_where=text("lost_on IS NOT NULL")),
    )

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"), index=True)
    step: Mapped[str]
    reached_on: Mapped[date]
    evidence_kind: Mapped[str]
    evidence: Mapped[str | None]
    confirmed_by: Mapped[str]
    lost_on: Mapped[date | None]
    lost_reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class PageCheck(Base):
    """The daily check of a page: the `snapshot` from the network, and its `changes` since the last check."""

    __tablename__ = "page_checks"
    __table_args__ = (
        UniqueConstraint("page_id", "day"),
        Index("ix_page_checks_day", "day", "page_id"),
    )

    id: Mapped[Id]
    page_id: Mapped[UUID] = mapped_column(ForeignKey("pages.id"))
    day: Mapped[date]
    checked_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str | None]
    snapshot: Mapped[dict[str, Any]]
    changes: Mapped[list[Any]]
    calls: Mapped[int] = mapped_column(default=0)


class PageCheckCalls(Base):
    """The calls of a day's page checks to one network: reserved before they are made, then corrected.

    If a response is lost, the reserved calls remain counted. `calls` does not include calls for reach.
    """

    __tablename__ = "page_check_calls"

    day: Mapped[date] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int]
    reach_calls: Mapped[int] = mapped_column(server_default="0")


class CoverageDay(Base):
    """Coverage of a day: how many organisations of a group needed a page in a network, and how many had one."""

    __tablename__ = "coverage_days"
    __table_args__ = (Index("ix_coverage_days_day", "day", "network"),)

    id: Mapped[Id]
    day: Mapped[date]
    network: Mapped[str]
    municipality: Mapped[str | None]
    sphere: Mapped[str | None]
    parent_id: Mapped[UUID | None]
    kind: Mapped[str]
    required: Mapped[int]
    exempt: Mapped[int]
    covered: Mapped[int]
    live: Mapped[int]


class Person(Base):
    """A person who can sign in. Other services read the columns that determine access; appeals also reads names,
    to show them to colleagues.

    `include_subordinates`: they also see the organisations below their own. `issuer` and `external_subject`
    identify them at an external OIDC issuer. `locked_by_organisation_id` and `deactivated_by_organisation_id` are
    the organisation whose member took the access away; null then means the centre.
    """

    __tablename__ = "people"
    __table_args__ = (UniqueConstraint("issuer", "external_subject"),)

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    password_hash: Mapped[str | None]
    include_subordinates: Mapped[bool] = mapped_column(default=False, server_default=false())
    issuer: Mapped[str | None]
    external_subject: Mapped[str | None]
    locked_at: Mapped[datetime | None]
    locked_reason: Mapped[str | None]
    locked_by_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    last_sign_in_at: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    deactivated_by_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ApiClient(Base):
    """An API client that signs in with a secret (`client_secrets`); `scopes` limit the rights of its role."""

    __tablename__ = "api_clients"

    id: Mapped[Id]
    name: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    include_subordinates: Mapped[bool] = mapped_column(default=False, server_default=false())
    scopes: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class ClientSecret(Base):
    """A secret of a client, stored as a digest. During a rotation both the old and the new one work."""

    __tablename__ = "client_secrets"

    id: Mapped[Id]
    client_id: Mapped[UUID] = mapped_column(ForeignKey("api_clients.id"), index=True)
    digest: Mapped[str]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class RefreshToken(Base):
    """A refresh token of a person's session, by its digest. It can be used once, and is kept until it expires.

    `signed_in_at` is the start of the session; `ip_address` and `user_agent` help the person to recognise it.
    `successor_key`: its successor is derived from this and the used token; null before this token
    is used, and after its successor was.
    """

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(index=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), index=True)
    signed_in_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    successor_key: Mapped[str | None]
    revoked_at: Mapped[datetime | None]


class SignInFailure(Base):
    """Consecutive failed sign-ins by name and address, by name, and by address, which are stored as digests."""

    __tablename__ = "sign_in_failures"

    digest: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]
    throttled_until: Mapped[datetime | None]


class RegistryIdempotency(IdempotencyMixin, Base):
    __tablename__ = "registry_idempotency"
