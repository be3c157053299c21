"""Plan pages: compare those of the file with the registry, and collect errors."""

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

_FIELDS = ("name", "screen_name", "url", "live_from", "active")
# Required fields of a page: an empty cell leaves them as they are.
_NEVER_EMPTIED = frozenset({"name", "url", "live_from", "active"})


class PagePlanner:
    """Plans the pages of one file; each page belongs to one organisation."""

    def __init__(self, known: RegistrySnapshot, short_names: IdByShortName, faults: CellErrors) -> None:
        self._known = known
        self._short_names = short_names
        self._faults = faults
        self._plans: dict[tuple[str, str], tuple[UUID, PagePlan]] = {}

    def plan(self, body: OrganisationPlan) -> None:
        """Plan the pages of an organisation."""
        for draft in body.parsed.pages:
            address = self._address(draft)
            external_id = self._external_id(draft, address)
            if external_id is None:
                continue
            key = draft.network, external_id
            if key in self._plans:
                self._merge_repeated(draft, body, *self._plans[key])
            elif (plan := self._plan(draft, body, external_id, address)) is not None:
                self._plans[key] = body.id, plan

    @property
    def plans(self) -> list[PagePlan]:
        """Return the plans in file order."""
        return [plan for _, plan in self._plans.values()]

    def _merge_repeated(self, draft: ParsedPage, body: OrganisationPlan, owner: UUID, plan: PagePlan) -> None:
        if owner == body.id:
            plan.parsed.merge(draft, self._faults)
        else:
            reason = f"row {plan.parsed.main_cell.row} assigns this page to another organisation"
            self._faults.add(draft.main_cell.error(reason))

    def _address(self, draft: ParsedPage) -> PageAddress | None:
        text = draft.get("url")
        if text is None:
            return None
        try:
            parsed = parse_address(text, draft.network)
        except InvalidPageAddress as error:
            self._faults.add(draft.cells["url"].error(error.reason))
            return None
        given_id = draft.get("external_id")
        if given_id is not None and parsed.external_id not in {None, given_id}:
            reason = f"is the page {parsed.external_id}, and {draft.cells['external_id'].name} says {given_id}"
            self._faults.add(draft.cells["url"].error(reason))
        return parsed

    def _external_id(self, draft: ParsedPage, address: PageAddress | None) -> str | None:
        """Return the network's id of the page; None when an error was added."""
        if draft.is_invalid("external_id"):
            return None
        if (given_id := draft.get("external_id")) is not None:
            return str(given_id)
        if address is not None and address.external_id is not None:
            return address.external_id
        short_name = short_name_of(draft)
        if short_name is None:
            if not draft.get("url"):
                self._faults.add(draft.main_cell.error("names no page: its id or its address is needed"))
            return None
        resolved_id = self._short_names.get((draft.network, short_name))
        if resolved_id is None and not self._faults.has_error(draft.main_cell.row, draft.main_cell.column_index):
            reason = "is an unknown short name: give the page's id, or import with resolving of short names"
            self._faults.add(draft.main_cell.error(reason))
        return resolved_id

    def _plan(
        self, draft: ParsedPage, body: OrganisationPlan, external_id: str, address: PageAddress | None
    ) -> PagePlan | None:
        existing = self._known.pages.get((draft.network, external_id))
        if existing is not None and existing.organisation_id != body.id:
            owner = self._known.organisations[existing.organisation_id].name
            reason = f"The page {external_id} of {draft.network} belongs to «{owner}»: move it first"
            self._faults.add(draft.main_cell.error(reason))
            return None
        wanted = self._wanted(draft, address)
        active = wanted.pop("active", None)
        before = _before(existing)
        if existing is None:
            wanted.setdefault("name", body.values.get("short_name") or body.name or draft.main_cell.text)
        merged = {
            **before,
            **wanted,
            "network": draft.network,
            "external_id": external_id,
            "organisation_id": body.id,
        }
        valid = validate_row(PageCreate, merged, draft, lambda name: _place(draft, name), self._faults)
        if valid is None:
            return None
        after = {name: getattr(valid, name) for name in ("name", "screen_name", "url", "live_from")}
        if active is not None:
            after["active"] = active
        plan = PagePlan(draft, existing, {})
        if existing is None:
            plan.values = after | {
                "network": draft.network,
                "external_id": external_id,
                "organisation_id": body.id,
            }
            return plan
        before["active"] = existing.active
        for name, value in after.items():
            if before[name] != value:
                plan.values[name] = value
                shown = [cell_values.format_cell(one) for one in (before[name], value)]
                plan.differences.append(FieldDifference(f"{draft.network}_{name}", _place(draft, name), *shown))
        return plan

    @staticmethod
    def _wanted(draft: ParsedPage, address: PageAddress | None) -> dict[str, Any]:
        wanted = {
            name: draft.values[name]
            for name in _FIELDS
            if name in draft.values and (draft.values[name] is not None or name not in _NEVER_EMPTIED)
        }
        if "url" in wanted:
            wanted["url"] = _link(wanted["url"])
            if wanted["url"] is None:
                del wanted["url"]
        if "screen_name" not in draft.cells and address is not None and address.screen_name is not None:
            wanted["screen_name"] = address.screen_name
        return wanted


def _before(existing: Page | None) -> dict[str, Any]:
    if existing is None:
        return {}
    return {name: getattr(existing, name) for name in ("name", "screen_name", "url", "live_from")}


def _place(draft: ParsedPage, name: str) -> Cell:
    return draft.cells.get(name, draft.main_cell)


def _link(text: str) -> str | None:
    """Return the address as a link; None for text that is not a link, such as `@name` or `club1`."""
    if "://" in text:
        return text
    return f"https://{text}" if "/" in text and "." in text.split("/", maxsplit=1)[0] else None
