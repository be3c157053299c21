"""Storage of the files of attachments: one file for each, named by its id."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import UUID

from services.appeals.settings import settings
from shared.ids import new_id

# Suffix of a file that is being written.
PART = ".part"


class FileStorage(Protocol):
    """Stores files by id. A stored file never changes."""

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file durably, wholly or not at all."""

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if there is none."""

    async def delete(self, file_id: UUID) -> None:
        """Delete a file; nothing happens if there is none."""

    async def ids(self) -> list[UUID]:
        """Return the ids of all stored files."""


class FolderStorage:
    """Stores the files in a folder of this machine, in subfolders by the end of their ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Create the folder and check that it can be written. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self._folder / f".{new_id()}"
        probe.touch(mode=0o600)
        probe.unlink()

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file; it appears under its name once all of it is on the disk."""
        await asyncio.to_thread(self._write, file_id, content)

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        try:
            return await asyncio.to_thread(self._path(file_id).read_bytes)
        except FileNotFoundError:
            return None

    async def delete(self, file_id: UUID) -> None:
        """Delete a file, also one whose writing was interrupted; nothing happens if there is none."""
        path = self._path(file_id)
        for name in (path, path.with_suffix(PART)):
            await asyncio.to_thread(name.unlink, missing_ok=True)

    async def ids(self) -> list[UUID]:
        """Return the ids of all stored files, and of those whose writing was interrupted."""
        return await asyncio.to_thread(lambda: list(self._names()))

    def _path(self, file_id: UUID) -> Path:
        # The beginning of an id is its time, so that it would not spread the files.
        return self._folder / file_id.hex[-2:] / f"{file_id}.jpg"

    def _write(self, file_id: UUID, content: bytes) -> None:
        path = self._path(file_id)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        part = path.with_suffix(PART)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self._folder):
            _sync_folder(folder)

    def _names(self) -> Iterator[UUID]:
        for file in self._folder.glob("??/*"):
            try:
                yield UUID(file.stem)
            except ValueError:
                continue  # not written by us


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_storage() -> FolderStorage:
    """Return the storage that the settings name."""
    return FolderStorage(settings().attachments_dir)
