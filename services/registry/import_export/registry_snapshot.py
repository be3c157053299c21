"""Snapshot of the registry for an import: read once, with indexes for all references in a file."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.import_export.cell_values import DatedName
from services.registry.persistence import versioned_update
from shared.tables.registry import Calendar, Municipality, Organisation, OrganisationName, Page
from shared.text.normalize import sort_key

# Kinds of names that people add; names of other kinds follow the organisation's own fields.
ADDITIONAL_NAME_KINDS = ("alias", "former")


@dataclass
class RegistrySnapshot:
    """The registry before the import."""

    organisations: dict[UUID, Organisation]
    pages: dict[tuple[str, str], Page]
    municipalities: dict[str, str]
    calendars: dict[str, list[UUID]]
    names: dict[tuple[UUID, str], set[DatedName]]
    short_names: dict[tuple[str, str], list[Page]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for page in self.pages.values():
            if page.screen_name:
                self.short_names[page.network, page.screen_name.lower()].append(page)


async def load_snapshot(session: AsyncSession, *, lock: bool) -> RegistrySnapshot:
    """Return the registry; `lock` locks organisations and pages against changes until the transaction ends.

    Rows are locked in the order of their ids, organisations first, to avoid deadlocks; foreign key checks are not
    blocked.
    """
    organisations = select(Organisation).order_by(Organisation.id)
    pages = select(Page).order_by(Page.id)
    if lock:
        organisations = organisations.with_for_update(**versioned_update.FOR_NO_KEY_UPDATE)
        pages = pages.with_for_update(**versioned_update.FOR_NO_KEY_UPDATE)
    organisations_by_id = {row.id: row for row in await session.scalars(organisations)}
    pages_by_key = {(row.network, row.external_id): row for row in await session.scalars(pages)}
    # Read after locking: the names of a locked organisation do not change.
    names: dict[tuple[UUID, str], set[DatedName]] = defaultdict(set)
    columns = (
        OrganisationName.organisation_id,
        OrganisationName.kind,
        OrganisationName.name,
        OrganisationName.valid_from,
        OrganisationName.valid_to,
    )
    other = select(*columns).where(OrganisationName.kind.in_(ADDITIONAL_NAME_KINDS))
    for owner, kind, name, valid_from, valid_to in await session.execute(other):
        names[owner, kind].add((name, valid_from, valid_to))
    calendars: dict[str, list[UUID]] = defaultdict(list)
    for calendar_id, name in await session.execute(select(Calendar.id, Calendar.name)):
        calendars[sort_key(name)].append(calendar_id)
    # An id is never ambiguous, even if another calendar has it as its name.
    calendars |= {str(one): [one] for ids in list(calendars.values()) for one in ids}
    municipalities: dict[str, str] = {}
    for oktmo, sorted_name in await session.execute(select(Municipality.oktmo, Municipality.sort_key)):
        municipalities |= {oktmo: oktmo, sorted_name: oktmo}
    return RegistrySnapshot(
        organisations=organisations_by_id,
        pages=pages_by_key,
        municipalities=municipalities,
        calendars=calendars,
        names=names,
    )


class OrganisationIndex:
    """Organisations indexed by id, code, number, name and short name."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, set[UUID]]] = {
            kind: defaultdict(set) for kind in ("id", "code", "number", "name")
        }
        self._ended: set[UUID] = set()

    def add(
        self,
        organisation_id: UUID,
        *,
        active: bool,
        ids: Iterable[UUID] = (),
        code: str | None,
        numbers: Iterable[str | None],
        names: Iterable[str | None],
    ) -> None:
        """Index an organisation."""
        if not active:
            self._ended.add(organisation_id)
        for kind, values in (
            ("id", [str(organisation_id), *map(str, ids)]),
            ("code", [code]),
            ("number", list(numbers)),
            ("name", [name and sort_key(name) for name in names]),
        ):
            for value in values:
                if value:
                    self._found[kind][value].add(organisation_id)

    def find(self, text: str) -> set[UUID]:
        """Return the ids of organisations that match the text, from the first index with a match.

        Inactive ones are returned only if no active one matches.
        """
        word = sort_key(text)
        candidates = next(
            (candidates for by in self._found.values() if (candidates := by.get(word, set()))), set[UUID]()
        )
        return candidates - self._ended or candidates
