"""The interface of an attachment storage, for a folder or an S3 bucket."""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

from shared.database.outages import DependencyUnavailable

SUFFIX = ".jpg"
# Suffix of a file that is still being written to a folder.
PART = ".part"


class StorageUnavailable(DependencyUnavailable):
    """The storage does not answer, or refuses a kind of request that it accepted at startup; try again later."""


class StorageMisconfigured(Exception):  # noqa: N818 — read by the person who starts the service
    """The storage cannot be used as it is configured; the message names the setting."""


class FileStorage(Protocol):
    """Stores files by id. A stored file never changes. Every call may raise `StorageUnavailable`."""

    async def prepare(self) -> None:
        """Check that files can be stored, read, listed and deleted.

        Raises `StorageMisconfigured` naming the wrong setting. If the storage does not answer, this is only
        logged: an outage must not prevent work that needs no files.
        """

    async def check(self) -> None:
        """Raise `StorageUnavailable` unless the storage answers."""

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file durably, completely or not at all."""

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if there is none."""

    async def delete(self, file_id: UUID) -> None:
        """Delete a file; nothing happens if there is none."""

    def ids(self) -> AsyncIterator[UUID]:
        """Yield the ids of all stored files, without holding all of them in memory."""


def file_name(file_id: UUID) -> str:
    """Return the name of a file, the same in every storage, so that files can be copied from one to another."""
    # The folder comes from the id's end: ids begin with the time, which would put all new files into one folder.
    return f"{file_id.hex[-2:]}/{file_id}{SUFFIX}"


def id_of(name: str) -> UUID | None:
    """Return the id in a file's name, also of a file whose writing was interrupted; None if it is another system's
    file. Only names made by `file_name` are recognised: another system's file must not be deleted as an orphan.
    """
    stem, _, suffix = name.rpartition(".")
    try:
        file_id = UUID(stem.rpartition("/")[2])
    except ValueError:
        return None
    return file_id if f".{suffix}" in (SUFFIX, PART) and stem + SUFFIX == file_name(file_id) else None
