"""Names of an organisation: official and short names follow its fields; former names and aliases are added."""

from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.organisations.name_normalization import normalize_name
from services.registry.persistence import versioned_update
from services.registry.schemas.organisations import OrganisationNameCreate
from shared import clock
from shared.api.pagination import Paging
from shared.contracts.registry_events import OrganisationChanged
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Conflict, Duplicate, FieldError, NotFound
from shared.ids import new_id
from shared.tables.registry import Organisation, OrganisationName

CURRENT_NAME_KINDS = {"name": "official", "short_name": "short"}
BATCH_SIZE = 500


async def add_initial_names(session: WriteSession, organisation: Organisation) -> None:
    """Add the names of an organisation that has just been registered."""
    for field, kind in CURRENT_NAME_KINDS.items():
        if (name := getattr(organisation, field)) is not None:
            session.add(_row(organisation.id, kind, name, organisation.valid_from))


async def record_rename(session: WriteSession, organisation: Organisation, fields: set[str]) -> None:
    """Record a change of `name` or `short_name`: the old name becomes a former name, valid until yesterday.

    A name that was set today was never valid for a whole day: it is replaced and leaves no former name.
    """
    day = clock.today()
    for field in CURRENT_NAME_KINDS.keys() & fields:
        kind = CURRENT_NAME_KINDS[field]
        current = await session.scalar(
            select(OrganisationName).where(
                OrganisationName.organisation_id == organisation.id, OrganisationName.kind == kind
            )
        )
        begins: date | None = day
        if current is not None and current.valid_from is not None and current.valid_from >= day:
            begins = current.valid_from
            await session.delete(current)
        elif current is not None:
            current.kind, current.valid_to = "former", day - timedelta(days=1)
        if (name := getattr(organisation, field)) is not None:
            session.add(_row(organisation.id, kind, name, begins))


async def list_names(session: AsyncSession, organisation_id: UUID, paging: Paging) -> list[OrganisationName]:
    """Return all names of an organisation, newest entry first (page size plus one).

    Raises `NotFound` for an unknown organisation.
    """
    if await session.get(Organisation, organisation_id) is None:
        raise NotFound("No such organisation")
    query = (
        select(OrganisationName)
        .where(OrganisationName.organisation_id == organisation_id)
        .order_by(OrganisationName.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((OrganisationName.id,), (UUID,))
    return list(await session.scalars(query if after is None else query.where(after)))


async def add(
    session: WriteSession, organisation_id: UUID, new: OrganisationNameCreate, actor: str
) -> OrganisationName:
    """Add a former name or an alias.

    Raises `NotFound` for an unknown organisation, `Duplicate` for the same name with the same validity.
    """
    organisation = await _locked(session, organisation_id)
    same = await session.scalar(
        select(OrganisationName.id).where(
            OrganisationName.organisation_id == organisation_id,
            OrganisationName.kind == new.kind,
            OrganisationName.name == new.name,
            OrganisationName.valid_from.is_not_distinct_from(new.valid_from),
            OrganisationName.valid_to.is_not_distinct_from(new.valid_to),
        )
    )
    if same is not None:
        detail = "The organisation already has this name"
        raise Duplicate(detail, errors=[FieldError(pointer="/name", detail=detail)])
    row = _row(organisation_id, new.kind, new.name, new.valid_from, new.valid_to)
    session.add(row)
    await session.flush()
    await emit(session, _event(organisation, actor))
    return row


async def remove(session: WriteSession, organisation_id: UUID, name_id: UUID, actor: str) -> None:
    """Remove a former name or an alias. Raises `NotFound`, and `Conflict` for a current name."""
    organisation = await _locked(session, organisation_id)
    row = await session.get(OrganisationName, name_id)
    if row is None or row.organisation_id != organisation_id:
        raise NotFound("This organisation has no such name")
    if row.kind in CURRENT_NAME_KINDS.values():
        raise Conflict("This is a current name: change the organisation instead")
    await session.delete(row)
    await session.flush()
    await emit(session, _event(organisation, actor))


async def refresh_normalized_names(session: WriteSession) -> int:
    """Re-normalise names after a change of the rules and add missing current names.

    Return the number of changes.
    """
    put = 0
    last = UUID(int=0)
    # In batches, so that the event loop runs other tasks in between.
    while rows := list(await session.scalars(_after(last))):
        last = rows[-1].id
        for row in rows:
            if row.normalized_name != (normalized_name := normalize_name(row.name)):
                row.normalized_name = normalized_name
                put += 1
    for field, kind in CURRENT_NAME_KINDS.items():
        column = getattr(Organisation, field)
        known = select(OrganisationName.organisation_id).where(OrganisationName.kind == kind)
        query = select(Organisation).where(column.is_not(None), Organisation.id.not_in(known))
        for organisation in await session.scalars(query):
            session.add(_row(organisation.id, kind, getattr(organisation, field), organisation.valid_from))
            put += 1
    await session.flush()
    return put


def _after(last: UUID) -> Select[OrganisationName]:
    ordered = select(OrganisationName).order_by(OrganisationName.id)
    return ordered.where(OrganisationName.id > last).limit(BATCH_SIZE)


def _row(
    organisation_id: UUID, kind: str, name: str, valid_from: date | None, valid_to: date | None = None
) -> OrganisationName:
    return OrganisationName(
        id=new_id(),
        organisation_id=organisation_id,
        kind=kind,
        name=name,
        normalized_name=normalize_name(name),
        valid_from=valid_from,
        valid_to=valid_to,
    )


async def _locked(session: WriteSession, organisation_id: UUID) -> Organisation:
    organisation = await session.get(
        Organisation, organisation_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE
    )
    if organisation is None:
        raise NotFound("No such organisation")
    return organisation


def _event(organisation: Organisation, actor: str) -> NewEvent:
    return NewEvent(
        data=OrganisationChanged(code=organisation.code, version=organisation.version, changed=["names"]),
        subject_id=organisation.id,
        organisation_id=organisation.id,
        actor=actor,
    )
