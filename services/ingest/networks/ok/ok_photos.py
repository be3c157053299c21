"""Upload photos to OK: request an upload URL, send the file, commit it.

Comments refer to a committed photo by its id. Messages accept only the URL of a public picture, so photos are not
sent in them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from services.ingest.networks.calls import NoValidResponse
from services.ingest.networks.file_upload import METHOD, upload_file
from services.ingest.networks.ok.ok_client import OkClient
from services.ingest.networks.ok.ok_errors import NETWORK
from services.ingest.networks.port import Photo, PhotoTarget, PublishRejected

PHOTO_REFUSED = "Одноклассники не приняли фото: загрузите другое и отправьте новый ответ."
NO_PHOTOS = "Сообщения Одноклассников не принимают фото: отправьте ответ без него."


class OkPhotoUploader:
    """Uploads photos. Raises the errors of `OkClient.call`; the caller maps them to outcomes."""

    def __init__(
        self,
        client: OkClient,
        http: aiohttp.ClientSession,
        timeout_seconds: float,
        albums: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._http = http
        self._timeout_seconds = timeout_seconds
        self._albums = albums or {}

    async def upload(self, target: PhotoTarget, photo: Photo) -> str:
        """Upload a photo for a comment to the group's configured album, otherwise to the user's; return its id."""
        if target.kind == "message":
            raise PublishRejected("ok:no_photos", NO_PHOTOS, permanent=True, was_sent=False)
        credential = self._client.user_session("photosV2.getUploadUrl")
        group = target.page.external_id
        # With a group but no album, the upload would be for a future topic, whose photos are not committed.
        album = self._albums.get(group)
        server = await self._client.call(
            credential, "photosV2.getUploadUrl", gid=None if album is None else group, aid=album, count=1
        )
        url = server.get("upload_url") if isinstance(server, dict) else None
        sent = await upload_file(self._http, NETWORK, url, "pic1", photo, timeout_seconds=self._timeout_seconds)
        photo_id, token = _uploaded(sent)
        committed = await self._client.call(credential, "photosV2.commit", photo_id=photo_id, token=token)
        return _assigned_id(committed)


def attachments_parameter(media: Sequence[str]) -> str | None:
    """Return the parameter `attachments` of a comment with these photos."""
    return json.dumps([{"type": "PHOTO", "id": photo_id} for photo_id in media]) if media else None


def _uploaded(sent: dict[str, Any]) -> tuple[str, str]:
    """Return the temporary id of the uploaded photo, and the token that commits it."""
    if "error_code" in sent:
        raise PublishRejected("ok:photo_refused", PHOTO_REFUSED, permanent=True, was_sent=False)
    photos = sent.get("photos")
    for photo_id, photo in photos.items() if isinstance(photos, dict) else ():
        if isinstance(photo, dict) and isinstance(photo.get("token"), str):
            return photo_id, photo["token"]
    raise NoValidResponse(NETWORK, METHOD, "no photo in the response")


def _assigned_id(committed: Any) -> str:
    photos = committed.get("photos") if isinstance(committed, dict) else None
    first = photos[0] if isinstance(photos, list) and photos and isinstance(photos[0], dict) else {}
    if first.get("status", "SUCCESS") != "SUCCESS":
        raise PublishRejected("ok:photo_refused", PHOTO_REFUSED, permanent=True, was_sent=False)
    if not first.get("assigned_photo_id"):
        raise NoValidResponse(NETWORK, "photosV2.commit", "no photo in the response")
    return str(first["assigned_photo_id"])
