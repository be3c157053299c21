"""Storage of attachment files: in a folder by default, or in an S3 bucket if one is configured."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from services.appeals.attachments.storage_port import (
    PART,
    FileStorage,
    StorageMisconfigured,
    StorageUnavailable,
    file_name,
    id_of,
)
from services.appeals.settings import S3Bucket, settings
from shared.ids import new_id
from shared.settings import settings as common_settings


class FolderStorage:
    """Stores the files in a local folder, in subfolders named after the end of the file's id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def prepare(self) -> None:
        """Create the folder and check that files can be stored in it. Raises `StorageMisconfigured` if not."""
        try:
            await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
            await asyncio.to_thread(self._probe)
        except OSError as error:
            raise StorageMisconfigured(f"GOSPABLIK_ATTACHMENTS_DIR: files cannot be stored: {error}") from error

    async def check(self) -> None:
        """Raise `StorageUnavailable` unless files can be stored in the folder."""
        with _reporting("the folder of attachments cannot be written to"):
            await asyncio.to_thread(self._probe)

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file; it appears under its name only when it is complete on the disk."""
        with _reporting("the file cannot be stored"):
            await asyncio.to_thread(self._write, file_id, content)

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        with _reporting("the file cannot be read"):
            try:
                return await asyncio.to_thread(self._path(file_id).read_bytes)
            except FileNotFoundError:
                if await asyncio.to_thread(self._folder.is_dir):
                    return None
                raise

    async def delete(self, file_id: UUID) -> None:
        """Delete a file, also one whose writing was interrupted; nothing happens if there is none."""
        path = self._path(file_id)
        with _reporting("the file cannot be deleted"):
            for name in (path, path.with_suffix(PART)):
                await asyncio.to_thread(name.unlink, missing_ok=True)

    async def ids(self) -> AsyncIterator[UUID]:
        """Yield the ids of all stored files, including files whose writing was interrupted."""
        for folder in await asyncio.to_thread(lambda: list(self._folder.glob("??"))):
            with _reporting("the files cannot be listed"):
                names = await asyncio.to_thread(os.listdir, folder)
            for name in names:
                if (file_id := id_of(f"{folder.name}/{name}")) is not None:
                    yield file_id

    def _path(self, file_id: UUID) -> Path:
        return self._folder / file_name(file_id)

    def _probe(self) -> None:
        # A missing folder is not created again: its files are missing too.
        probe = self._folder / f".{new_id()}"
        probe.touch(mode=0o600)
        probe.unlink()

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


@contextmanager
def _reporting(what: str) -> Iterator[None]:
    """Raise `StorageUnavailable` for an error of the disk: full, removed, read-only."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{what}: {error}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# One client for all requests, to reuse its connections.
@lru_cache(maxsize=1)
def _s3_storage(bucket: S3Bucket, ca_bundle: Path | None) -> FileStorage:
    # Imported here: the library takes 5 MB of memory, which only an installation with a bucket needs.
    from services.appeals.attachments.s3_storage import S3Storage  # noqa: PLC0415

    return S3Storage(bucket, ca_bundle)


def file_storage() -> FileStorage:
    """Return the storage that is configured by the settings."""
    config = settings()
    if (bucket := config.attachments_s3) is not None:
        return _s3_storage(bucket, common_settings().ca_bundle)
    return FolderStorage(config.attachments_dir)
