"""Which organisation of the registry a file's organisation is, and whom it names as its owner."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.registry.import_export.cell_errors import Faults
from services.registry.import_export.columns import NAME
from services.registry.import_export.parsed_rows import Cell, Draft
from services.registry.import_export.registry_snapshot import Directory, Known
from services.registry.persistence.sort_keys import sort_key
from shared.ids import new_id
from shared.tables.registry import Organisation


@dataclass
class Match:
    """A file's organisation and the one it is in the registry; null: it is new, and `id` becomes its."""

    draft: Draft
    id: UUID
    existing: Organisation | None

    def now(self, name: str) -> str | None:
        """A field as it will be: the file's where the file has it."""
        if name in self.draft.values:
            value: str | None = self.draft.values[name]
            return value
        return getattr(self.existing, name) if self.existing is not None else None


class Matcher:
    """Finds organisations by id, then code, then ОГРН, then name, never one that bears another code or ОГРН."""

    def __init__(self, known: Known, faults: Faults) -> None:
        self._known = known
        self._faults = faults
        self._taken: dict[UUID, Draft] = {}
        self._codes = {row.code: row for row in known.organisations.values() if row.code}
        self._numbers: dict[str, list[Organisation]] = defaultdict(list)
        self._names: dict[str, list[Organisation]] = defaultdict(list)
        for row in known.organisations.values():
            self._names[row.sort_key].append(row)
            if row.ogrn:
                self._numbers[row.ogrn].append(row)

    def match(self, draft: Draft) -> Match:
        """The organisation of the registry that a draft is, or a new one."""
        existing = self._find(draft)
        given: UUID | None = draft.given("id")
        if existing is None:
            return Match(draft, given or new_id(), None)
        if (earlier := self._taken.setdefault(existing.id, draft)) is not draft:
            reason = (
                f"is the organisation «{existing.name}», as row {earlier.place.row} is: tell them apart by code"
            )
            self._faults.add(draft.place.fault(reason))
        return Match(draft, existing.id, existing)

    def _find(self, draft: Draft) -> Organisation | None:
        by_id = self._known.organisations.get(draft.given("id"))
        by_code = self._codes.get(draft.given("code"))
        return by_id or by_code or self._by_number(draft) or self._by_name(draft)

    def _by_number(self, draft: Draft) -> Organisation | None:
        number = draft.given("ogrn")
        found = [row for row in self._numbers.get(number, ()) if self._may_be(draft, row)]
        named = [row for row in found if row.sort_key == sort_key(draft.given(NAME) or "")]
        if draft.given("code") or draft.given("id"):
            # Branches share the number: one with a code of its own is not whoever has it without.
            found = named
        return self._only(draft.cells.get("ogrn"), named if len(found) > 1 and named else found)

    def _by_name(self, draft: Draft) -> Organisation | None:
        if (name := draft.given(NAME)) is None:
            return None
        found = [row for row in self._names.get(sort_key(name), ()) if self._may_be(draft, row)]
        return self._only(draft.place, found)

    def _only(self, cell: Cell | None, found: Sequence[Organisation]) -> Organisation | None:
        # One that took over often bears the name of one that is no more.
        found = [row for row in found if row.active] or found
        if len(found) > 1 and cell is not None:
            self._faults.add(cell.fault(f"{len(found)} organisations have it: tell them apart by code"))
        return found[0] if found else None

    def _may_be(self, draft: Draft, row: Organisation) -> bool:
        """Whether nothing sure that the draft says is otherwise in the registry."""
        sure = {"code": row.code, "ogrn": row.ogrn, "inn": row.inn}
        said = {name: draft.given(name) for name in sure}
        differs = any(said[name] and has and said[name] != has for name, has in sure.items())
        place = self._known.municipalities.get(sort_key(draft.given("municipality") or ""))
        return not differs and not (place and row.municipality and place != row.municipality)


def directory(known: Known, matches: Sequence[Match]) -> Directory:
    """Everybody there will be, by what they will be named."""
    found = Directory()
    for match in matches:
        given: UUID | None = match.draft.given("id")
        active = match.draft.given("active")
        found.add(
            match.id,
            active=match.existing.active if active is None and match.existing is not None else active is not False,
            ids=[given] if given else [],
            code=match.now("code"),
            numbers=[match.now("ogrn"), match.now("inn")],
            names=[match.now("name"), match.now("short_name")],
        )
    described = {match.id for match in matches}
    for row in known.organisations.values():
        if row.id not in described:
            found.add(
                row.id,
                active=row.active,
                code=row.code,
                numbers=[row.ogrn, row.inn],
                names=[row.name, row.short_name],
            )
    return found


def owner_of(match: Match, everybody: Directory, faults: Faults) -> UUID | None:
    """Whom the owner's cell names; null: nobody, or a fault was noted."""
    text = match.draft.given("owner")
    if text is None:
        return None
    found = everybody.find(text)
    if len(found) == 1:
        return next(iter(found))
    reason = (
        f"{len(found)} organisations are named so: give a code"
        if found
        else "names no organisation of the registry or of this file, by code, ОГРН, ИНН or name"
    )
    faults.add(match.draft.cells["owner"].fault(reason))
    return None
