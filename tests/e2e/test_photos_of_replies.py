"""Photos of replies through the gateway: from the upload to the comment in the network; refused uploads."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import pytest

from shared.contracts.values import MAX_ATTACHMENT_BYTES
from tests.e2e.actors import Person
from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually
from tests.support.sample_images import SECRETS, photo_with_position

MEGABYTE = 1024 * 1024
BLOCK = b"\0" * MEGABYTE
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


async def upload(person: Person, content: bytes) -> httpx.Response:
    return await person.ask("POST", "/attachments", files={"file": ("двор.jpg", content, "image/jpeg")})


def address(attachment: dict[str, Any]) -> str:
    """Return the URL at which the network shows an attached photo."""
    photo = attachment.get("photo")
    return str(photo["sizes"][0]["url"] if photo else attachment["payload"]["url"])


@pytest.mark.parametrize("network_name", ["vk", "ok"])
async def test_photo_is_published_with_the_comment_and_without_its_position(
    demo: RunningDemo, network_name: str
) -> None:
    network, page = demo.network(network_name), demo.page(network_name)
    question = f"Когда засыплют яму во дворе? {uuid4().hex[:8]}"
    wrote = await network.citizen(page["external_id"], "comment", question)
    appeal = await demo.centre.appeal_about(question)
    made = await upload(demo.org, photo_with_position())
    assert made.status_code == 201, made.text
    photo = made.json()
    answer = f"Здравствуйте! Яму засыпали, вот фото. {uuid4().hex[:8]}"
    given = {"text": answer, "kind": "final", "attachments": [photo["id"]]}
    reply = await demo.org.post(f"/appeals/{appeal['id']}/replies", given)

    async def published() -> bool:
        (shown,) = (await demo.org.appeal(appeal["id"]))["replies"]
        assert shown["status"] != "failed", shown["failure"]
        return bool(shown["id"] == reply["id"] and shown["status"] == "published")

    await eventually(published, "the reply is published")
    (comment,) = await network.answers(page["external_id"], answer)
    assert str(comment["in_reply_to"]) == str(wrote["id"])
    (attachment,) = comment["attachments"]
    shown = await network.http.get(address(attachment))
    stored = await demo.org.ask("GET", f"/attachments/{photo['id']}")
    assert stored.headers["x-content-type-options"] == "nosniff"
    assert shown.content == stored.content
    assert len(shown.content) == photo["size"]
    assert not [secret for secret in SECRETS if secret in shown.content]


async def test_upload_over_the_limits_is_refused_by_the_service_or_the_gateway(demo: RunningDemo) -> None:
    limit = f"an attachment has at most {MAX_ATTACHMENT_BYTES} bytes"
    # Below the gateway's limit the service refuses, above it the gateway, with or without Content-Length.
    over_service = await upload(demo.org, b"\0" * (MAX_ATTACHMENT_BYTES + MEGABYTE))
    assert (over_service.status_code, over_service.json()["type"]) == (413, "/problems/payload-too-large")
    assert limit in over_service.json()["detail"]

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for _ in range(200):
            yield BLOCK
        yield TAIL

    headers = {"Authorization": f"Bearer {demo.org.token}", "Content-Type": "multipart/form-data; boundary=b"}
    length = len(HEAD) + 200 * MEGABYTE + len(TAIL)
    # A client that reads the response while it still sends: the gateway closes without reading the rest.
    async with aiohttp.ClientSession(demo.system.gateway) as client:
        for declared in ({}, {"Content-Length": str(length)}):
            async with client.post("/api/v1/attachments", data=body(), headers=headers | declared) as answer:
                assert answer.status == 413
                assert limit in (await answer.json(content_type=None))["detail"]
    folder = demo.system.data_dir / "attachments"
    assert not [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > MEGABYTE]
