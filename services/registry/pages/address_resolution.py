"""Resolve an address to a community.

The address is parsed here and looked up in its network by ingest, which holds the tokens.
"""

from dataclasses import dataclass

from services.registry.pages.page_addresses import InvalidPageAddress, PageAddress, parse_address
from services.registry.schemas.pages import PageCreate
from shared.http.problems import FieldError, Invalid, Unavailable, UpstreamFailed
from shared.ids import new_id
from shared.networks import NETWORKS
from shared.service_client import ServiceClient, ServiceRejected, ServiceUnavailable

RESOLVE_PATH = "/internal/pages/resolve"


@dataclass(frozen=True, kw_only=True)
class Community:
    """A community as its network reports it."""

    network: str
    external_id: str
    name: str
    screen_name: str | None

    @property
    def url(self) -> str:
        """Return the community's URL by id, which does not change when the community is renamed."""
        return NETWORKS[self.network].page_url.format(id=self.external_id)


async def resolve_address(services: ServiceClient, text: str, network: str | None, *, act: str) -> Community:
    """Return the community whose address the text contains.

    Raises `Invalid` at `/address` with the reason when there is none, `Unavailable` when ingest or the network
    does not respond, `UpstreamFailed` when ingest rejects the request.
    """
    address = parse_address_field(text, network, pointer="/address")
    body = {
        "network": address.network,
        "external_id": address.external_id,
        "screen_name": address.screen_name,
    }
    try:
        answer = await services.post(
            "ingest", RESOLVE_PATH, body, on_behalf_of=act, idempotency_key=str(new_id()), attempts=2
        )
    except ServiceUnavailable as error:
        raise Unavailable("The ingest service does not respond: try again") from error
    except ServiceRejected as error:
        raise UpstreamFailed("The ingest service rejected the address") from error
    match answer["outcome"]:
        case "found":
            community = answer["community"]
            return Community(
                network=address.network,
                external_id=community["external_id"],
                name=community["name"],
                screen_name=community["screen_name"],
            )
        case "no_community":
            raise Invalid.field("/address", answer["reason"])
        case _:
            raise Unavailable(answer["reason"])


async def resolve_new_page(services: ServiceClient, new: PageCreate, *, act: str) -> Community | None:
    """Return the community of a new page given by address; None for a page given by id.

    Raises `Invalid` if both an address and an id are given, and like `resolve_address`.
    """
    if new.address is None:
        return None
    if new.external_id is not None:
        detail = "Give the address or the id, not both"
        raise Invalid(detail, errors=[FieldError(pointer="/external_id", detail=detail)])
    return await resolve_address(services, new.address, new.network, act=act)


def parse_address_field(text: str, network: str | None, *, pointer: str) -> PageAddress:
    """Return the address that the text contains, without asking a network.

    Raises `Invalid` at the pointer with the reason.
    """
    try:
        return parse_address(text, network)
    except InvalidPageAddress as error:
        raise Invalid.field(pointer, error.reason) from error
