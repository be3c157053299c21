"""Storage of classifications: only the last classification of a message is kept, and a person's takes precedence
over an automatic one.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from services.appeals.classification.types import AUTOMATIC_PREFIXES
from shared.audit import recorder
from shared.database.bulk_insert import arrays_of, insert_arrays
from shared.database.sessions import WriteSession
from shared.tables.appeals_classification import Classification

_UPDATED_COLUMNS = tuple(
    column.key
    for column in Classification.__table__.columns
    if column.key not in {"message_id", "version", "created_at"}
)


async def store_classifications(session: WriteSession, results: Mapping[UUID, dict[str, Any]]) -> dict[UUID, int]:
    """Write the classifications of messages, replacing former ones; an automatic classification never replaces a
    person's. Return the versions of the written ones by message id.

    A row that another transaction writes is waited for, so this serialises the consumer with a person's decision.
    """
    if not results:
        return {}
    before = await _previous_values(session, results)
    # Sorted, so that two transactions with the same messages wait for each other instead of deadlocking.
    rows = [results[message_id] for message_id in sorted(results)]
    new = insert_arrays(Classification, tuple(rows[0]))
    written = await session.execute(
        new.on_conflict_do_update(
            index_elements=["message_id"],
            set_={name: new.excluded[name] for name in _UPDATED_COLUMNS} | {"version": Classification.version + 1},
            # A person may have decided while the classifier was running.
            where=or_(
                _is_automatic(Classification.classified_by), not_(_is_automatic(new.excluded.classified_by))
            ),
        ).returning(new.table.c.message_id, new.table.c.version),
        arrays_of(rows, tuple(rows[0])),
    )
    versions = {row.message_id: row.version for row in written}
    changes = (
        recorder.RowChange(subject_id=message_id, before=before.get(message_id), after=results[message_id])
        for message_id in versions
    )
    await recorder.record(session, Classification, changes)
    return versions


def _is_automatic(classified_by: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return or_(*(classified_by.startswith(prefix, autoescape=True) for prefix in AUTOMATIC_PREFIXES))


async def _previous_values(
    session: WriteSession, results: Mapping[UUID, dict[str, Any]]
) -> dict[UUID, dict[str, Any]]:
    """Return the former values for the audit trail, which records only people's decisions."""
    if not recorder.is_recorded(session):
        return {}
    rows = await session.execute(
        select(*Classification.__table__.columns).where(Classification.message_id.in_(results))
    )
    return {row.message_id: dict(row._mapping) for row in rows}
