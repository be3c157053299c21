"""Match the organisations of a file and their parents with organisations of the registry."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.columns import NAME_FIELD
from services.registry.import_export.parsed_rows import Cell, ParsedOrganisation
from services.registry.import_export.registry_snapshot import OrganisationIndex, RegistrySnapshot
from shared.ids import new_id
from shared.tables.registry import Organisation
from shared.text.normalize import sort_key


@dataclass
class Match:
    """An organisation of the file and its match in the registry (`existing`), None for a new one."""

    parsed: ParsedOrganisation
    id: UUID
    existing: Organisation | None

    def planned_value(self, name: str) -> str | None:
        """Return a field's value after the import: from the file if it has the field, else the current one."""
        if name in self.parsed.values:
            value: str | None = self.parsed.values[name]
            return value
        return getattr(self.existing, name) if self.existing is not None else None


class OrganisationMatcher:
    """Matches organisations by id, then code, then ОГРН, then name; the last two only without contradictions."""

    def __init__(self, snapshot: RegistrySnapshot, errors: CellErrors) -> None:
        self._snapshot = snapshot
        self._errors = errors
        self._taken: dict[UUID, ParsedOrganisation] = {}
        self._codes = {row.code: row for row in snapshot.organisations.values() if row.code}
        self._numbers: dict[str, list[Organisation]] = defaultdict(list)
        self._names: dict[str, list[Organisation]] = defaultdict(list)
        for row in snapshot.organisations.values():
            self._names[row.sort_key].append(row)
            if row.ogrn:
                self._numbers[row.ogrn].append(row)

    def match(self, parsed: ParsedOrganisation) -> Match:
        """Return the match of a parsed organisation. Adds an error if an earlier one has the same match."""
        existing = self._find(parsed)
        given_id: UUID | None = parsed.get("id")
        if existing is None:
            return Match(parsed, given_id or new_id(), None)
        if (earlier := self._taken.setdefault(existing.id, parsed)) is not parsed:
            reason = f"matches «{existing.name}», like row {earlier.main_cell.row}: tell them apart by code"
            self._errors.add(parsed.main_cell.error(reason))
        return Match(parsed, existing.id, existing)

    def _find(self, parsed: ParsedOrganisation) -> Organisation | None:
        by_id = self._snapshot.organisations.get(parsed.get("id"))
        by_code = self._codes.get(parsed.get("code"))
        return by_id or by_code or self._by_number(parsed) or self._by_name(parsed)

    def _by_number(self, parsed: ParsedOrganisation) -> Organisation | None:
        number = parsed.get("ogrn")
        candidates = [row for row in self._numbers.get(number, ()) if self._may_be(parsed, row)]
        named = [row for row in candidates if row.sort_key == sort_key(parsed.get(NAME_FIELD) or "")]
        if parsed.get("code") or parsed.get("id"):
            # Branches share an ОГРН: a row that has a code or id must also have the name of the organisation.
            candidates = named
        return self._only(parsed.cells.get("ogrn"), named if len(candidates) > 1 and named else candidates)

    def _by_name(self, parsed: ParsedOrganisation) -> Organisation | None:
        if (name := parsed.get(NAME_FIELD)) is None:
            return None
        candidates = [row for row in self._names.get(sort_key(name), ()) if self._may_be(parsed, row)]
        return self._only(parsed.main_cell, candidates)

    def _only(self, cell: Cell | None, candidates: Sequence[Organisation]) -> Organisation | None:
        # A successor often has the name of its predecessor, which is inactive: prefer active organisations.
        candidates = [row for row in candidates if row.active] or candidates
        if len(candidates) > 1 and cell is not None:
            self._errors.add(cell.error(f"{len(candidates)} organisations match: tell them apart by code"))
        return candidates[0] if candidates else None

    def _may_be(self, parsed: ParsedOrganisation, row: Organisation) -> bool:
        """Return whether neither an identifier nor the municipality differs from that in the registry."""
        registered = {"code": row.code, "ogrn": row.ogrn, "inn": row.inn}
        identifiers = {name: parsed.get(name) for name in registered}
        differs = any(
            identifiers[name] and registered_value and identifiers[name] != registered_value
            for name, registered_value in registered.items()
        )
        municipality = self._snapshot.municipalities.get(sort_key(parsed.get("municipality") or ""))
        return not differs and not (municipality and row.municipality and municipality != row.municipality)


def build_index(snapshot: RegistrySnapshot, matches: Sequence[Match]) -> OrganisationIndex:
    """Return the index of all organisations with their names and identifiers after the import."""
    index = OrganisationIndex()
    for match in matches:
        given_id: UUID | None = match.parsed.get("id")
        active = match.parsed.get("active")
        index.add(
            match.id,
            active=match.existing.active if active is None and match.existing is not None else active is not False,
            ids=[given_id] if given_id else [],
            code=match.planned_value("code"),
            numbers=[match.planned_value("ogrn"), match.planned_value("inn")],
            names=[match.planned_value("name"), match.planned_value("short_name")],
        )
    described = {match.id for match in matches}
    for row in snapshot.organisations.values():
        if row.id not in described:
            index.add(
                row.id,
                active=row.active,
                code=row.code,
                numbers=[row.ogrn, row.inn],
                names=[row.name, row.short_name],
            )
    return index


def parent_of(match: Match, index: OrganisationIndex, errors: CellErrors) -> UUID | None:
    """Return the id of the parent given in the cell; None for an empty cell, or when an error was added."""
    text = match.parsed.get("parent")
    if text is None:
        return None
    candidates = index.find(text)
    if len(candidates) == 1:
        return next(iter(candidates))
    reason = (
        f"{len(candidates)} organisations match: give a code"
        if candidates
        else "matches no organisation of the registry or of this file by code, ОГРН, ИНН or name"
    )
    errors.add(match.parsed.cells["parent"].error(reason))
    return None
