"""Plan the changes to pages: compare those of the file with the registry, and collect errors."""

from typing import Any
from uuid import UUID

from services.registry.import_export import cell_values
from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.import_plan import FieldDifference, OrganisationPlan, PagePlan
from services.registry.import_export.parsed_rows import Cell, ParsedPage
from services.registry.import_export.registry_snapshot import RegistrySnapshot
from services.registry.import_export.row_validation import validate_row
from services.registry.import_export.short_name_lookup import IdByShortName, short_name_of
from services.registry.pages.page_addresses import InvalidPageAddress, PageAddress, parse_address
from services.registry.schemas.pages import PageCreate
from shared.tables.registry import Page

_FIELDS = ("name", "screen_name", "url", "go_live_at", "active")
# Required fields of a page: an empty cell does not change them.
_NEVER_EMPTIED = frozenset({"name", "url", "go_live_at", "active"})


class PagePlanner:
    """Plans the pages of one file. A page in rows of two organisations is an error."""

    def __init__(self, snapshot: RegistrySnapshot, short_names: IdByShortName, errors: CellErrors) -> None:
        self._snapshot = snapshot
        self._short_names = short_names
        self._errors = errors
        self._plans: dict[tuple[str, str], tuple[UUID, PagePlan]] = {}

    def plan(self, organisation: OrganisationPlan) -> None:
        """Add plans for the pages of an organisation."""
        for parsed in organisation.parsed.pages:
            address = self._address(parsed)
            external_id = self._external_id(parsed, address)
            if external_id is None:
                continue
            key = parsed.network, external_id
            if key in self._plans:
                self._merge_repeated(parsed, organisation, *self._plans[key])
            elif (plan := self._plan(parsed, organisation, external_id, address)) is not None:
                self._plans[key] = organisation.id, plan

    @property
    def plans(self) -> list[PagePlan]:
        """Return the plans in file order."""
        return [plan for _, plan in self._plans.values()]

    def _merge_repeated(
        self, parsed: ParsedPage, organisation: OrganisationPlan, planned_organisation_id: UUID, plan: PagePlan
    ) -> None:
        if planned_organisation_id == organisation.id:
            plan.parsed.merge(parsed, self._errors)
        else:
            reason = f"row {plan.parsed.main_cell.row} assigns this page to another organisation"
            self._errors.add(parsed.main_cell.error(reason))

    def _address(self, parsed: ParsedPage) -> PageAddress | None:
        text = parsed.get("url")
        if text is None:
            return None
        try:
            address = parse_address(text, parsed.network)
        except InvalidPageAddress as error:
            self._errors.add(parsed.cells["url"].error(error.reason))
            return None
        given_id = parsed.get("external_id")
        if given_id is not None and address.external_id not in {None, given_id}:
            reason = f"is the page {address.external_id}, but {parsed.cells['external_id'].name} says {given_id}"
            self._errors.add(parsed.cells["url"].error(reason))
        return address

    def _external_id(self, parsed: ParsedPage, address: PageAddress | None) -> str | None:
        """Return the network's id of the page; None when the row has an error."""
        if parsed.is_invalid("external_id"):
            return None
        if (given_id := parsed.get("external_id")) is not None:
            return str(given_id)
        if address is not None and address.external_id is not None:
            return address.external_id
        short_name = short_name_of(parsed)
        if short_name is None:
            if not parsed.get("url"):
                self._errors.add(parsed.main_cell.error("does not identify a page: give its id or its address"))
            return None
        resolved_id = self._short_names.get((parsed.network, short_name))
        if resolved_id is None and not self._errors.has_error(parsed.main_cell.row, parsed.main_cell.column_index):
            reason = "is an unknown short name: give the page's id, or import with `resolve_short_names`"
            self._errors.add(parsed.main_cell.error(reason))
        return resolved_id

    def _plan(
        self, parsed: ParsedPage, organisation: OrganisationPlan, external_id: str, address: PageAddress | None
    ) -> PagePlan | None:
        existing = self._snapshot.pages.get((parsed.network, external_id))
        if existing is not None and existing.organisation_id != organisation.id:
            owner = self._snapshot.organisations[existing.organisation_id].name
            reason = f"The page {external_id} of {parsed.network} belongs to «{owner}»: move it first"
            self._errors.add(parsed.main_cell.error(reason))
            return None
        new_values = self._new_values(parsed, address)
        active = new_values.pop("active", None)
        before = _before(existing)
        if existing is None:
            new_values.setdefault(
                "name", organisation.values.get("short_name") or organisation.name or parsed.main_cell.text
            )
        merged = {
            **before,
            **new_values,
            "network": parsed.network,
            "external_id": external_id,
            "organisation_id": organisation.id,
        }
        valid = validate_row(PageCreate, merged, parsed, lambda name: _cell_of(parsed, name), self._errors)
        if valid is None:
            return None
        after = {name: getattr(valid, name) for name in ("name", "screen_name", "url", "go_live_at")}
        if active is not None:
            after["active"] = active
        plan = PagePlan(parsed, existing, {})
        if existing is None:
            plan.values = after | {
                "network": parsed.network,
                "external_id": external_id,
                "organisation_id": organisation.id,
            }
            return plan
        before["active"] = existing.active
        for name, value in after.items():
            if before[name] != value:
                plan.values[name] = value
                before_and_after = [cell_values.format_cell(cell_value) for cell_value in (before[name], value)]
                plan.differences.append(
                    FieldDifference(f"{parsed.network}_{name}", _cell_of(parsed, name), *before_and_after)
                )
        return plan

    @staticmethod
    def _new_values(parsed: ParsedPage, address: PageAddress | None) -> dict[str, Any]:
        new_values = {
            name: parsed.values[name]
            for name in _FIELDS
            if name in parsed.values and (parsed.values[name] is not None or name not in _NEVER_EMPTIED)
        }
        if "url" in new_values:
            new_values["url"] = _link(new_values["url"])
            if new_values["url"] is None:
                del new_values["url"]
        if "screen_name" not in parsed.cells and address is not None and address.screen_name is not None:
            new_values["screen_name"] = address.screen_name
        return new_values


def _before(existing: Page | None) -> dict[str, Any]:
    if existing is None:
        return {}
    return {name: getattr(existing, name) for name in ("name", "screen_name", "url", "go_live_at")}


def _cell_of(parsed: ParsedPage, name: str) -> Cell:
    return parsed.cells.get(name, parsed.main_cell)


def _link(text: str) -> str | None:
    """Return the address as a link; None for text that is not a link, such as `@name` or `club1`."""
    if "://" in text:
        return text
    return f"https://{text}" if "/" in text and "." in text.split("/", maxsplit=1)[0] else None
