"""A page as people name it: an address in the network, a short name, or our id."""

from typing import Any
from uuid import UUID

from cli.api_client.client import Remote, RemoteError
from shared.networks import NETWORKS


async def find_page(remote: Remote, given: str) -> dict[str, Any]:
    """The registered page that is meant. Raises `RemoteError` when there is none, or more than one."""
    try:
        return await remote.get(f"/pages/{UUID(given)}")
    except ValueError:
        pass
    found = await _at_address(remote, given)
    if not found:
        raise RemoteError(f"No page «{given}» is registered: give its address in the network or our id")
    if len(found) > 1:
        raise RemoteError(f"«{given}» may be {', '.join(page['url'] for page in found)}: give the whole address")
    return found[0]


async def _at_address(remote: Remote, given: str) -> list[dict[str, Any]]:
    found, refusal = await _asked(remote, address=given)
    if refusal is None:
        return found
    # A bare name or id belongs to no network: it may be meant in any.
    answers = [await _asked(remote, address=given, network=network) for network in NETWORKS]
    if all(refused is not None for _, refused in answers):
        raise RemoteError(f"«{given}» names no page. {refusal}")
    return [page for pages, _ in answers for page in pages]


async def _asked(remote: Remote, **query: str) -> tuple[list[dict[str, Any]], str | None]:
    """The pages found, or why the address can name none."""
    status, answer = await remote.call("GET", "/pages", params=query, also=422)
    return ([], str(answer["detail"])) if status == 422 else (answer["items"], None)
