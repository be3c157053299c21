"""Which community an address names: read here, asked of the network by ingest, which holds the tokens."""

from dataclasses import dataclass

from services.registry.pages.page_addresses import InvalidPageAddress, PageAddress, parse_address
from services.registry.schemas.pages import PageCreate
from shared.http.problems import FieldError, Invalid, Unavailable, UpstreamFailed
from shared.ids import new_id
from shared.networks import NETWORKS
from shared.service_client import ServiceClient, ServiceRefused, ServiceUnavailable

RESOLVE_PATH = "/internal/pages/resolve"


@dataclass(frozen=True, kw_only=True)
class Community:
    """A community as the network has it."""

    network: str
    external_id: str
    name: str
    screen_name: str | None

    @property
    def url(self) -> str:
        """Its address by id, which no rename changes."""
        return NETWORKS[self.network].page_url.format(id=self.external_id)


async def resolve_address(services: ServiceClient, text: str, network: str | None, *, act: str) -> Community:
    """The community that the text names.

    Raises `Invalid` at `/address` with the reason when it names none, `Unavailable` when its network cannot be
    asked now, `UpstreamFailed` when ingest does not understand.
    """
    address = parse_address_field(text, network, pointer="/address")
    body = {
        "network": address.network,
        "external_id": address.external_id,
        "screen_name": address.screen_name,
    }
    try:
        answer = await services.post(
            "ingest", RESOLVE_PATH, body, act=act, idempotency_key=str(new_id()), attempts=2
        )
    except ServiceUnavailable as error:
        raise Unavailable("The service that speaks to the networks does not answer: try again") from error
    except ServiceRefused as error:
        raise UpstreamFailed("The service that speaks to the networks refused the address") from error
    match answer["outcome"]:
        case "found":
            community = answer["community"]
            return Community(
                network=address.network,
                external_id=community["external_id"],
                name=community["name"],
                screen_name=community["screen_name"],
            )
        case "none":
            raise Invalid.field("/address", answer["reason"])
        case _:
            raise Unavailable(answer["reason"])


async def resolve_new_page(services: ServiceClient, new: PageCreate, *, act: str) -> Community | None:
    """What the address of a new page names; None for a page that is given by its id. Raises as `resolve` does."""
    if new.address is None:
        return None
    if new.external_id is not None:
        detail = "Give the address or the id, not both"
        raise Invalid(detail, errors=[FieldError(pointer="/external_id", detail=detail)])
    return await resolve_address(services, new.address, new.network, act=act)


def parse_address_field(text: str, network: str | None, *, pointer: str) -> PageAddress:
    """The address that the text holds; asks nobody. Raises `Invalid` at the pointer with the reason."""
    try:
        return parse_address(text, network)
    except InvalidPageAddress as error:
        raise Invalid.field(pointer, error.reason) from error
