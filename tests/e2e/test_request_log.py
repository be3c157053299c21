"""A request has the same id in the logs of all processes that it passes."""

import json
from typing import Any

from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually


def lines(demo: RunningDemo, part: str, identity: str) -> list[dict[str, Any]]:
    # The last line may be incomplete.
    complete, _, _ = demo.system.log(part).rpartition("\n")
    return [json.loads(line) for line in complete.splitlines() if identity in line]


async def test_request_id_is_in_the_logs_of_gateway_and_services(demo: RunningDemo) -> None:
    identity = "e2e-request-log"
    page = demo.page("vk")
    answer = await demo.centre.ask(
        "POST",
        "/pages/resolve",
        json={"address": f"vk.com/club{page['external_id']}"},
        headers={"X-Request-Id": identity},
    )
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, identity)

    async def everywhere() -> bool:
        return all(lines(demo, part, identity) for part in ("registry", "ingest", "traefik"))

    await eventually(everywhere, "the id in the log of the gateway and of both services")
    for part, route in (("registry", "/pages/resolve"), ("ingest", "/internal/pages/resolve")):
        (access,) = [line for line in lines(demo, part, identity) if line["event"] == "request"]
        found = (access["service"], access["method"], access["route"], access["status"], access["request_id"])
        assert found == (part, "POST", route, 200, identity)
    (seen,) = lines(demo, "traefik", identity)
    assert seen["downstream_X-Request-Id"] == identity
