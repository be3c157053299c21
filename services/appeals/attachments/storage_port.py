"""What the storage of attachments does, wherever it keeps the files."""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

from shared.database.outages import DependencyUnavailable

SUFFIX = ".jpg"
# Of a file that is being written to a folder.
PART = ".part"


class StorageUnavailable(DependencyUnavailable):
    """The storage does not answer, or refuses what it allowed at the start: the call may be repeated later."""


class StorageMisconfigured(Exception):  # noqa: N818 — read by the person who starts the service
    """The storage cannot be used as it is configured; the message names the setting."""


class FileStorage(Protocol):
    """Stores files by id. A stored file never changes. Every call may raise `StorageUnavailable`."""

    async def prepare(self) -> None:
        """Check that files can be stored, read, listed and deleted.

        Raises `StorageMisconfigured` that names the wrong setting. A storage that does not answer is logged only:
        an outage must not stop what needs no files.
        """

    async def check(self) -> None:
        """Raise `StorageUnavailable` unless the storage answers."""

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file durably, wholly or not at all."""

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if there is none."""

    async def delete(self, file_id: UUID) -> None:
        """Delete a file; nothing happens if there is none."""

    def ids(self) -> AsyncIterator[UUID]:
        """Yield the ids of all stored files, without holding all of them in memory."""


def file_name(file_id: UUID) -> str:
    """Return the name of a file, the same in every storage, so that files can be copied from one to another."""
    # The beginning of an id is its time, so that it would not spread the files over folders.
    return f"{file_id.hex[-2:]}/{file_id}{SUFFIX}"


def id_of(name: str) -> UUID | None:
    """Return the id in the name of a file, also of one whose writing was interrupted; None if it is not ours.

    Only names that `file_name` gives count: another system's file must not be deleted as one without a row.
    """
    stem, _, suffix = name.rpartition(".")
    try:
        file_id = UUID(stem.rpartition("/")[2])
    except ValueError:
        return None
    return file_id if f".{suffix}" in (SUFFIX, PART) and stem + SUFFIX == file_name(file_id) else None
