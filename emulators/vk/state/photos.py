"""Photos of clients: a client requests an upload URL, sends the file, saves the photo, then attaches it."""

import hashlib
import json
import secrets
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.common.uploads import UploadedFile
from emulators.vk.attachments import SHORT_FORM
from emulators.vk.errors import vk_error
from emulators.vk.settings import VkSettings

FIRST_PHOTO = 457_239_017
WALL_ALBUM, MESSAGES_ALBUM = -14, -64
SERVER = 857_412


class Photos:
    """Uploaded photos of the network."""

    def __init__(self, store: EmulatorStore, clock: EmulatorClock, settings: VkSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    def create_server(self, album: int, page: int | None, user: int) -> dict[str, Any]:
        """Return the URL for an upload; `page` is the community that the photo is for."""
        key = secrets.token_urlsafe(24)
        self._store.execute(
            "INSERT INTO photo_uploads (key, album, page, user_id) VALUES (?, ?, ?, ?)", (key, album, page, user)
        )
        return {
            "upload_url": f"{self._settings.base_url}/upload/{key}",
            "album_id": album,
            "user_id": user,
            **({} if page is None else {"group_id": page}),
        }

    def receive(self, key: str, files: list[UploadedFile]) -> dict[str, Any]:
        """Store an uploaded file and return the parameters for the method that saves it.

        As in the network, the list of photos is empty for a file that is not a photo.
        """
        row = self._store.one("SELECT * FROM photo_uploads WHERE key = ?", (key,))
        if row is None or not files or not files[0].is_photo:
            return {"server": SERVER, "photo": "[]", "hash": secrets.token_hex(16)}
        name = secrets.token_hex(8)
        photo = json.dumps([{"photo": f"{name}:w", "sizes": [], "kid": secrets.token_hex(16)}])
        digest = hashlib.sha256(photo.encode()).hexdigest()[:32]
        self._store.execute(
            "UPDATE photo_uploads SET photo = ?, hash = ?, content = ? WHERE key = ?",
            (photo, digest, files[0].content, key),
        )
        return {"server": SERVER, "photo": photo, "hash": digest}

    def save(self, album: int, photo: str, server: int, digest: str, owner: int) -> dict[str, Any]:
        """Save an uploaded photo; raises error 118 for a wrong server, 121 for a wrong hash, 129 for no photo."""
        if server != SERVER:
            raise vk_error(118)
        row = self._store.one("SELECT * FROM photo_uploads WHERE photo = ? AND album = ?", (photo, album))
        if row is None:
            raise vk_error(129)
        if row["hash"] != digest:
            raise vk_error(121)
        with self._store.transaction():
            number = (self._store.value("SELECT max(id) FROM photos") or FIRST_PHOTO - 1) + 1
            self._store.execute(
                "INSERT INTO photos (id, owner_id, album, access_key, at, content) VALUES (?, ?, ?, ?, ?, ?)",
                (number, owner, album, secrets.token_hex(9), self._clock.now(), row["content"]),
            )
            self._store.execute("DELETE FROM photo_uploads WHERE key = ?", (row["key"],))
        saved = self._store.one("SELECT * FROM photos WHERE id = ?", (number,))
        assert saved is not None
        return self.view(saved)

    def view(self, row: Row) -> dict[str, Any]:
        """Return the photo object of the API."""
        url = f"{self._settings.base_url}/media/photo{row['owner_id']}_{row['id']}"
        return {
            "id": row["id"],
            "owner_id": row["owner_id"],
            "album_id": row["album"],
            "date": int(row["at"]),
            "access_key": row["access_key"],
            "has_tags": False,
            "text": "",
            "sizes": [{"type": "x", "url": url, "width": 604, "height": 453}],
        }

    def content(self, owner: int, number: int) -> bytes | None:
        """Return the file of a saved photo."""
        row = self._store.one("SELECT content FROM photos WHERE id = ? AND owner_id = ?", (number, owner))
        return None if row is None else row["content"]

    def attach(self, names: list[str], owners: set[int]) -> list[object]:
        """Return attachments with the saved photos in place of their names.

        Error 100 for an uploaded photo without its access key, unless one of `owners` owns the photo. Names of
        other media stay unchanged.
        """
        return [self._saved(name, owners) or name for name in names]

    def _saved(self, name: str, owners: set[int]) -> dict[str, Any] | None:
        match = SHORT_FORM.fullmatch(name)
        if match is None or match[1] != "photo" or int(match[3]) < FIRST_PHOTO:
            return None
        row = self._store.one("SELECT * FROM photos WHERE id = ? AND owner_id = ?", (int(match[3]), int(match[2])))
        if row is None or (row["access_key"] != match[4] and row["owner_id"] not in owners):
            raise vk_error(100, "attachments are invalid")
        return {"type": "photo", "photo": self.view(row)}
