"""Plan organisations: compare those of the file with the registry, and collect errors."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.cell_values import DatedName
from services.registry.import_export.columns import NAME_FIELD, SPHERE_FIELDS
from services.registry.import_export.import_plan import FieldDifference, OrganisationPlan
from services.registry.import_export.organisation_matching import (
    Match,
    OrganisationMatcher,
    build_index,
    parent_of,
)
from services.registry.import_export.parsed_rows import Cell, ParsedOrganisation
from services.registry.import_export.registry_snapshot import RegistrySnapshot
from services.registry.import_export.row_validation import validate_row
from services.registry.organisations import validation
from services.registry.persistence.sort_keys import sort_key
from services.registry.schemas.organisations import OrganisationCreate, OrganisationNameCreate
from shared import clock

# Fields of the API whose column has another name.
_COLUMNS = {"parent_id": "owner", "calendar_id": "calendar", "other_spheres": "sphere_2"}
_AS_THEY_ARE = frozenset(OrganisationCreate.model_fields) - {*_COLUMNS, "sphere", "municipality"}
_NAMES = {"aliases": "alias", "former_names": "former"}
_NEVER_EMPTY = frozenset({NAME_FIELD, "kind"})


def plan_organisations(
    parsed: Sequence[ParsedOrganisation], snapshot: RegistrySnapshot, errors: CellErrors
) -> list[OrganisationPlan]:
    """Return a plan for each organisation of the file, in file order; a plan with errors is incomplete."""
    matcher = OrganisationMatcher(snapshot, errors)
    matches = [matcher.match(draft) for draft in parsed]
    everybody = build_index(snapshot, matches)
    _check_codes(matches, snapshot, errors)
    owners = {match.id: parent_of(match, everybody, errors) for match in matches if "owner" in match.parsed.cells}
    _check_cycles(matches, owners, snapshot, errors)
    titles = {row.id: row.name for row in snapshot.organisations.values()}
    titles |= {match.id: match.planned_value(NAME_FIELD) or "" for match in matches}
    return [_plan(match, owners, snapshot, titles, errors) for match in matches]


def _plan(
    match: Match,
    owners: dict[UUID, UUID | None],
    known: RegistrySnapshot,
    titles: dict[UUID, str],
    faults: CellErrors,
) -> OrganisationPlan:
    draft = match.parsed
    plan = OrganisationPlan(draft, match.id, match.existing, {})
    wanted = _wanted(match, known, faults)
    if match.id in owners:
        wanted["parent_id"] = owners[match.id]
    before = (
        {name: getattr(match.existing, name) for name in OrganisationCreate.model_fields} if match.existing else {}
    )
    merged = {
        name: value for name, value in (before | wanted).items() if value is not None or name not in _NEVER_EMPTY
    }
    valid = validate_row(OrganisationCreate, merged, draft, lambda name: _cell_of(draft, name), faults)
    if valid is None:
        return plan
    after: dict[str, Any] = valid.model_dump() | {"kind": valid.kind.value}
    if (active := draft.get("active")) is not None:
        after["active"] = active
        if match.existing is not None:
            before["active"] = match.existing.active
    _check_rules(draft, before, after, faults)
    for name, value in after.items():
        if match.existing is None or before[name] != value:
            plan.values[name] = value
            if match.existing is not None:
                shown = [_shown(one, titles) for one in (before[name], value)]
                plan.differences.append(FieldDifference(_column(name), _cell_of(draft, name), *shown))
    _plan_names(plan, known, faults)
    return plan


def _check_rules(
    draft: ParsedOrganisation, before: dict[str, Any], after: dict[str, Any], faults: CellErrors
) -> None:
    changed_fields = frozenset(
        name for name, value in after.items() if name not in before or before[name] != value
    )
    for error in validation.find_contradictions(after, changed_fields, clock.today()):
        cell = _cell_of(draft, error.pointer.removeprefix("/"))
        if not draft.has_invalid_cell(cell):
            faults.add(cell.error(error.detail))


def _shown(value: Any, titles: dict[UUID, str]) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return titles.get(value, str(value)) if isinstance(value, UUID) else cell_values.format_cell(value)


def _column(name: str) -> str:
    return _COLUMNS.get(name, name)


def _cell_of(draft: ParsedOrganisation, name: str) -> Cell:
    """Return the cell that an error of an API field belongs to; a field may be one item, as in
    `other_spheres/1`.
    """
    field, _, item = name.partition("/")
    if field == "other_spheres" and item:
        return draft.cell_of(SPHERE_FIELDS[int(item) + 1])
    if field == "kind" and "kind" not in draft.cells:
        return draft.cell_of("level")
    if field == "municipality" and "municipality" not in draft.cells:
        return draft.cell_of("oktmo")
    return draft.cell_of(_column(field))


def _wanted(match: Match, known: RegistrySnapshot, faults: CellErrors) -> dict[str, Any]:
    """Return the file's values by API field; fields that the file does not mention are left out."""
    draft = match.parsed
    wanted = {name: draft.values[name] for name in _AS_THEY_ARE if name in draft.values}
    if "kind" not in draft.cells and match.existing is None and (level := draft.get("level")) is not None:
        wanted["kind"] = "institution" if draft.get("owner") else level
    spheres = [value for name in SPHERE_FIELDS if (value := draft.get(name)) is not None]
    if "sphere" in draft.values or len(spheres) > 0:
        wanted["sphere"] = spheres[0] if spheres else None
    if any(name in draft.values for name in SPHERE_FIELDS[1:]):
        wanted["other_spheres"] = spheres[1:]
    wanted |= _municipality(draft, known, faults)
    if "calendar" in draft.values:
        wanted["calendar_id"] = _calendar(draft, known, faults)
    return wanted


def _municipality(draft: ParsedOrganisation, known: RegistrySnapshot, faults: CellErrors) -> dict[str, str | None]:
    if "municipality" not in draft.cells:
        # The first five digits of an OKTMO code identify the district or city.
        municipality = known.municipalities.get(f"{draft.get('oktmo') or '':.5}000")
        return {"municipality": municipality} if municipality else {}
    text = draft.get("municipality")
    if text is None:
        return {"municipality": None}
    municipality = known.municipalities.get(sort_key(text))
    if municipality is None:
        faults.add(draft.cells["municipality"].error("is not a district or city of the region, by ОКТМО or name"))
    return {"municipality": municipality}


def _calendar(draft: ParsedOrganisation, known: RegistrySnapshot, faults: CellErrors) -> UUID | None:
    text = draft.get("calendar")
    if text is None:
        return None
    candidates = set(known.calendars.get(sort_key(text), ()))
    if len(candidates) == 1:
        return candidates.pop()
    reason = (
        f"{len(candidates)} calendars have this name: give an id" if candidates else "There is no such calendar"
    )
    faults.add(draft.cells["calendar"].error(reason))
    return None


def _plan_names(plan: OrganisationPlan, known: RegistrySnapshot, faults: CellErrors) -> None:
    """Replace the aliases with the given ones; former names are history, to which a file only adds."""
    for column, kind in _NAMES.items():
        if column not in plan.parsed.values:
            continue
        cell = plan.parsed.cells[column]
        has = known.names.get((plan.id, kind), set())
        wanted: set[DatedName] = has.copy() if kind == "former" else set()
        for name, begins, ends in plan.parsed.get(column) or ():
            values = {"kind": kind, "name": name, "valid_from": begins, "valid_to": ends}
            valid = validate_row(OrganisationNameCreate, values, plan.parsed, _always(cell), faults)
            if valid is not None:
                wanted.add((valid.name, valid.valid_from, valid.valid_to))
        if wanted != has:
            plan.names[kind] = wanted
            if plan.existing is not None:
                shown = [cell_values.format_names(names).replace("\n", "; ") for names in (has, wanted)]
                plan.differences.append(FieldDifference(column, cell, *shown))


def _always(cell: Cell) -> Callable[[str], Cell]:
    return lambda _: cell


def _check_codes(matches: Sequence[Match], known: RegistrySnapshot, faults: CellErrors) -> None:
    bearers = {row.code: row for row in known.organisations.values() if row.code}
    for match in matches:
        bearer = bearers.get(match.parsed.get("code"))
        if bearer is not None and bearer.id != match.id:
            faults.add(match.parsed.cells["code"].error(f"belongs to «{bearer.name}»"))


def _check_cycles(
    matches: Sequence[Match], owners: dict[UUID, UUID | None], known: RegistrySnapshot, faults: CellErrors
) -> None:
    above = {row.id: row.parent_id for row in known.organisations.values()} | owners
    for match in matches:
        seen = {match.id}
        step = owners.get(match.id)
        while step is not None and step not in seen:
            seen.add(step)
            step = above.get(step)
        if step == match.id:
            faults.add(
                match.parsed.cells["owner"].error(
                    "An organisation cannot belong to itself or to one of its subordinates"
                )
            )
