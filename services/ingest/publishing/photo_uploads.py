"""Read the photos of a publication from appeals, and upload them to its network."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from services.ingest.networks.port import (
    NetworkAdapter,
    PageRef,
    Photo,
    PhotoTarget,
    PublishOutcomeUnknown,
    PublishRejected,
)
from shared.contracts.values import MAX_ATTACHMENT_BYTES, MessageKind
from shared.service import Service
from shared.service_client import ServiceRejected, ServiceUnavailable
from shared.tables.ingest import Publication

# Returns the file of an attachment, on behalf of a person.
ReadAttachment = Callable[[UUID, str], Awaitable[bytes]]

NOT_READ = "Фото пока не удалось прочитать, отправка повторится."
MISSING = "Файла фото нет: загрузите фото заново и отправьте новый ответ."
NOT_UPLOADED = "Сеть не подтвердила загрузку фото, отправка повторится."
RETRY_SECONDS = 5.0


def attachment_reader(service: Service) -> ReadAttachment:
    """Return a function that reads attachments from appeals over HTTP.

    The function raises `PublishRejected`, which is permanent if appeals has no such file.
    """

    async def read(attachment_id: UUID, on_behalf_of: str) -> bytes:
        path = f"/internal/attachments/{attachment_id}"
        try:
            return await service.client().get_file(
                "appeals", path, on_behalf_of=on_behalf_of, max_bytes=MAX_ATTACHMENT_BYTES
            )
        except ServiceRejected as refused:
            if refused.status == 404:
                raise _rejection("attachment_missing", MISSING, permanent=True) from refused
            raise _rejection("attachment_unavailable", NOT_READ) from refused
        except ServiceUnavailable as error:
            raise _rejection("attachment_unavailable", NOT_READ) from error

    return read


async def upload_photos(
    row: Publication,
    page: PageRef,
    network: NetworkAdapter,
    read: ReadAttachment,
    *,
    attachments: Sequence[Mapping[str, Any]] | None = None,
    on_behalf_of: str | None = None,
) -> list[str]:
    """Upload the photos of a publication, in order; return their references in the network.

    `attachments`: its new photos after a change by `on_behalf_of`; photos that it already has are not uploaded
    again. Raises `PublishRejected`, also when the outcome is unknown: an upload may be repeated.
    """
    target = PhotoTarget(page=page, kind=cast("MessageKind", row.kind), thread_key=row.thread_key)
    known = {}
    if attachments is not None:
        known = {photo["id"]: name for photo, name in zip(row.attachments, row.uploaded_media or (), strict=False)}
    media = []
    for attachment in row.attachments if attachments is None else attachments:
        if attachment["id"] in known:
            media.append(known[attachment["id"]])
            continue
        content = await read(UUID(attachment["id"]), on_behalf_of or row.on_behalf_of)
        photo = Photo(attachment["content_type"], content)
        try:
            media.append(await network.upload_photo(target, photo))
        except PublishOutcomeUnknown as error:
            raise _rejection("photo_not_uploaded", NOT_UPLOADED) from error
    return media


def _rejection(code: str, message: str, *, permanent: bool = False) -> PublishRejected:
    return PublishRejected(code, message, permanent=permanent, retry_after=RETRY_SECONDS, was_sent=False)
