"""Which organisation of the registry a file's organisation is, and whom it names as its owner."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.columns import NAME_FIELD
from services.registry.import_export.parsed_rows import Cell, ParsedOrganisation
from services.registry.import_export.registry_snapshot import OrganisationIndex, RegistrySnapshot
from services.registry.persistence.sort_keys import sort_key
from shared.ids import new_id
from shared.tables.registry import Organisation


@dataclass
class Match:
    """A file's organisation and the one it is in the registry; null: it is new, and `id` becomes its."""

    parsed: ParsedOrganisation
    id: UUID
    existing: Organisation | None

    def planned_value(self, name: str) -> str | None:
        """A field as it will be: the file's where the file has it."""
        if name in self.parsed.values:
            value: str | None = self.parsed.values[name]
            return value
        return getattr(self.existing, name) if self.existing is not None else None


class OrganisationMatcher:
    """Finds organisations by id, then code, then ОГРН, then name, never one that bears another code or ОГРН."""

    def __init__(self, known: RegistrySnapshot, faults: CellErrors) -> None:
        self._known = known
        self._faults = faults
        self._taken: dict[UUID, ParsedOrganisation] = {}
        self._codes = {row.code: row for row in known.organisations.values() if row.code}
        self._numbers: dict[str, list[Organisation]] = defaultdict(list)
        self._names: dict[str, list[Organisation]] = defaultdict(list)
        for row in known.organisations.values():
            self._names[row.sort_key].append(row)
            if row.ogrn:
                self._numbers[row.ogrn].append(row)

    def match(self, draft: ParsedOrganisation) -> Match:
        """The organisation of the registry that a draft is, or a new one."""
        existing = self._find(draft)
        given_id: UUID | None = draft.get("id")
        if existing is None:
            return Match(draft, given_id or new_id(), None)
        if (earlier := self._taken.setdefault(existing.id, draft)) is not draft:
            reason = f"is the organisation «{existing.name}», as row {earlier.main_cell.row} is: tell them apart by code"
            self._faults.add(draft.main_cell.error(reason))
        return Match(draft, existing.id, existing)

    def _find(self, draft: ParsedOrganisation) -> Organisation | None:
        by_id = self._known.organisations.get(draft.get("id"))
        by_code = self._codes.get(draft.get("code"))
        return by_id or by_code or self._by_number(draft) or self._by_name(draft)

    def _by_number(self, draft: ParsedOrganisation) -> Organisation | None:
        number = draft.get("ogrn")
        candidates = [row for row in self._numbers.get(number, ()) if self._may_be(draft, row)]
        named = [row for row in candidates if row.sort_key == sort_key(draft.get(NAME_FIELD) or "")]
        if draft.get("code") or draft.get("id"):
            # Branches share the number: one with a code of its own is not whoever has it without.
            candidates = named
        return self._only(draft.cells.get("ogrn"), named if len(candidates) > 1 and named else candidates)

    def _by_name(self, draft: ParsedOrganisation) -> Organisation | None:
        if (name := draft.get(NAME_FIELD)) is None:
            return None
        candidates = [row for row in self._names.get(sort_key(name), ()) if self._may_be(draft, row)]
        return self._only(draft.main_cell, candidates)

    def _only(self, cell: Cell | None, candidates: Sequence[Organisation]) -> Organisation | None:
        # One that took over often bears the name of one that is no more.
        candidates = [row for row in candidates if row.active] or candidates
        if len(candidates) > 1 and cell is not None:
            self._faults.add(cell.error(f"{len(candidates)} organisations have it: tell them apart by code"))
        return candidates[0] if candidates else None

    def _may_be(self, draft: ParsedOrganisation, row: Organisation) -> bool:
        """Whether nothing sure that the draft says is otherwise in the registry."""
        sure = {"code": row.code, "ogrn": row.ogrn, "inn": row.inn}
        identifiers = {name: draft.get(name) for name in sure}
        differs = any(identifiers[name] and has and identifiers[name] != has for name, has in sure.items())
        place = self._known.municipalities.get(sort_key(draft.get("municipality") or ""))
        return not differs and not (place and row.municipality and place != row.municipality)


def build_index(known: RegistrySnapshot, matches: Sequence[Match]) -> OrganisationIndex:
    """Everybody there will be, by what they will be named."""
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
    for row in known.organisations.values():
        if row.id not in described:
            index.add(
                row.id,
                active=row.active,
                code=row.code,
                numbers=[row.ogrn, row.inn],
                names=[row.name, row.short_name],
            )
    return index


def parent_of(match: Match, index: OrganisationIndex, faults: CellErrors) -> UUID | None:
    """Whom the owner's cell names; null: nobody, or a fault was noted."""
    text = match.parsed.get("owner")
    if text is None:
        return None
    candidates = index.find(text)
    if len(candidates) == 1:
        return next(iter(candidates))
    reason = (
        f"{len(candidates)} organisations are named so: give a code"
        if candidates
        else "names no organisation of the registry or of this file, by code, ОГРН, ИНН or name"
    )
    faults.add(match.parsed.cells["owner"].error(reason))
    return None
