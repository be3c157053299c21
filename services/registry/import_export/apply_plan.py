"""Apply an import plan: organisations from the top of the tree, their names, their pages, and all events."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from services.registry.import_export.import_plan import ImportPlan, OrganisationPlan, PagePlan
from services.registry.organisations import names
from services.registry.organisations.name_normalization import normalize_name
from services.registry.organisations.organisations import organisation_event
from services.registry.pages import page_steps
from services.registry.pages.pages import page_event
from services.registry.persistence import versioned_update
from services.registry.schemas.pages import EvidenceKind
from shared import clock
from shared.audit import recorder
from shared.contracts.registry_events import (
    OrganisationChanged,
    OrganisationRegistered,
    PageChanged,
    PageRegistered,
)
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Conflict
from shared.networks import NETWORKS
from shared.tables.registry import Organisation, OrganisationName, Page
from shared.text.normalize import sort_key

NAME_FIELDS = frozenset({"name", "short_name"})


async def apply_plan(session: WriteSession, plan: ImportPlan, actor: str) -> None:
    """Apply the plan in the session's transaction.

    Raises `Conflict` if another transaction has registered the same code or page meanwhile.
    """
    events: list[NewEvent] = []
    try:
        events += await _apply_organisations(session, plan.organisations, actor)
        events += await _apply_pages(session, plan.pages, actor)
    except IntegrityError as error:
        raise Conflict(
            "Another request registered the same code or page meanwhile: import the file again"
        ) from error
    await emit(session, *events)


async def _apply_organisations(
    session: WriteSession, plans: Sequence[OrganisationPlan], actor: str
) -> list[NewEvent]:
    rows: list[Organisation] = []
    for plan in _parents_first([plan for plan in plans if plan.existing is None]):
        row = Organisation(id=plan.id, **{"active": True} | plan.values, sort_key=sort_key(plan.name))
        rows.append(row)
        session.add(row)
    # Insert new organisations first: they may become parents of existing ones.
    await session.flush()
    events = [organisation_event(OrganisationRegistered, row, actor) for row in rows]
    for row in rows:
        await names.add_initial_names(session, row)
    await _detach(session, [plan.id for plan in plans if plan.existing is not None and "parent_id" in plan.values])
    for plan in plans:
        if plan.existing is not None and (changed := await _change(session, plan, plan.existing)):
            events.append(organisation_event(OrganisationChanged, plan.existing, actor, changed=changed))
        for kind, plan_values in plan.names.items():
            await _keep_names(session, plan, kind, plan_values)
    await session.flush()
    return events


def _parents_first(plans: Sequence[OrganisationPlan]) -> Iterable[OrganisationPlan]:
    """Yield the plans, each parent before its children, as the foreign key requires."""
    waiting = {plan.id: plan for plan in plans}
    for plan in plans:
        line: list[OrganisationPlan] = []
        step: UUID | None = plan.id
        while step is not None and step in waiting:
            line.append(waiting.pop(step))
            step = line[-1].values.get("parent_id")
        yield from reversed(line)


async def _detach(session: WriteSession, moving: Sequence[UUID]) -> None:
    """Detach organisations that get another parent from the tree.

    Otherwise, changing parents one by one could form a temporary cycle, for example when a branch is reversed.
    """
    if not moving:
        return
    taken_out = update(Organisation).where(is_one_of(Organisation.id, moving)).values(parent_id=None)
    await session.execute(taken_out, execution_options={"synchronize_session": False})
    # The objects still have their old parents; the audit records the change when the new parents are flushed.
    await recorder.record(session, Organisation)


async def _change(session: WriteSession, plan: OrganisationPlan, row: Organisation) -> list[str]:
    values = plan.values
    if "name" in values:
        values = values | {"sort_key": sort_key(values["name"])}
    changed = versioned_update.apply_changes(row, values)
    if plan.names:
        if not changed:
            row.version += 1
        changed.append("names")
    if NAME_FIELDS & values.keys():
        await session.flush()
        await names.record_rename(session, row, set(NAME_FIELDS & values.keys()))
    return changed


async def _keep_names(
    session: WriteSession, plan: OrganisationPlan, kind: str, new_names: Iterable[tuple[object, ...]]
) -> None:
    new_names = set(new_names)
    if plan.existing is not None:
        query = select(OrganisationName).where(
            OrganisationName.organisation_id == plan.id, OrganisationName.kind == kind
        )
        for row in await session.scalars(query):
            dated = (row.name, row.valid_from, row.valid_to)
            if dated in new_names:
                new_names.remove(dated)
            elif kind == "alias":
                await session.delete(row)
    session.add_all(
        OrganisationName(
            organisation_id=plan.id,
            kind=kind,
            name=name,
            normalized_name=normalize_name(str(name)),
            valid_from=begins,
            valid_to=ends,
        )
        for name, begins, ends in sorted(new_names, key=str)
    )


async def _apply_pages(session: WriteSession, plans: Sequence[PagePlan], actor: str) -> list[NewEvent]:
    events: list[NewEvent] = []
    new: list[Page] = []
    for plan in plans:
        if plan.existing is None:
            values = {"active": True} | {name: value for name, value in plan.values.items() if value is not None}
            values.setdefault("url", NETWORKS[values["network"]].page_url.format(id=values["external_id"]))
            values.setdefault("go_live_at", clock.now())
            new.append(Page(**values, sort_key=sort_key(plan.name)))
            continue
        values = plan.values
        if "name" in values:
            values = values | {"sort_key": sort_key(values["name"])}
        if changed := versioned_update.apply_changes(plan.existing, values):
            events.append(page_event(PageChanged, plan.existing, actor, changed=changed))
    session.add_all(new)
    await session.flush()
    evidence = page_steps.Evidence(kind=EvidenceKind.MANUAL, confirmed_by=actor)
    await page_steps.record_created(session, [page.id for page in new], evidence)
    return [page_event(PageRegistered, page, actor) for page in new] + events
