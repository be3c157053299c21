"""Tables of the console: sessions of people in browsers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Base, CreatedAt, Id


class ConsoleSession(Base):
    """A browser in which a person is signed in.

    The browser has a secret, of which `digest` is the SHA-256; `tokens` are the person's API tokens, encrypted.
    `expires_at` is when the session ends by the database's clock, however often its tokens are refreshed.
    """

    __tablename__ = "console_sessions"

    id: Mapped[Id]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    person_id: Mapped[UUID]
    tokens: Mapped[bytes] = mapped_column(LargeBinary)
    access_expires_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[CreatedAt]
