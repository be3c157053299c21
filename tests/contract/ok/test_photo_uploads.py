"""Independent OK clients upload a photo and attach it to a group's comment, by the rules of the network."""

import json
from typing import Any

import aiohttp
import pytest

from tests.contract.ok.ok_emulator import OkProcess
from tests.contract.ok.test_clients import AsyncClient, SyncClient, client
from tests.support.sample_images import jpeg

__all__ = ["client"]

PHOTO = jpeg()


async def send(network: OkProcess, url: str, file: bytes, field: str = "pic1") -> Any:
    """Send a file to an upload server; return the response."""
    form = aiohttp.FormData()
    form.add_field(field, file, filename="photo.jpg")
    async with network.http.post(url, data=form) as response:
        return await response.json()


@pytest.mark.parametrize("in_album", [False, True], ids=["of_the_user", "in_an_album_of_the_group"])
async def test_uploaded_photo_is_shown_with_a_comment(
    network: OkProcess, client: SyncClient | AsyncClient, in_album: bool
) -> None:
    asked = await network.citizen("Когда засыплют яму?")
    album = {"gid": network.page, "aid": "53000000000001"} if in_album else {}
    server = await client.call("photosV2.getUploadUrl", count="1", **album)
    (photo_id,) = server["photo_ids"]
    sent = await send(network, server["upload_url"], PHOTO)
    token = sent["photos"][photo_id]["token"]
    committed = await client.call("photosV2.commit", photo_id=photo_id, token=token)
    (photo,) = committed["photos"]
    assert photo["status"] == "SUCCESS"
    comment = await client.call(
        "discussions.addDiscussionComment",
        entityId=asked["thread"],
        entityType="GROUP_TOPIC",
        comment="Засыпали",
        as_admin="true",
        attachments=json.dumps([{"type": "PHOTO", "id": photo["assigned_photo_id"]}]),
    )
    shown = await client.call(
        "discussions.getComment", discussionId=asked["thread"], discussionType="GROUP_TOPIC", comment_id=comment
    )
    (attachment,) = shown["comment"]["attachments"]
    assert (attachment["type"], attachment["id"]) == ("PHOTO", photo["assigned_photo_id"])
    async with network.http.get(attachment["payload"]["url"]) as response:
        assert await response.read() == PHOTO


async def test_photo_that_was_not_committed_cannot_be_attached(network: OkProcess) -> None:
    asked = await network.citizen("Когда засыплют яму?")
    made = AsyncClient(network, application_secret_key=network.user["application_secret_key"])
    try:
        server = await made.call("photosV2.getUploadUrl", gid=network.page)
        await send(network, server["upload_url"], PHOTO)
        refused = await made.call("photosV2.commit", photo_id=server["photo_ids"][0], token="wrong")
        assert refused["error_code"] == 100
        refused = await made.call(
            "discussions.addDiscussionComment",
            entityId=asked["thread"],
            entityType="GROUP_TOPIC",
            comment="Засыпали",
            attachments=json.dumps([{"type": "PHOTO", "id": "910000009999"}]),
        )
        assert refused["error_code"] == 100
        token = (await send(network, server["upload_url"], PHOTO))["photos"][server["photo_ids"][0]]["token"]
        refused = await made.call("photosV2.commit", photo_id=server["photo_ids"][0], token=token)
        assert refused["error_code"] == 100, "a group's photo without an album belongs to a future topic"
        again = await made.call("photosV2.getUploadUrl", gid=network.page)
        assert (await send(network, again["upload_url"], b"<html>"))["error_code"] == 100
        assert (await send(network, f"{network.url}/upload/unknown", PHOTO))["error_code"] == 100
        assert (await made.call("photosV2.getUploadUrl", gid="1"))["error_code"] == 160
    finally:
        await made.api.session.client.aclose()
