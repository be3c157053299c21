"""What was judged of messages, stored: the last judgement of a message stands, a person's over any machine's."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from services.appeals.classification.types import MACHINES
from shared.audit import recorder
from shared.database.bulk_insert import insert_into
from shared.database.sessions import WriteSession
from shared.tables.appeals import Triage

_RENEWED = tuple(
    column.key for column in Triage.__table__.columns if column.key not in {"message_id", "version", "created_at"}
)


async def store(session: WriteSession, judged: Mapping[UUID, dict[str, Any]]) -> None:
    """Write judgements, by message, in place of those before; a machine's leaves a person's as it is."""
    if not judged:
        return
    before = await _before(session, judged)
    row = insert_into(Triage)
    await session.execute(
        row.on_conflict_do_update(
            index_elements=["message_id"],
            set_={name: row.excluded[name] for name in _RENEWED} | {"version": Triage.version + 1},
            # A person may have decided while a machine was reading.
            where=or_(_by_machine(Triage.judged_by), not_(_by_machine(row.excluded.judged_by))),
        ),
        list(judged.values()),
    )
    changes = (
        recorder.Change(subject_id=message_id, before=before.get(message_id), after=values)
        for message_id, values in judged.items()
    )
    await recorder.record(session, Triage, changes)


def _by_machine(judged_by: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    return or_(*(judged_by.startswith(prefix, autoescape=True) for prefix in MACHINES))


async def _before(session: WriteSession, judged: Mapping[UUID, dict[str, Any]]) -> dict[UUID, dict[str, Any]]:
    """What was judged until now, if the audit trail wants to know: it does when a person judges."""
    if not recorder.attributed(session):
        return {}
    rows = await session.execute(select(*Triage.__table__.columns).where(Triage.message_id.in_(judged)))
    return {row.message_id: dict(row._mapping) for row in rows}
