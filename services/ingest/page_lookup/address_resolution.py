"""Find the community of an address in its network, within a time limit."""

import asyncio

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.lookup_port import CommunityNotFound
from services.ingest.page_lookup.lookup_clients import PageLookupClients
from services.ingest.schemas.page_lookup import AddressResolution, AddressResolutionRequest, ResolvedCommunity
from shared.logs import get_logger
from shared.networks import NETWORKS

log = get_logger(__name__)

# Less than the timeout of the calling service.
TIME_LIMIT_SECONDS = 8.0


async def resolve_address(clients: PageLookupClients, body: AddressResolutionRequest) -> AddressResolution:
    """Return the community of an address.

    The outcome is `no_community` with a reason if there is no such community, `unavailable` on failure.
    """
    title = NETWORKS[body.network].title
    directory = clients.lookups.get(body.network)
    if directory is None:
        return AddressResolution(outcome="unavailable", reason=f"{title} does not support address lookup")
    try:
        async with asyncio.timeout(TIME_LIMIT_SECONDS):
            found = await directory.resolve(body.external_id, body.screen_name)
    except CommunityNotFound as answer:
        return AddressResolution(outcome="no_community", reason=answer.reason)
    except NoUsableToken:
        return AddressResolution(
            outcome="unavailable", reason=f"{title} cannot be queried now: there is no usable token"
        )
    except (CallError, NoValidResponse, TimeoutError) as error:
        log.warning("address resolution failed", network=body.network, error=str(error)[:300])
        return AddressResolution(
            outcome="unavailable", reason=f"{title} did not return a valid response: try again"
        )
    return AddressResolution(outcome="found", community=ResolvedCommunity.model_validate(found))
