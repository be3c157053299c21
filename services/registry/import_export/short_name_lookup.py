"""Pages that a file gives by a short name alone: the networks are asked for their ids, when that is wanted."""

from collections.abc import Iterator, Mapping

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.import_export.cell_errors import Faults
from services.registry.import_export.parsed_rows import Draft, PageDraft
from services.registry.pages import address_resolution
from services.registry.pages.page_addresses import InvalidPageAddress, parse_address
from shared.http.problems import Invalid
from shared.service_client import ServiceClient
from shared.tables.registry import Page

MAX_ASKED = 50

# (network, short name in lower case) → the network's id of the community.
ShortNames = Mapping[tuple[str, str], str]
Waiting = dict[tuple[str, str], PageDraft]


def alone(draft: PageDraft) -> str | None:
    """The short name by which a page is given, in lower case; null when its id is given or nothing names it."""
    if draft.given("external_id") is not None or draft.broken("external_id"):
        return None
    name: str | None = draft.given("screen_name")
    if (url := draft.given("url")) is not None:
        try:
            address = parse_address(url, draft.network)
        except InvalidPageAddress:
            return None
        if address.external_id is not None:
            return None
        name = address.screen_name or name
    return name.lower() if name else None


async def unknown(session: AsyncSession, drafts: list[Draft]) -> Waiting:
    """The pages of a file whose short name no page of the registry has."""
    waiting: Waiting = {}
    for page in _pages(drafts):
        if (name := alone(page)) is not None:
            waiting.setdefault((page.network, name), page)
    rows = await session.execute(
        select(Page.network, func.lower(Page.screen_name)).where(Page.screen_name.is_not(None))
    )
    for network, name in rows:
        waiting.pop((network, name), None)
    return waiting


async def ask(services: ServiceClient, waiting: Waiting, faults: Faults, *, act: str) -> ShortNames:
    """Ask the networks; a name that stands for no community becomes a fault of its cell.

    Raises `Invalid` for more names than one request may ask for, `Unavailable` and `UpstreamFailed` as
    `resolving.resolve` does.
    """
    if len(waiting) > MAX_ASKED:
        raise Invalid.field(
            "/", f"{len(waiting)} pages are given by a short name alone; {MAX_ASKED} can be asked for"
        )
    found: dict[tuple[str, str], str] = {}
    # One after another: the networks take a few calls a second.
    for (network, name), page in waiting.items():
        try:
            found[network, name] = (
                await address_resolution.resolve_address(services, name, network, act=act)
            ).external_id
        except Invalid as error:
            faults.add(page.place.fault(error.detail))
    return found


def _pages(drafts: list[Draft]) -> Iterator[PageDraft]:
    for draft in drafts:
        yield from draft.pages
