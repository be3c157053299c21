"""Events of the VK Callback API: page and secret of an event, its item, and the confirmation of an address."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from services.ingest.networks.calls import CallError, NoUsableToken, NoValidResponse
from services.ingest.networks.port import IncomingItem, PageRef
from services.ingest.networks.push_port import InvalidPush, PushClaim, PushEndpoint, PushServices, PushSpec
from services.ingest.networks.retry import TRANSIENT_ERRORS
from services.ingest.networks.vk.push import vk_push
from services.ingest.networks.vk.push.callback_servers import fetch_confirmation_code
from services.ingest.networks.vk.reading.suggested_posts import suggested_thread_states
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK
from shared.logs import get_logger

log = get_logger(__name__)

CONFIRMATION = "confirmation"
CONFIRMATION_TIMEOUT = 3.0


def read_claim(event: dict[str, Any]) -> PushClaim:
    """Return the community and the secret that the event contains; the secret is removed from the event."""
    kind = event.get("type")
    if not isinstance(kind, str) or not kind:
        raise InvalidPush("/type", "must be a string with the type of the event")
    return PushClaim(_group(event), event.pop("secret", None), wants_confirmation=kind == CONFIRMATION)


def _group(event: Mapping[str, Any]) -> str:
    group = event.get("group_id")
    if isinstance(group, str) and group.isascii() and group.isdecimal():
        return group
    if not isinstance(group, int) or isinstance(group, bool) or group <= 0:
        raise InvalidPush("/group_id", "must be a positive number: the id of the community")
    return str(group)


def parse_callback_event(raw: Any, page: PageRef) -> IncomingItem | None:
    """Return the item of an event. Its event id is a digest if the network sent none, as in old API versions."""
    item = vk_push.parse_event(raw, page)
    if item is None or item.push_event_id:
        return item
    return replace(item, push_event_id=_digest_id(raw))


def _digest_id(event: Mapping[str, Any]) -> str:
    content = {"type": event.get("type"), "object": event.get("object")}
    return "digest:" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class VkConfirmation:
    """Answers confirmation requests with the network's current code, else with the stored code."""

    def __init__(self, services: PushServices) -> None:
        self._services = services
        self._answered: dict[UUID, str] = {}

    async def code(self, endpoint: PushEndpoint) -> str | None:
        """Return the code of the community; None if it cannot be fetched and none is stored."""
        asked = await self._fetch(endpoint.page)
        code = asked or endpoint.confirmation_code
        if code is None:
            return None
        page_id = endpoint.page.id
        if asked and endpoint.manual and endpoint.confirmation_code and endpoint.confirmation_code != asked:
            # A server created on the settings page needs the code shown there, which may differ from the API's
            # code, and the request does not say which is wanted: return them alternately.
            code = endpoint.confirmation_code if self._answered.get(page_id) == asked else asked
        elif asked and asked != endpoint.confirmation_code:
            await self._save(page_id, asked)
        self._answered[page_id] = code
        return code

    async def _fetch(self, page: PageRef) -> str | None:
        services = self._services
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await services.refresh_tokens()
                client = VkClient(services.http, services.token_pool, services.settings)
                return await fetch_confirmation_code(client, page)
        except (NoUsableToken, CallError, NoValidResponse, *TRANSIENT_ERRORS) as error:
            log.info("confirmation code request failed", page_id=str(page.id), error=repr(error)[:200])
            return None

    async def _save(self, page_id: UUID, code: str) -> None:
        registrations = self._services.registrations
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                kept = (await registrations.by_page(NETWORK, [page_id])).get(page_id)
                if kept is not None:
                    await registrations.save(NETWORK, replace(kept, confirmation_code=code))
        except TRANSIENT_ERRORS as error:
            log.warning("confirmation code not stored", error=repr(error)[:200])


PUSH = PushSpec(
    parse=parse_callback_event,
    # VK does not document how long it waits; reports name 8 to 10 seconds.
    answer_seconds=7.0,
    read_claim=read_claim,
    create_confirmation=VkConfirmation,
    thread_states=suggested_thread_states,
    threads_to_reread=vk_push.threads_to_reread,
    summary="An event of VK",
    description=(
        "Store one VK Callback API event, authenticated by `group_id` and `secret`. Repeated deliveries are"
        " ignored.\n\nA confirmation request without `secret` is answered only for some time after its server was"
        " saved; otherwise it gets 403."
    ),
    example={"type": "confirmation", "group_id": 101, "v": "5.199"},
)
