"""The event stream through the gateway: a citizen's message reaches the open pages of the organisation."""

import aiohttp

from tests.e2e.conftest import RunningDemo
from tests.support.event_stream_client import open_stream


async def test_new_appeal_reaches_the_open_page_of_its_organisation(demo: RunningDemo) -> None:
    ticket = (await demo.org.post("/stream/tickets", {}))["ticket"]
    signed_in = {"Authorization": f"Bearer {demo.centre.token}"}
    async with (
        aiohttp.ClientSession() as http,
        open_stream(http, demo.system.gateway, ticket=ticket, type="appeal.opened") as own,
        open_stream(http, demo.system.gateway, signed_in, type="appeal.opened") as everything,
    ):
        await demo.vk.citizen(
            demo.other_organisations_page("vk")["external_id"], "comment", "Не горит фонарь на улице Звёздной"
        )
        [foreign] = await everything.events(1)
        await demo.vk.citizen(demo.page("vk")["external_id"], "comment", "Не горит фонарь на улице Лунной")
        [event] = await own.events(1)
        assert [message.id for message in await everything.events(1)] == [event.id]
    assert foreign.data["organisation_id"] != demo.organisation_id
    assert (event.data["organisation_id"], event.data["type"]) == (demo.organisation_id, "appeal.opened")
    appeal = await demo.org.appeal(event.data["subject_id"])
    assert appeal["number"] == event.data["data"]["number"]
    # A ticket is a secret, even after its use.
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{demo.system.gateway}/api/v1/stream", params={"ticket": ticket}) as response,
    ):
        refused = await response.text()
        assert (response.status, ticket in refused) == (401, False)
    for part in ("traefik", "webhooks", "gateway-service"):
        assert ticket not in demo.system.log(part)
    assert '"route": "/stream"' in demo.system.log("webhooks").replace("/api/v1", "")
