"""The version of a list of appeals: which appeals a filter matched, and when. A request to change the whole list
repeats it, so that only appeals that the person could see are changed.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lists.appeal_filter import AppealFilter
from shared.auth.callers import Caller
from shared.database.database_time import database_time
from shared.tables.appeals import Appeal

# Microseconds since 1970, and the digest of the ids.
_FORM = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATTERN = "^[A-Za-z0-9_-]{32}$"


@dataclass(frozen=True)
class ListVersion:
    """The appeals of a list at a moment of the database's clock, by the digest of their ids."""

    at: datetime
    digest: bytes

    @classmethod
    def of(cls, at: datetime, appeal_ids: Iterable[UUID]) -> Self:
        """Return the version of a list with these appeals, in any order."""
        ordered = b"".join(sorted(appeal_id.bytes for appeal_id in appeal_ids))
        return cls(at, hashlib.blake2b(ordered, digest_size=16).digest())

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the version that `text` encodes. Raises `ValueError` for a text that encodes none."""
        try:
            microseconds, digest = _FORM.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
            return cls(_EPOCH + timedelta(microseconds=microseconds), digest)
        except (binascii.Error, struct.error, OverflowError) as error:
            raise ValueError("not a version of a list") from error

    @property
    def text(self) -> str:
        """Return the version as an opaque text, which `parsed` reads."""
        microseconds = (self.at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(_FORM.pack(microseconds, self.digest)).decode()


async def current(session: AsyncSession, caller: Caller, filters: AppealFilter, most: int) -> str | None:
    """Return the version of the list now; None if it has more than `most` appeals."""
    at = await database_time(session)
    found = await matching(session, caller, filters, most + 1, stored_before=at)
    return ListVersion.of(at, found).text if len(found) <= most else None


async def matching(
    session: AsyncSession, caller: Caller, filters: AppealFilter, limit: int, *, stored_before: datetime | None
) -> dict[UUID, int | None]:
    """Return the ids and numbers of at most `limit` appeals that match. `stored_before` leaves out appeals stored
    since: otherwise the version of a list that keeps growing would never be current.
    """
    until = [Appeal.created_at < stored_before] if stored_before is not None else []
    query = select(Appeal.id, Appeal.number).where(*filters.conditions(caller), *until).limit(limit)
    return {row.id: row.number for row in await session.execute(query)}
