"""Photos of clients: a client requests an upload URL, sends the file, commits the photo, then attaches it."""

import secrets
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore
from emulators.common.uploads import UploadedFile
from emulators.ok.errors import OkError
from emulators.ok.ids import rfc3339
from emulators.ok.settings import OkSettings

FIRST_PHOTO = 910_000_000_001
EXPIRES_MS = 3_600_000


class PhotoStore:
    """Uploaded and committed photos."""

    def __init__(self, store: EmulatorStore, settings: OkSettings, clock: EmulatorClock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def create_upload(self, uid: str, page: str | None, album: str | None, count: int) -> dict[str, Any]:
        """Return the URL for an upload of `count` photos, and their temporary ids."""
        key = secrets.token_urlsafe(24)
        photo_ids = [secrets.token_urlsafe(24) for _ in range(count)]
        with self._store.transaction():
            if album is not None:
                self._store.execute("INSERT INTO photo_upload_albums (key, aid) VALUES (?, ?)", (key, album))
            for number, photo_id in enumerate(photo_ids):
                self._store.execute(
                    "INSERT INTO photo_uploads (photo_id, key, number, uid, page) VALUES (?, ?, ?, ?, ?)",
                    (photo_id, key, number, uid, page),
                )
        expires = self._clock.now_ms() + EXPIRES_MS
        return {
            "photo_ids": photo_ids,
            "upload_url": f"{self._settings.base_url}/upload/{key}",
            "expires": rfc3339(expires),
            "expires_ms": expires,
        }

    def receive(self, key: str, files: list[UploadedFile]) -> dict[str, Any]:
        """Store uploaded files and return a token for each.

        Error 100 for a wrong upload URL, or for a file that is not a photo.
        """
        rows = self._store.all("SELECT photo_id FROM photo_uploads WHERE key = ? ORDER BY number", (key,))
        if not rows or not files or len(files) > len(rows) or not all(file.is_photo for file in files):
            raise OkError(100, "Invalid photo")
        photos = {}
        with self._store.transaction():
            for row, file in zip(rows, files, strict=False):
                token = secrets.token_urlsafe(32)
                self._store.execute(
                    "UPDATE photo_uploads SET token = ?, content = ? WHERE photo_id = ?",
                    (token, file.content, row["photo_id"]),
                )
                photos[row["photo_id"]] = {"token": token}
        return {"photos": photos}

    def commit(self, uid: str, photo_id: str, token: str) -> dict[str, Any]:
        """Commit an uploaded photo; error 100 unless the user uploaded it and gives its token.

        A photo that was uploaded for a group without an album is meant for a topic and cannot be committed.
        """
        row = self._store.one("SELECT * FROM photo_uploads WHERE photo_id = ? AND uid = ?", (photo_id, uid))
        if row is None or row["token"] is None or row["token"] != token:
            raise OkError(100, "Invalid parameter token", "token")
        album = self._store.value("SELECT aid FROM photo_upload_albums WHERE key = ?", (row["key"],))
        if row["page"] is not None and album is None and self._settings.photo_group_needs_album:
            raise OkError(100, "Missing required parameter aid", "aid")
        with self._store.transaction():
            number = (self._store.value("SELECT max(id) FROM photos") or FIRST_PHOTO - 1) + 1
            self._store.execute(
                "INSERT INTO photos (id, uid, page, content) VALUES (?, ?, ?, ?)",
                (number, row["uid"], row["page"], row["content"]),
            )
            self._store.execute("DELETE FROM photo_uploads WHERE photo_id = ?", (photo_id,))
        return {"photos": [{"photo_id": photo_id, "status": "SUCCESS", "assigned_photo_id": str(number)}]}

    def content(self, photo_id: str) -> bytes | None:
        """Return the file of a committed photo."""
        content: bytes | None = self._store.value("SELECT content FROM photos WHERE id = ?", (photo_id,))
        return content

    def attach(self, given: list[Any]) -> list[Any]:
        """Return attachments with the URLs of committed photos; error 100 for an unknown photo."""
        return [
            self._photo(item) if isinstance(item, dict) and item.get("type") == "PHOTO" else item for item in given
        ]

    def _photo(self, item: dict[str, Any]) -> dict[str, Any]:
        photo_id = str(item.get("id", ""))
        if self.content(photo_id) is None:
            raise OkError(100, "Invalid parameter attachments", "attachments")
        url = f"{self._settings.base_url}/photos/{photo_id}"
        return {"type": "PHOTO", "id": photo_id, "payload": {"url": url}}
