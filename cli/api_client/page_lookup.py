"""Find a registered page by its address in the network, its short name or its id in the registry."""

from typing import Any
from uuid import UUID

from cli.api_client.client import ApiClient, ApiError
from shared.networks import NETWORKS


async def find_page(client: ApiClient, text: str) -> dict[str, Any]:
    """Return the registered page. Raises `ApiError` if no page or more than one page matches."""
    try:
        return await client.get(f"/pages/{UUID(text)}")
    except ValueError:
        pass
    found = await _find_by_address(client, text)
    if not found:
        raise ApiError(f"No such page: «{text}». Give its address in the network or its id in the registry")
    if len(found) > 1:
        raise ApiError(f"«{text}» matches {', '.join(page['url'] for page in found)}: give the full address")
    return found[0]


async def _find_by_address(client: ApiClient, text: str) -> list[dict[str, Any]]:
    found, error = await _search_pages(client, address=text)
    if error is None:
        return found
    # A bare name or id may belong to any network: search all of them.
    results = [await _search_pages(client, address=text, network=network) for network in NETWORKS]
    if all(failure is not None for _, failure in results):
        raise ApiError(f"«{text}» is not the address of a page. {error}")
    return [page for pages, _ in results for page in pages]


async def _search_pages(client: ApiClient, **query: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the pages found and None, or an empty list and the reason why the address is refused."""
    status, answer = await client.call("GET", "/pages", params=query, accept_status=422)
    return ([], str(answer["detail"])) if status == 422 else (answer["items"], None)
