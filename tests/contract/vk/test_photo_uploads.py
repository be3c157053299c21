"""Independent VK clients upload photos with their own uploaders and attach them, by the network's rules."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest
import vk_api

from tests.contract.vk.emulator_page import VERSION, VkPage
from tests.contract.vk.test_clients import BottleClient, Rewriting
from tests.contract.vk.test_schema import schema
from tests.support.lazy_module import LazyModule
from tests.support.sample_images import jpeg

__all__ = ["schema"]

PHOTO = jpeg()
vkbottle = LazyModule("vkbottle")


def upload_with_vk_api(page: VkPage, token: str, place: str) -> dict[str, Any]:
    """Upload a photo with `vk_api.VkUpload`; return the saved photo."""
    with Rewriting(page.emulator.url) as session:
        uploader = vk_api.VkUpload(vk_api.VkApi(token=token, api_version=VERSION, session=session))
        with uploader.http:
            if place == "wall":
                (photo,) = uploader.photo_wall(io.BytesIO(PHOTO), group_id=page.id)
            else:
                (photo,) = uploader.photo_messages(io.BytesIO(PHOTO), peer_id=0)
    found: dict[str, Any] = photo
    return found


async def content(page: VkPage, attachment: dict[str, Any]) -> bytes:
    """Return the file that the network shows for an attachment."""
    assert attachment["type"] == "photo"
    async with page.emulator.http.get(attachment["photo"]["sizes"][0]["url"]) as response:
        assert response.status == 200
        return await response.read()


async def test_photo_of_vk_api_is_shown_with_a_comment(page: VkPage) -> None:
    asked = await page.citizen("Когда засыплют яму?")
    photo = await asyncio.to_thread(upload_with_vk_api, page, page.user, "wall")
    assert photo["album_id"] == -14
    name = f"photo{photo['owner_id']}_{photo['id']}_{photo['access_key']}"
    where = {"owner_id": -page.id, "post_id": asked["thread"], "from_group": page.id, "message": "Засыпали"}
    made = await page.api("wall.createComment", page.user, **where, attachments=name)
    read = await page.api(
        "wall.getComment", page.user, owner_id=-page.id, comment_id=made["response"]["comment_id"]
    )
    (attachment,) = read["response"]["items"][0]["attachments"]
    assert await content(page, attachment) == PHOTO


async def test_photo_of_vk_api_is_shown_with_a_message(page: VkPage) -> None:
    asked = await page.citizen("Когда засыплют яму?", kind="message")
    photo = await asyncio.to_thread(upload_with_vk_api, page, page.group, "message")
    assert photo["owner_id"] == -page.id
    sent = await page.api(
        "messages.send", peer_id=asked["author"], random_id=0, message="Засыпали",
        attachment=f"photo{photo['owner_id']}_{photo['id']}_{photo['access_key']}",
    )  # fmt: skip
    read = await page.api("messages.getById", message_ids=sent["response"])
    (attachment,) = read["response"]["items"][0]["attachments"]
    assert await content(page, attachment) == PHOTO


@pytest.mark.parametrize("uploader", ["PhotoWallUploader", "PhotoMessageUploader"])
async def test_photo_uploaded_by_vkbottle_is_sent_with_a_message(page: VkPage, uploader: str) -> None:
    token = page.user if uploader == "PhotoWallUploader" else page.group
    async with BottleClient(page)._api(token) as api:
        name = await getattr(vkbottle, uploader)(api).upload(PHOTO)
    asked = await page.citizen("Когда засыплют яму?", kind="message")
    sent = await page.api("messages.send", peer_id=asked["author"], random_id=0, attachment=name)
    assert "response" in sent, sent


async def upload(page: VkPage, method: str, token: str, file: bytes) -> dict[str, Any]:
    """Upload a file; return what the upload server responds."""
    server = (await page.api(method, token))["response"]
    form = aiohttp.FormData()
    form.add_field("photo", file, filename="photo.jpg")
    async with page.emulator.http.post(server["upload_url"], data=form) as response:
        found: dict[str, Any] = await response.json()
        return found


async def test_community_token_can_upload_photos_for_messages_only(page: VkPage) -> None:
    for method in ("photos.getWallUploadServer", "photos.saveWallPhoto"):
        refused = await page.api(method, page.group, group_id=page.id)
        assert refused["error"]["error_code"] == 27
    assert "response" in await page.api("photos.getMessagesUploadServer", page.group, peer_id=0)


async def test_uploaded_file_that_is_not_a_photo_is_not_saved(page: VkPage) -> None:
    sent = await upload(page, "photos.getWallUploadServer", page.user, b"<html>")
    assert sent["photo"] == "[]"
    assert (await page.api("photos.saveWallPhoto", page.user, **sent))["error"]["error_code"] == 129


async def test_wrong_hash_and_wrong_server_are_refused(page: VkPage) -> None:
    sent = await upload(page, "photos.getWallUploadServer", page.user, PHOTO)
    wrong = await page.api("photos.saveWallPhoto", page.user, **(sent | {"hash": "0"}))
    assert wrong["error"]["error_code"] == 121
    wrong = await page.api("photos.saveWallPhoto", page.user, **(sent | {"server": 1}))
    assert wrong["error"]["error_code"] == 118
    assert (await page.api("photos.saveMessagesPhoto", page.user, **sent))["error"]["error_code"] == 129


async def test_photo_without_access_key_and_third_photo_of_a_comment_are_refused(page: VkPage) -> None:
    asked = await page.citizen("Когда засыплют яму?")
    photo = await asyncio.to_thread(upload_with_vk_api, page, page.user, "wall")
    name = f"photo{photo['owner_id']}_{photo['id']}"
    where = {"owner_id": -page.id, "post_id": asked["thread"], "message": "Засыпали"}
    for wrong in (name, f"{name}_0", f"photo{photo['owner_id']}_{photo['id'] + 1000}_{photo['access_key']}"):
        refused = await page.api("wall.createComment", page.group, **where, attachments=wrong)
        assert refused["error"]["error_code"] == 100, wrong
    assert "response" in await page.api("wall.createComment", page.user, **where, attachments=name)
    many = ",".join([name] * 3)
    refused = await page.api("wall.createComment", page.user, **where, attachments=many)
    assert refused["error"]["error_code"] == 100


async def test_comment_with_a_photo_matches_the_published_schema(schema: Any, page: VkPage) -> None:
    asked = await page.citizen("Когда засыплют яму?")
    photo = await asyncio.to_thread(upload_with_vk_api, page, page.user, "wall")
    where = {"owner_id": -page.id, "post_id": asked["thread"]}
    name = f"photo{photo['owner_id']}_{photo['id']}"
    await page.api("wall.createComment", page.user, **where, message="Засыпали", attachments=name)
    body = await page.api("wall.getComments", page.service, **where, count=100)
    shown = [item for item in body["response"]["items"] if item.get("attachments")]
    assert shown[-1]["attachments"][0]["photo"]["id"] == photo["id"]
    assert schema.check_method("wall.getComments", body) == []
