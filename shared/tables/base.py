"""Common parts of all tables: names of constraints, id and time columns, exact text."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeDecorator

from shared import clock
from shared.ids import new_id

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# Postgres text cannot contain NUL. A private-use escape character keeps texts exact and searchable.
_ESCAPE = "\ue000"


def encode_text(value: str) -> str:
    """Return the text in its stored form: only NUL and the escape character are escaped."""
    if "\x00" not in value and _ESCAPE not in value:
        return value
    return value.replace(_ESCAPE, _ESCAPE + "e").replace("\x00", _ESCAPE + "0")


def decode_text(value: str) -> str:
    """Return the original text that `encode_text` encoded."""
    if _ESCAPE not in value:
        return value
    return value.replace(_ESCAPE + "0", "\x00").replace(_ESCAPE + "e", _ESCAPE)


class ExactText(TypeDecorator[str]):
    """Text that is stored and loaded unchanged, including NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else encode_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else decode_text(value)


class Base(DeclarativeBase):
    """All tables of the shared schema."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 — SQLAlchemy reads it as a class attribute
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: JSONB,
        UUID: Uuid,
        str: Text,
    }


Id = Annotated[UUID, mapped_column(Uuid, primary_key=True, default=new_id)]
ExactTextColumn = Annotated[str, mapped_column(ExactText)]
CreatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), default=clock.now)]
UpdatedAt = Annotated[datetime, mapped_column(DateTime(timezone=True), default=clock.now, onupdate=clock.now)]


class ConsumerOffsetMixin:
    """The offset of a consumer in the events, updated in the transaction of its changes."""

    consumer: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, default=0)


class IdempotencyMixin:
    """The stored response to a request with an `Idempotency-Key`; kept for 24 hours."""

    __tablename__: str

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index, ...]:
        # An erasure deletes the responses that contain one of its ids.
        return (Index(f"ix_{cls.__tablename__}_ids", text("ids_in_response(body)"), postgresql_using="gin"),)

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[CreatedAt] = mapped_column(index=True)
