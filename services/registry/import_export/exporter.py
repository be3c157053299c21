"""Export of the registry as a table that imports to the same state: CSV for programs, XLSX for people."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import TypeAliasType

from services.registry.import_export.cell_values import KIND_LABELS, DatedName, format_cell, format_names
from services.registry.import_export.columns import EXPORTED_COLUMNS, NAME_FIELD, PAGE_COLUMNS
from services.registry.import_export.registry_snapshot import ADDITIONAL_NAME_KINDS
from shared.database.sessions import use_snapshot
from shared.networks import NETWORKS
from shared.tables.registry import Calendar, Organisation, OrganisationName, Page
from shared.text.normalize import sort_key

HeadingLanguage = TypeAliasType("HeadingLanguage", Literal["en", "ru"])
SHEET_TITLE = "Реестр"
# Columns repeated in the further rows of an organisation that has several pages in one network.
_REPEATED = ("id", "code", NAME_FIELD)

Row = list[str]


@dataclass(frozen=True)
class ExportedRegistry:
    """The data to export, read from one snapshot."""

    organisations: Sequence[Organisation]
    pages: Mapping[UUID, Mapping[str, Sequence[Page]]]
    names: Mapping[tuple[UUID, str], Sequence[DatedName]]
    calendars: Mapping[UUID, str]


async def read_registry(session: AsyncSession) -> ExportedRegistry:
    """Return the registry sorted by name, including inactive organisations and pages."""
    # One snapshot: otherwise a page registered meanwhile could lack its organisation.
    await use_snapshot(session)
    organisations = await session.scalars(select(Organisation).order_by(Organisation.sort_key, Organisation.id))
    pages: dict[UUID, dict[str, list[Page]]] = defaultdict(lambda: defaultdict(list))
    for page in await session.scalars(select(Page).order_by(Page.network, Page.external_id)):
        pages[page.organisation_id][page.network].append(page)
    names: dict[tuple[UUID, str], list[DatedName]] = defaultdict(list)
    for row in await session.scalars(
        select(OrganisationName).where(OrganisationName.kind.in_(ADDITIONAL_NAME_KINDS))
    ):
        names[row.organisation_id, row.kind].append((row.name, row.valid_from, row.valid_to))
    calendars = (await session.execute(select(Calendar.id, Calendar.name))).all()
    # Counted as the import compares them: it looks for an id before a name.
    meanings = Counter(sort_key(calendar.name) for calendar in calendars)
    meanings.update(str(calendar.id) for calendar in calendars)
    return ExportedRegistry(
        organisations=organisations.all(),
        pages=pages,
        names=names,
        # A calendar with an ambiguous name is exported by id, because its name could not be imported.
        calendars={
            calendar_row.id: (
                calendar_row.name if meanings[sort_key(calendar_row.name)] == 1 else str(calendar_row.id)
            )
            for calendar_row in calendars
        },
    )


def export_rows(registry: ExportedRegistry, headings: HeadingLanguage = "en") -> Iterator[Row]:
    """Return the headings and all rows. An organisation has a row for each page in the network in which it has the
    most pages, and at least one row.
    """
    yield [column.field if headings == "en" else column.title for column in EXPORTED_COLUMNS]
    kinds = KIND_LABELS if headings == "ru" else {}
    parents = {row.id: row.code or str(row.id) for row in registry.organisations}
    for organisation in registry.organisations:
        organisation_values = _body(organisation, registry)
        organisation_values["parent"] = parents[organisation.parent_id] if organisation.parent_id else ""
        organisation_values["kind"] = kinds.get(organisation.kind, organisation.kind)
        pages = registry.pages.get(organisation.id, {})
        for number, kept in enumerate(
            list(zip_longest(*(pages.get(network, ()) for network in NETWORKS))) or [()]
        ):
            own_values = (
                organisation_values if number == 0 else {name: organisation_values[name] for name in _REPEATED}
            )
            own_values = own_values | {
                name: text for page in kept if page is not None for name, text in _page(page).items()
            }
            yield [own_values.get(column.field, "") for column in EXPORTED_COLUMNS]


def _body(row: Organisation, registry: ExportedRegistry) -> dict[str, str]:
    values: dict[str, Any] = {column.field: getattr(row, column.field, None) for column in EXPORTED_COLUMNS}
    spheres = [row.sphere, *row.other_spheres, None, None]
    values |= {"sphere": spheres[0], "sphere_2": spheres[1], "sphere_3": spheres[2]}
    values["calendar"] = registry.calendars[row.calendar_id] if row.calendar_id else None
    values["aliases"] = format_names(registry.names.get((row.id, "alias"), ()))
    values["former_names"] = format_names(registry.names.get((row.id, "former"), ()))
    return {name: format_cell(value) for name, value in values.items()}


def _page(page: Page) -> dict[str, str]:
    return {
        field: format_cell(getattr(page, about.page_field))
        for field, about in PAGE_COLUMNS.items()
        if about.network == page.network
    }
