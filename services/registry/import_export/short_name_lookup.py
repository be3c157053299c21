"""Look up the ids of pages that a file gives only by short name: ingest asks the networks."""

import asyncio
from collections.abc import Iterator, Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.import_export.cell_errors import CellErrors
from services.registry.import_export.parsed_rows import ParsedOrganisation, ParsedPage
from services.registry.pages import address_resolution
from services.registry.pages.page_addresses import InvalidPageAddress, parse_address
from shared.http.problems import Invalid, Unavailable
from shared.service_client import ServiceClient
from shared.tables.registry import Page

MAX_LOOKUPS = 50

# (network, short name in lower case) → the network's id of the community.
IdByShortName = Mapping[tuple[str, str], str]
UnresolvedPages = dict[tuple[str, str], ParsedPage]


def short_name_of(parsed: ParsedPage) -> str | None:
    """Return the short name of a page, in lower case; None when the page has an id or no valid address."""
    if parsed.get("external_id") is not None or parsed.is_invalid("external_id"):
        return None
    name: str | None = parsed.get("screen_name")
    if (url := parsed.get("url")) is not None:
        try:
            address = parse_address(url, parsed.network)
        except InvalidPageAddress:
            return None
        if address.external_id is not None:
            return None
        name = address.screen_name or name
    return name.lower() if name else None


async def find_unresolved(session: AsyncSession, organisations: list[ParsedOrganisation]) -> UnresolvedPages:
    """Return the pages of a file, by network and short name, whose short name no registered page has."""
    unresolved: UnresolvedPages = {}
    for page in _pages(organisations):
        if (name := short_name_of(page)) is not None:
            unresolved.setdefault((page.network, name), page)
    rows = await session.execute(
        select(Page.network, func.lower(Page.screen_name)).where(Page.screen_name.is_not(None))
    )
    for network, name in rows:
        unresolved.pop((network, name), None)
    return unresolved


async def resolve_short_names(
    services: ServiceClient, unresolved: UnresolvedPages, faults: CellErrors, *, act: str, until: float
) -> IdByShortName:
    """Return the ids that the networks have for these short names; an unknown name adds an error to its cell.

    Raises `Invalid` for more names than one request may look up, `Unavailable` if not all are resolved by the
    moment `until` of the event loop's clock, and `Unavailable` and `UpstreamFailed` like `resolve_address`.
    """
    if len(unresolved) > MAX_LOOKUPS:
        raise Invalid.field(
            "/", f"{len(unresolved)} pages are given only by a short name; at most {MAX_LOOKUPS} can be looked up"
        )
    resolved: dict[tuple[str, str], str] = {}
    try:
        async with asyncio.timeout_at(until):
            # Sequentially: the networks allow only a few calls per second.
            for (network, name), page in unresolved.items():
                try:
                    resolved[network, name] = (
                        await address_resolution.resolve_address(services, name, network, act=act)
                    ).external_id
                except Invalid as error:
                    faults.add(page.main_cell.error(error.detail))
    except TimeoutError:
        raise Unavailable(
            f"Only {len(resolved)} of {len(unresolved)} short names were found in time, and nothing was imported: "
            "give the ids of pages, or fewer short names in one file"
        ) from None
    return resolved


def _pages(organisations: list[ParsedOrganisation]) -> Iterator[ParsedPage]:
    for draft in organisations:
        yield from draft.pages
