"""Register, list and change the organisations that answer citizens."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.organisations import names
from services.registry.organisations.validation import find_contradictions
from services.registry.persistence import versioned_update
from services.registry.persistence.search_patterns import like_patterns
from services.registry.schemas.fields import FilterText, HistoricalDate, NameQuery
from services.registry.schemas.organisations import OrganisationCreate, OrganisationUpdate
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.contracts.registry_events import OrganisationChanged, OrganisationReference, OrganisationRegistered
from shared.contracts.values import OrganisationKind
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Duplicate, FieldError, Invalid, NotFound
from shared.tables.registry import Calendar, Municipality, Organisation
from shared.text.normalize import sort_key

TREE_LOCK_KEY = 0x74726565  # "tree"
# Fields with rules that span several of them.
CROSS_CHECKED_FIELDS = (
    "oktmo",
    "municipality",
    "sphere",
    "other_spheres",
    "exempt_reason",
    "exempt_document",
    "valid_from",
    "valid_to",
)


class OrganisationFilter(ListFilter):
    """Filter of a list of organisations."""

    code: FilterText = None
    kind: OrganisationKind | None = None
    sphere: FilterText = Field(default=None, description="One of its spheres, main or other")
    municipality: FilterText = None
    parent_id: UUID | None = Field(default=None, description="Directly subordinate to this organisation")
    subtree_of: UUID | None = Field(
        default=None, description="This organisation and all subordinate ones, at any depth"
    )
    inn: FilterText = None
    ogrn: FilterText = None
    exempt: bool | None = Field(
        default=None, description="true: organisations that are exempt from keeping a page"
    )
    active: bool | None = None
    valid_on: HistoricalDate | None = Field(default=None, description="Organisations that existed on this day")
    q: NameQuery = None


async def list_organisations(
    session: AsyncSession, filters: OrganisationFilter, paging: Paging
) -> list[Organisation]:
    """Return organisations by name (page size plus one)."""
    query = select(Organisation).order_by(Organisation.sort_key, Organisation.id).limit(paging.limit + 1)
    for name in ("code", "kind", "municipality", "parent_id", "inn", "ogrn", "active"):
        if (value := getattr(filters, name)) is not None:
            query = query.where(getattr(Organisation, name) == value)
    if filters.sphere is not None:
        others = Organisation.other_spheres.contains([filters.sphere])
        query = query.where(or_(Organisation.sphere == filters.sphere, others))
    if filters.subtree_of is not None:
        query = query.where(Organisation.lineage.contains([filters.subtree_of]))
    if filters.exempt is not None:
        query = query.where(Organisation.exempt_reason.is_not(None) == filters.exempt)
    if filters.valid_on is not None:
        query = query.where(func.coalesce(Organisation.valid_from, filters.valid_on) <= filters.valid_on)
        query = query.where(func.coalesce(Organisation.valid_to, filters.valid_on) >= filters.valid_on)
    for pattern in like_patterns(filters.q or ""):
        query = query.where(Organisation.sort_key.like(pattern, escape="\\"))
    after = paging.after((Organisation.sort_key, Organisation.id), (str, UUID), descending=False)
    return list(await session.scalars(query if after is None else query.where(after)))


async def get(session: AsyncSession, organisation_id: UUID) -> Organisation:
    """Return the organisation. Raises `NotFound` for an unknown id."""
    organisation = await session.get(Organisation, organisation_id)
    if organisation is None:
        raise NotFound("No such organisation")
    return organisation


async def time_zone_lookup(session: AsyncSession) -> Callable[[UUID | None], str]:
    """Return a function that returns a calendar's time zone by its id; None: the region's calendar."""
    rows = (await session.execute(select(Calendar.id, Calendar.time_zone, Calendar.is_default))).all()
    zones: dict[UUID | None, str] = {row.id: row.time_zone for row in rows}
    region = next((row.time_zone for row in rows if row.is_default), str(clock.REGION_TIME_ZONE))
    return lambda calendar_id: zones.get(calendar_id, region)


async def register(session: WriteSession, new: OrganisationCreate, actor: str) -> Organisation:
    """Register an organisation.

    Raises `Duplicate` for a code in use, `Invalid` for contradictory fields or a reference to a missing row.
    """
    values = new.model_dump(mode="python") | {"kind": new.kind.value, "sort_key": sort_key(new.name)}
    _check_fields(values, frozenset(new.model_fields_set))
    if new.parent_id is not None:
        await lock_tree(session)
    await _check_references(session, values)
    await _check_code(session, new.code, own_id=None)
    organisation = Organisation(**values)
    await _flush(session, organisation)
    await names.add_initial_names(session, organisation)
    await emit(session, organisation_event(OrganisationRegistered, organisation, actor))
    return organisation


async def change(
    session: WriteSession, organisation_id: UUID, update: OrganisationUpdate, version: int | None, actor: str
) -> Organisation:
    """Update the given fields.

    Raises `NotFound` for an unknown id, `PreconditionFailed` for a stale version, `Duplicate` for a code in use,
    and `Invalid` for contradictory fields, a reference to a missing row or a cycle of parents.
    """
    values = update.given_values()
    if "parent_id" in values:
        await lock_tree(session)
    organisation = await session.get(
        Organisation, organisation_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE
    )
    if organisation is None:
        raise NotFound("No such organisation")
    check_version(organisation.version, version)
    _check_fields({name: getattr(organisation, name) for name in CROSS_CHECKED_FIELDS} | values, frozenset(values))
    await _check_references(session, values)
    if values.get("parent_id") is not None:
        await _check_no_cycle(session, organisation_id, values["parent_id"])
    if "code" in values:
        await _check_code(session, values["code"], own_id=organisation_id)
    if "name" in values:
        values["sort_key"] = sort_key(values["name"])
    if "kind" in values:
        values["kind"] = str(values["kind"])
    if changed := versioned_update.apply_changes(organisation, values):
        await _flush(session, organisation)
        await names.record_rename(session, organisation, set(changed))
        await emit(session, organisation_event(OrganisationChanged, organisation, actor, changed=changed))
    return organisation


async def lock_tree(session: WriteSession) -> None:
    """Lock the tree until the transaction ends: no other transaction changes the parent of an organisation, or
    registers one below another.

    Concurrent moves do not see each other: without the lock they could close a cycle, or compute a lineage from an
    outdated parent.
    """
    await session.execute(select(func.pg_advisory_xact_lock(TREE_LOCK_KEY)))


def organisation_event(
    model: type[OrganisationReference], organisation: Organisation, actor: str, /, **data: Any
) -> NewEvent:
    """Return an event with the organisation's current state; `data` are the model's own fields."""
    return NewEvent(
        data=model(code=organisation.code, version=organisation.version, **data),
        subject_id=organisation.id,
        organisation_id=organisation.id,
        actor=actor,
    )


def _check_fields(values: dict[str, Any], changed_fields: frozenset[str]) -> None:
    if errors := find_contradictions(values, changed_fields, clock.today()):
        raise Invalid("; ".join(f"{error.pointer}: {error.detail}" for error in errors), errors=errors)


async def _flush(session: WriteSession, organisation: Organisation) -> None:
    try:
        async with session.begin_nested():
            session.add(organisation)
            await session.flush()
    except IntegrityError as error:
        # After the check, another transaction took the code or deleted a referenced row (TOCTOU).
        raise Duplicate("The code was taken or a referenced row was deleted meanwhile: try again") from error


async def _check_code(session: AsyncSession, code: str | None, own_id: UUID | None) -> None:
    if code is None:
        return
    owner = await session.scalar(select(Organisation).where(Organisation.code == code))
    if owner is not None and owner.id != own_id:
        detail = f"The code «{code}» belongs to «{owner.name}»"
        raise Duplicate(
            detail,
            errors=[FieldError(pointer="/code", detail=detail)],
            organisation={"id": owner.id, "name": owner.name},
        )


async def _check_references(session: AsyncSession, values: dict[str, Any]) -> None:
    referred: tuple[tuple[str, Any, str], ...] = (
        ("municipality", Municipality, "No such municipality: unknown OKTMO code"),
        ("parent_id", Organisation, "No such organisation"),
        ("calendar_id", Calendar, "No such calendar"),
    )
    errors = [
        FieldError(pointer=f"/{name}", detail=detail)
        for name, table, detail in referred
        if values.get(name) is not None and await session.get(table, values[name]) is None
    ]
    if errors:
        raise Invalid("; ".join(f"{error.pointer}: {error.detail}" for error in errors), errors=errors)


async def _check_no_cycle(session: AsyncSession, own_id: UUID, parent_id: UUID) -> None:
    above = await session.scalar(select(Organisation.lineage).where(Organisation.id == parent_id))
    if own_id in (above or ()):
        raise Invalid.field("/parent_id", "An organisation cannot belong to itself or to one of its subordinates")
