"""Which community an address names: one question of one network, answered at once or not at all."""

import asyncio

from services.ingest.networks.calls import CallError, CallLost, NoToken
from services.ingest.networks.lookup_port import NoCommunity
from services.ingest.page_lookup.lookup_clients import Desk
from services.ingest.schemas.page_lookup import AddressToResolve, Resolution, ResolvedCommunity
from shared.logs import logger
from shared.networks import NETWORKS

log = logger(__name__)

# Less than a calling service waits for its answer.
SECONDS = 8.0


async def resolve(desk: Desk, wanted: AddressToResolve) -> Resolution:
    """What the address stands for; `none` says why it names no community, `unavailable` why nobody could ask."""
    title = NETWORKS[wanted.network].title
    directory = desk.directories.get(wanted.network)
    if directory is None:
        return Resolution(outcome="unavailable", reason=f"{title} cannot be asked for addresses")
    try:
        async with asyncio.timeout(SECONDS):
            found = await directory.resolve(wanted.external_id, wanted.screen_name)
    except NoCommunity as answer:
        return Resolution(outcome="none", reason=answer.reason)
    except NoToken:
        return Resolution(outcome="unavailable", reason=f"{title} cannot be asked now: there is no usable token")
    except (CallError, CallLost, TimeoutError) as error:
        log.warning("an address was not resolved", network=wanted.network, error=str(error)[:300])
        return Resolution(outcome="unavailable", reason=f"{title} does not answer as it should: try again")
    return Resolution(outcome="found", community=ResolvedCommunity.model_validate(found))
