"""Plan the changes to organisations: compare those of the file with the registry, and collect errors."""

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
from services.registry.schemas.organisations import OrganisationCreate, OrganisationNameCreate
from shared import clock
from shared.text.normalize import sort_key

# API fields whose column has another name.
_COLUMNS = {"parent_id": "parent", "calendar_id": "calendar", "other_spheres": "sphere_2"}
_AS_THEY_ARE = frozenset(OrganisationCreate.model_fields) - {*_COLUMNS, "sphere", "municipality"}
_NAMES = {"aliases": "alias", "former_names": "former"}
_NEVER_EMPTY = frozenset({NAME_FIELD, "kind"})


def plan_organisations(
    parsed: Sequence[ParsedOrganisation], snapshot: RegistrySnapshot, errors: CellErrors
) -> list[OrganisationPlan]:
    """Return a plan for each organisation of the file, in file order; a plan with errors is incomplete."""
    matcher = OrganisationMatcher(snapshot, errors)
    matches = [matcher.match(organisation) for organisation in parsed]
    index = build_index(snapshot, matches)
    _check_codes(matches, snapshot, errors)
    parents = {match.id: parent_of(match, index, errors) for match in matches if "parent" in match.parsed.cells}
    _check_cycles(matches, parents, snapshot, errors)
    titles = {row.id: row.name for row in snapshot.organisations.values()}
    titles |= {match.id: match.planned_value(NAME_FIELD) or "" for match in matches}
    return [_plan(match, parents, snapshot, titles, errors) for match in matches]


def _plan(
    match: Match,
    parents: dict[UUID, UUID | None],
    snapshot: RegistrySnapshot,
    titles: dict[UUID, str],
    errors: CellErrors,
) -> OrganisationPlan:
    parsed = match.parsed
    plan = OrganisationPlan(parsed, match.id, match.existing, {})
    new_values = _new_values(match, snapshot, errors)
    if match.id in parents:
        new_values["parent_id"] = parents[match.id]
    before = (
        {name: getattr(match.existing, name) for name in OrganisationCreate.model_fields} if match.existing else {}
    )
    merged = {
        name: value
        for name, value in (before | new_values).items()
        if value is not None or name not in _NEVER_EMPTY
    }
    valid = validate_row(OrganisationCreate, merged, parsed, lambda name: _cell_of(parsed, name), errors)
    if valid is None:
        return plan
    after: dict[str, Any] = valid.model_dump() | {"kind": valid.kind.value}
    if (active := parsed.get("active")) is not None:
        after["active"] = active
        if match.existing is not None:
            before["active"] = match.existing.active
    _check_rules(parsed, before, after, errors)
    for name, value in after.items():
        if match.existing is None or before[name] != value:
            plan.values[name] = value
            if match.existing is not None:
                before_and_after = [_shown(field_value, titles) for field_value in (before[name], value)]
                plan.differences.append(FieldDifference(_column(name), _cell_of(parsed, name), *before_and_after))
    _plan_names(plan, snapshot, errors)
    return plan


def _check_rules(
    parsed: ParsedOrganisation, before: dict[str, Any], after: dict[str, Any], errors: CellErrors
) -> None:
    changed_fields = frozenset(
        name for name, value in after.items() if name not in before or before[name] != value
    )
    for error in validation.find_contradictions(after, changed_fields, clock.today()):
        cell = _cell_of(parsed, error.pointer.removeprefix("/"))
        if not parsed.has_invalid_cell(cell):
            errors.add(cell.error(error.detail))


def _shown(value: Any, titles: dict[UUID, str]) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return titles.get(value, str(value)) if isinstance(value, UUID) else cell_values.format_cell(value)


def _column(name: str) -> str:
    return _COLUMNS.get(name, name)


def _cell_of(parsed: ParsedOrganisation, name: str) -> Cell:
    """Return the cell to which an error of this API field belongs; `name` may be an item: `other_spheres/1`."""
    field, _, item = name.partition("/")
    if field == "other_spheres" and item:
        return parsed.cell_of(SPHERE_FIELDS[int(item) + 1])
    if field == "kind" and "kind" not in parsed.cells:
        return parsed.cell_of("level")
    if field == "municipality" and "municipality" not in parsed.cells:
        return parsed.cell_of("oktmo")
    return parsed.cell_of(_column(field))


def _new_values(match: Match, snapshot: RegistrySnapshot, errors: CellErrors) -> dict[str, Any]:
    """Return the file's values by API field; fields without a column are left out."""
    parsed = match.parsed
    new_values = {name: parsed.values[name] for name in _AS_THEY_ARE if name in parsed.values}
    if "kind" not in parsed.cells and match.existing is None and (level := parsed.get("level")) is not None:
        new_values["kind"] = "institution" if parsed.get("parent") else level
    spheres = [value for name in SPHERE_FIELDS if (value := parsed.get(name)) is not None]
    if "sphere" in parsed.values or len(spheres) > 0:
        new_values["sphere"] = spheres[0] if spheres else None
    if any(name in parsed.values for name in SPHERE_FIELDS[1:]):
        new_values["other_spheres"] = spheres[1:]
    new_values |= _municipality(parsed, snapshot, errors)
    if "calendar" in parsed.values:
        new_values["calendar_id"] = _calendar(parsed, snapshot, errors)
    return new_values


def _municipality(
    parsed: ParsedOrganisation, snapshot: RegistrySnapshot, errors: CellErrors
) -> dict[str, str | None]:
    if "municipality" not in parsed.cells:
        # The first five digits of an OKTMO code identify the district or city.
        municipality = snapshot.municipalities.get(f"{parsed.get('oktmo') or '':.5}000")
        return {"municipality": municipality} if municipality else {}
    text = parsed.get("municipality")
    if text is None:
        return {"municipality": None}
    municipality = snapshot.municipalities.get(sort_key(text))
    if municipality is None:
        errors.add(parsed.cells["municipality"].error("is not a district or city of the region, by ОКТМО or name"))
    return {"municipality": municipality}


def _calendar(parsed: ParsedOrganisation, snapshot: RegistrySnapshot, errors: CellErrors) -> UUID | None:
    text = parsed.get("calendar")
    if text is None:
        return None
    candidates = set(snapshot.calendars.get(sort_key(text), ()))
    if len(candidates) == 1:
        return candidates.pop()
    reason = f"{len(candidates)} calendars have this name: give an id" if candidates else "No such calendar"
    errors.add(parsed.cells["calendar"].error(reason))
    return None


def _plan_names(plan: OrganisationPlan, snapshot: RegistrySnapshot, errors: CellErrors) -> None:
    """Plan the names: given aliases replace the current ones, given former names are added."""
    for column, kind in _NAMES.items():
        if column not in plan.parsed.values:
            continue
        cell = plan.parsed.cells[column]
        has = snapshot.names.get((plan.id, kind), set())
        wanted: set[DatedName] = has.copy() if kind == "former" else set()
        for name, begins, ends in plan.parsed.get(column) or ():
            values = {"kind": kind, "name": name, "valid_from": begins, "valid_to": ends}
            valid = validate_row(OrganisationNameCreate, values, plan.parsed, _always(cell), errors)
            if valid is not None:
                wanted.add((valid.name, valid.valid_from, valid.valid_to))
        if wanted != has:
            plan.names[kind] = wanted
            if plan.existing is not None:
                shown = [cell_values.format_names(names).replace("\n", "; ") for names in (has, wanted)]
                plan.differences.append(FieldDifference(column, cell, *shown))


def _always(cell: Cell) -> Callable[[str], Cell]:
    return lambda _: cell


def _check_codes(matches: Sequence[Match], snapshot: RegistrySnapshot, errors: CellErrors) -> None:
    bearers = {row.code: row for row in snapshot.organisations.values() if row.code}
    for match in matches:
        bearer = bearers.get(match.parsed.get("code"))
        if bearer is not None and bearer.id != match.id:
            errors.add(match.parsed.cells["code"].error(f"belongs to «{bearer.name}»"))


def _check_cycles(
    matches: Sequence[Match], parents: dict[UUID, UUID | None], snapshot: RegistrySnapshot, errors: CellErrors
) -> None:
    above = {row.id: row.parent_id for row in snapshot.organisations.values()} | parents
    for match in matches:
        seen = {match.id}
        step = parents.get(match.id)
        while step is not None and step not in seen:
            seen.add(step)
            step = above.get(step)
        if step == match.id:
            errors.add(
                match.parsed.cells["parent"].error(
                    "An organisation cannot belong to itself or to one of its subordinates"
                )
            )
