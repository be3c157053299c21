"""Who: organisations, their pages, people and systems with access, calendars. Written by registry."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id, UpdatedAt


class Municipality(Base):
    """A district or city of the region; `oktmo` is its code in the state classifier of territories."""

    __tablename__ = "municipalities"

    oktmo: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    sort_key: Mapped[str]


class Calendar(Base):
    """Working time: a weekly pattern plus named exceptions (`calendar_days`).

    `weekly` maps ISO weekday "1".."7" to a list of ["HH:MM", "HH:MM"] intervals.
    """

    __tablename__ = "calendars"

    id: Mapped[Id]
    name: Mapped[str]
    time_zone: Mapped[str]
    weekly: Mapped[dict[str, Any]]
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
    """A state body or institution that answers citizens."""

    __tablename__ = "organisations"
    __table_args__ = (Index("ix_organisations_sort_key_id", "sort_key", "id"),)

    id: Mapped[Id]
    code: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]
    short_name: Mapped[str | None]
    sort_key: Mapped[str]
    kind: Mapped[str]
    sphere: Mapped[str | None]
    municipality: Mapped[str | None] = mapped_column(ForeignKey("municipalities.oktmo"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    calendar_id: Mapped[UUID | None] = mapped_column(ForeignKey("calendars.id"))
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Page(Base):
    """An official page in a network. `external_id` is the network's own id of the community, as text."""

    __tablename__ = "pages"
    __table_args__ = (UniqueConstraint("network", "external_id"),)

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisations.id"), index=True)
    network: Mapped[str]
    external_id: Mapped[str]
    name: Mapped[str]
    sort_key: Mapped[str]
    screen_name: Mapped[str | None]
    url: Mapped[str]
    live_from: Mapped[datetime]
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Person(Base):
    """Someone who signs in. Only registry reads this table; others know people by the token's claims."""

    __tablename__ = "people"

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    password_hash: Mapped[str | None]
    active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ApiClient(Base):
    """A system that signs in with a secret of its own; the secret is kept as a hash."""

    __tablename__ = "api_clients"

    id: Mapped[Id]
    name: Mapped[str]
    role: Mapped[str]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisations.id"))
    secret_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]


class RefreshToken(Base):
    """One session of a person: the digest of the refresh token that continues it, used once."""

    __tablename__ = "refresh_tokens"

    digest: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(index=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), index=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SignInFailure(Base):
    """Wrong passwords in a row for one user name, known or not; the name itself is not kept."""

    __tablename__ = "sign_in_failures"

    digest: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]
