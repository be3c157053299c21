"""Upload photos to VK: request an upload URL, send the file, save it.

VK accepts only user tokens for photos of comments, and the community's token for photos of messages. Any token may
attach a saved photo whose access key is given.
"""

from typing import Any

import aiohttp

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.file_upload import upload_file
from services.ingest.networks.port import Photo, PhotoTarget, PublishRejected, TokenKind
from services.ingest.networks.vk.reading.wall_reader import id_suffix
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.networks.vk.vk_errors import NETWORK

PHOTO_REFUSED = "ВКонтакте не приняла фото: загрузите другое и отправьте новый ответ."


class VkPhotoUploader:
    """Uploads photos. Raises the errors of `VkClient.call`; the caller maps them to outcomes."""

    def __init__(self, client: VkClient, http: aiohttp.ClientSession, timeout_seconds: float) -> None:
        self._client = client
        self._http = http
        self._timeout_seconds = timeout_seconds

    async def upload(self, target: PhotoTarget, photo: Photo) -> str:
        """Upload a photo for a thread; return its reference for the parameter `attachments`."""
        page = target.page
        group: dict[str, Any] = {}
        where: dict[str, Any] = {}
        if target.kind == "message":
            get_server, save = "photos.getMessagesUploadServer", "photos.saveMessagesPhoto"
            credential = self._client.select_token(get_server, TokenKind.GROUP, page_id=page.id)
            where["peer_id"] = id_suffix(target.thread_key)
        else:
            get_server, save = "photos.getWallUploadServer", "photos.saveWallPhoto"
            credential = self._client.select_token(get_server, TokenKind.USER)
            group["group_id"] = page.external_id
        server = await self._client.call(credential, get_server, **group, **where)
        url = server.get("upload_url") if isinstance(server, dict) else None
        sent = await upload_file(self._http, NETWORK, url, "photo", photo, timeout_seconds=self._timeout_seconds)
        uploaded = sent.get("photo")
        # The server returns an empty list if it refuses the file.
        if not isinstance(uploaded, str) or uploaded in {"", "[]"}:
            raise PublishRejected("vk:photo_refused", PHOTO_REFUSED, permanent=True, was_sent=False)
        saved = await self._client.call(
            credential, save, **group, photo=uploaded, server=sent.get("server"), hash=sent.get("hash")
        )
        return _attachment(save, saved)


def _attachment(method: str, saved: Any) -> str:
    found = saved[0] if isinstance(saved, list) and saved and isinstance(saved[0], dict) else {}
    owner, number, key = found.get("owner_id"), found.get("id"), found.get("access_key")
    if not isinstance(owner, int) or not isinstance(number, int):
        raise NoValidResponse(NETWORK, method, "no photo in the response")
    return f"photo{owner}_{number}" + (f"_{key}" if key else "")
