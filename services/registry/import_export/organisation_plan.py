"""Organisations of a file against those of the registry: what each will be, and what cannot be taken."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import Faults
from services.registry.import_export.cell_values import Dated
from services.registry.import_export.columns import NAME, SPHERES
from services.registry.import_export.import_plan import BodyPlan, Difference
from services.registry.import_export.organisation_matching import Match, Matcher, directory, owner_of
from services.registry.import_export.parsed_rows import Cell, Draft
from services.registry.import_export.registry_snapshot import Known
from services.registry.import_export.row_validation import checked
from services.registry.organisations import validation
from services.registry.persistence.sort_keys import sort_key
from services.registry.schemas.organisations import NameNew, OrganisationNew
from shared import clock

# Fields of the API whose column is called otherwise.
_COLUMNS = {"parent_id": "owner", "calendar_id": "calendar", "other_spheres": "sphere_2"}
_AS_THEY_ARE = frozenset(OrganisationNew.model_fields) - {*_COLUMNS, "sphere", "municipality"}
_NAMES = {"aliases": "alias", "former_names": "former"}
_NEVER_EMPTY = frozenset({NAME, "kind"})


def plan_bodies(drafts: Sequence[Draft], known: Known, faults: Faults) -> list[BodyPlan]:
    """A plan for each organisation of the file, in its order; one with faults is not whole."""
    matcher = Matcher(known, faults)
    matches = [matcher.match(draft) for draft in drafts]
    everybody = directory(known, matches)
    _check_codes(matches, known, faults)
    owners = {match.id: owner_of(match, everybody, faults) for match in matches if "owner" in match.draft.cells}
    _check_rings(matches, owners, known, faults)
    titles = {row.id: row.name for row in known.organisations.values()}
    titles |= {match.id: match.now(NAME) or "" for match in matches}
    return [_plan(match, owners, known, titles, faults) for match in matches]


def _plan(
    match: Match, owners: dict[UUID, UUID | None], known: Known, titles: dict[UUID, str], faults: Faults
) -> BodyPlan:
    draft = match.draft
    plan = BodyPlan(draft, match.id, match.existing, {})
    wanted = _wanted(match, known, faults)
    if match.id in owners:
        wanted["parent_id"] = owners[match.id]
    before = (
        {name: getattr(match.existing, name) for name in OrganisationNew.model_fields} if match.existing else {}
    )
    merged = {
        name: value for name, value in (before | wanted).items() if value is not None or name not in _NEVER_EMPTY
    }
    valid = checked(OrganisationNew, merged, draft, lambda name: _place(draft, name), faults)
    if valid is None:
        return plan
    after: dict[str, Any] = valid.model_dump() | {"kind": valid.kind.value}
    if (active := draft.given("active")) is not None:
        after["active"] = active
        if match.existing is not None:
            before["active"] = match.existing.active
    _check_rules(draft, before, after, faults)
    for name, value in after.items():
        if match.existing is None or before[name] != value:
            plan.values[name] = value
            if match.existing is not None:
                shown = [_shown(one, titles) for one in (before[name], value)]
                plan.differences.append(Difference(_column(name), _place(draft, name), *shown))
    _plan_names(plan, known, faults)
    return plan


def _check_rules(draft: Draft, before: dict[str, Any], after: dict[str, Any], faults: Faults) -> None:
    given = frozenset(name for name, value in after.items() if name not in before or before[name] != value)
    for error in validation.find_contradictions(after, given, clock.today()):
        cell = _place(draft, error.pointer.removeprefix("/"))
        if not draft.unread(cell):
            faults.add(cell.fault(error.detail))


def _shown(value: Any, titles: dict[UUID, str]) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return titles.get(value, str(value)) if isinstance(value, UUID) else cell_values.written(value)


def _column(name: str) -> str:
    return _COLUMNS.get(name, name)


def _place(draft: Draft, name: str) -> Cell:
    """The cell to blame for a field of the API, or for one item of it: `other_spheres/1`."""
    field, _, item = name.partition("/")
    if field == "other_spheres" and item:
        return draft.place_of(SPHERES[int(item) + 1])
    if field == "kind" and "kind" not in draft.cells:
        return draft.place_of("level")
    if field == "municipality" and "municipality" not in draft.cells:
        return draft.place_of("oktmo")
    return draft.place_of(_column(field))


def _wanted(match: Match, known: Known, faults: Faults) -> dict[str, Any]:
    """What the file says, in the API's fields; what it says nothing of is left out."""
    draft = match.draft
    wanted = {name: draft.values[name] for name in _AS_THEY_ARE if name in draft.values}
    if "kind" not in draft.cells and match.existing is None and (level := draft.given("level")) is not None:
        wanted["kind"] = "institution" if draft.given("owner") else level
    spheres = [value for name in SPHERES if (value := draft.given(name)) is not None]
    if "sphere" in draft.values or len(spheres) > 0:
        wanted["sphere"] = spheres[0] if spheres else None
    if any(name in draft.values for name in SPHERES[1:]):
        wanted["other_spheres"] = spheres[1:]
    wanted |= _municipality(draft, known, faults)
    if "calendar" in draft.values:
        wanted["calendar_id"] = _calendar(draft, known, faults)
    return wanted


def _municipality(draft: Draft, known: Known, faults: Faults) -> dict[str, str | None]:
    if "municipality" not in draft.cells:
        # The first five digits of a place's code are those of its district or city.
        found = known.municipalities.get(f"{draft.given('oktmo') or '':.5}000")
        return {"municipality": found} if found else {}
    text = draft.given("municipality")
    if text is None:
        return {"municipality": None}
    found = known.municipalities.get(sort_key(text))
    if found is None:
        faults.add(draft.cells["municipality"].fault("is no district or city of the region, by ОКТМО or name"))
    return {"municipality": found}


def _calendar(draft: Draft, known: Known, faults: Faults) -> UUID | None:
    text = draft.given("calendar")
    if text is None:
        return None
    found = set(known.calendars.get(sort_key(text), ()))
    if len(found) == 1:
        return found.pop()
    reason = f"{len(found)} calendars are called so: give an id" if found else "There is no such calendar"
    faults.add(draft.cells["calendar"].fault(reason))
    return None


def _plan_names(plan: BodyPlan, known: Known, faults: Faults) -> None:
    """Aliases become those given; former names are history, to which a file only adds."""
    for column, kind in _NAMES.items():
        if column not in plan.draft.values:
            continue
        cell = plan.draft.cells[column]
        has = known.names.get((plan.id, kind), set())
        wanted: set[Dated] = has.copy() if kind == "former" else set()
        for name, begins, ends in plan.draft.given(column) or ():
            values = {"kind": kind, "name": name, "valid_from": begins, "valid_to": ends}
            valid = checked(NameNew, values, plan.draft, _always(cell), faults)
            if valid is not None:
                wanted.add((valid.name, valid.valid_from, valid.valid_to))
        if wanted != has:
            plan.names[kind] = wanted
            if plan.existing is not None:
                shown = [cell_values.written_names(names).replace("\n", "; ") for names in (has, wanted)]
                plan.differences.append(Difference(column, cell, *shown))


def _always(cell: Cell) -> Callable[[str], Cell]:
    return lambda _: cell


def _check_codes(matches: Sequence[Match], known: Known, faults: Faults) -> None:
    bearers = {row.code: row for row in known.organisations.values() if row.code}
    for match in matches:
        bearer = bearers.get(match.draft.given("code"))
        if bearer is not None and bearer.id != match.id:
            faults.add(match.draft.cells["code"].fault(f"belongs to «{bearer.name}»"))


def _check_rings(matches: Sequence[Match], owners: dict[UUID, UUID | None], known: Known, faults: Faults) -> None:
    above = {row.id: row.parent_id for row in known.organisations.values()} | owners
    for match in matches:
        seen = {match.id}
        step = owners.get(match.id)
        while step is not None and step not in seen:
            seen.add(step)
            step = above.get(step)
        if step == match.id:
            faults.add(
                match.draft.cells["owner"].fault("An organisation cannot belong to itself or to one beneath it")
            )
