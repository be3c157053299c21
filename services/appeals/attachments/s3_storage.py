"""Storage of the files of attachments in an S3 bucket of a state cloud or a server such as MinIO."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from obstore.exceptions import BaseError
from obstore.store import S3Store

from services.appeals.attachments.storage_port import StorageMisconfigured, StorageUnavailable, file_name, id_of
from services.appeals.settings import S3Bucket
from shared.ids import new_id
from shared.logs import get_logger

if TYPE_CHECKING:
    from obstore.store import S3Credential

log = get_logger(__name__)

CONNECT_TIMEOUT = timedelta(seconds=2)
# Enough for a photo, which has a few megabytes at most.
REQUEST_TIMEOUT = timedelta(seconds=8)
# No retry begins later than this after the first attempt.
RETRY_TIMEOUT = timedelta(seconds=12)
# The limit of a call with its retries: less than the 30 seconds that ingest waits for a file.
TOTAL_SECONDS = 20.0
MAX_RETRIES = 2
FIRST_PAUSE = timedelta(milliseconds=200)
LISTED_AT_ONCE = 1_000

_SETTING = "GOSPABLIK_ATTACHMENTS_S3_"
# Error codes of the server, each with the setting that is wrong.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_WRONG_SETTINGS = {
    "InvalidAccessKeyId": "KEY_ID",
    "AccessDenied": "KEY_ID",
    "AccountProblem": "KEY_ID",
    "AllAccessDisabled": "KEY_ID",
    "SignatureDoesNotMatch": "SECRET",
    "AuthorizationHeaderMalformed": "REGION",
    "PermanentRedirect": "REGION",
    "NoSuchBucket": "BUCKET",
    "InvalidBucketName": "BUCKET",
}
# Fragments of the debug part of the library's errors, and what they mean.
_CAUSES = {
    "dns error": "the name of the host is not known",
    "InvalidCertificate": "the certificate of the server is not trusted",
    "TimedOut": "no answer in time",
    "ConnectionRefused": "the connection is refused",
    "tcp connect error": "no connection",
    "incorrectly configured region": "redirected, as for a wrong region",
}


class S3Storage:
    """Stores the files in a bucket under the same names as in a folder."""

    def __init__(self, bucket: S3Bucket, ca_bundle: Path | None = None) -> None:
        """Trust the certificate authorities in `ca_bundle` besides those of the system."""
        self._bucket = bucket
        # Everything is given explicitly: the library would take missing values from the environment (AWS_…).
        self._store = S3Store(
            bucket.name,
            credential_provider=self._credentials,
            aws_endpoint_url_s3=bucket.endpoint,
            region=bucket.region,
            virtual_hosted_style_request=False,
            skip_signature=False,
            unsigned_payload=False,
            # Not all servers can delete many objects with one request.
            disable_bulk_delete=True,
            client_options={
                "allow_http": bucket.endpoint.startswith("http://"),
                "connect_timeout": CONNECT_TIMEOUT,
                "timeout": REQUEST_TIMEOUT,
                **({"root_certificate": ca_bundle.read_bytes()} if ca_bundle is not None else {}),
            },
            retry_config={
                "max_retries": MAX_RETRIES,
                "retry_timeout": RETRY_TIMEOUT,
                "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": timedelta(seconds=2), "base": 2},
            },
        )

    def _credentials(self) -> "S3Credential":
        return {
            "access_key_id": self._bucket.key_id,
            "secret_access_key": self._bucket.secret.get_secret_value(),
            "token": None,
            "expires_at": None,
        }

    async def prepare(self) -> None:
        """Check the bucket: list it, then store, read and delete a file. If the server does not answer, this is
        only logged. Raises `StorageMisconfigured` if the server refuses a step or returns different content.
        """
        probe, content = new_id(), b"Gospablik may write here"
        try:
            async for _ in self.ids():
                break
            await self.write(probe, content)
            if await self.read(probe) != content:
                raise StorageMisconfigured(f"{_SETTING}ENDPOINT: the server does not return what was stored")
            await self.delete(probe)
        except _Refused as refused:
            raise StorageMisconfigured(f"{_SETTING}{refused.setting}: {refused}") from None
        except StorageUnavailable as error:
            log.error("attachment storage not reachable", reason=f"{_SETTING}ENDPOINT: {error}")  # noqa: TRY400

    async def check(self) -> None:
        """Raise `StorageUnavailable` unless the server answers, signatures are accepted and the bucket exists."""
        await self.read(UUID(int=0))

    async def write(self, file_id: UUID, content: bytes) -> None:
        """Store a file with one request, which the server carries out completely or not at all."""
        async with self._call("not stored"):
            await self._store.put_async(
                file_name(file_id), content, attributes={"Content-Type": "image/jpeg"}, use_multipart=False
            )

    async def read(self, file_id: UUID) -> bytes | None:
        """Return the content of a file, or None if the server says that there is none."""
        try:
            async with self._call("not read"):
                found = await self._store.get_async(file_name(file_id))
                return bytes(await found.bytes_async())
        except _NoSuchFile:
            return None

    async def delete(self, file_id: UUID) -> None:
        """Delete a file; nothing happens if there is none."""
        try:
            async with self._call("not deleted"):
                await self._store.delete_async(file_name(file_id))
        except _NoSuchFile:
            return

    async def ids(self) -> AsyncIterator[UUID]:
        """Yield the ids of all files in the bucket; the server lists a thousand at a time."""
        pages = aiter(self._store.list(chunk_size=LISTED_AT_ONCE))
        while True:
            async with self._call("not listed"):
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                if (file_id := id_of(found["path"])) is not None:
                    yield file_id

    @asynccontextmanager
    async def _call(self, outcome: str) -> AsyncIterator[None]:
        """Limit the time of a call, and convert the library's errors to ours, with the server's message."""
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                yield
        except (BaseError, OSError) as error:
            # Without the cause: the library's message has dozens of lines, which a traceback would repeat.
            raise _translated(str(error) or "TimedOut", f"bucket {self._bucket.name}: {outcome}") from None


class _Refused(StorageUnavailable):
    """The server refused the request because a setting is wrong."""

    def __init__(self, reason: str, setting: str) -> None:
        super().__init__(reason)
        self.setting = setting


class _NoSuchFile(StorageUnavailable):
    """The server has no file of this name in an existing bucket."""


def _translated(text: str, outcome: str) -> StorageUnavailable:
    status, code, message = (_first(pattern, text) for pattern in (
        r"status code: (\d{3})", r"<Code>(\w+)</Code>", r"<Message>([^<]{1,200})"
    ))  # fmt: skip
    cause = next((meaning for sign, meaning in _CAUSES.items() if sign in text), None)
    said = " ".join(part for part in (status, code, message) if part)
    reason = f"{outcome}: {said or cause or text.splitlines()[0][:300]}"
    # The 404 of a missing bucket or of a proxy does not mean that the file is missing.
    if code == "NoSuchKey":
        return _NoSuchFile(reason)
    if code in _WRONG_SETTINGS:
        return _Refused(reason, _WRONG_SETTINGS[code])
    if "incorrectly configured region" in text:
        return _Refused(reason, "REGION")
    if status is not None and status.startswith("4") and status not in ("408", "429"):
        return _Refused(reason, "ENDPOINT")
    return StorageUnavailable(reason)


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
