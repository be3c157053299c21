"""Routes of attachments: upload and read a photo; ingest reads photos for publication."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Reader, Replier
from services.appeals.api.presenters.replies import attachment_out
from services.appeals.attachments import uploads
from services.appeals.attachments.file_storage import file_storage
from services.appeals.attachments.images import CONTENT_TYPE, FILE_POINTER, IMAGE_QUEUE, clean_image
from services.appeals.schemas.replies.attachments import AttachmentOut
from shared.api.response_headers import with_headers
from shared.auth.callers import ServiceCaller, require_service
from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.http import problems
from shared.http.problems import Invalid, NotFound, TooLarge, TooManyRequests, Unavailable
from shared.service import ReadTransaction, ServiceDep, WriteTransaction

router = APIRouter(prefix="/attachments", tags=["attachments"])
internal = APIRouter(prefix="/internal/attachments", include_in_schema=False)
IngestService = Annotated[ServiceCaller, require_service("ingest")]

UPLOAD_PATH = "/api/v1/attachments"
# The file, the multipart boundaries and the headers of the part.
MAX_UPLOAD_BODY = MAX_ATTACHMENT_BYTES + 16 * 1024
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary", "description": "The photo"}},
                    "required": ["file"],
                    "additionalProperties": False,
                }
            }
        },
    }
}
_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The photo",
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    status_code=201,
    openapi_extra=_FORM,
    responses=problems.responses(*WRITE_PROBLEMS, TooLarge, TooManyRequests, Unavailable)
    | with_headers(201, "Location"),
    summary="Upload a photo",
)
async def upload_attachment(
    request: Request, service: ServiceDep, session: WriteTransaction, caller: Replier, response: Response
) -> AttachmentOut:
    """Store a photo to attach it to a reply: `multipart/form-data` with one part, `file`.

    JPEG, PNG and WebP are accepted, by content: name and declared type do not count. A file has at most 20 MiB
    (413) and 52 million pixels. It is encoded again as a JPEG of at most 2,560 pixels a side, turned upright,
    without metadata, so that neither the position nor the camera is published. Any other file is a 422 that says
    why.

    Until a photo is attached, only your organisation can read or attach it. A photo that is not attached expires
    after some days. Uploading the same file again creates another attachment. A person may have two uploads at a
    time: a third gets 429.
    """
    await uploads.require_may_upload(service.database, caller)
    name, content = await _file(request)
    uploads.check_size(content)
    async with IMAGE_QUEUE.turn(caller):
        image = await clean_image(content)
    stored = await uploads.store_upload(session, file_storage(), caller, image, name)
    response.headers["Location"] = f"{UPLOAD_PATH}/{stored.id}"
    return attachment_out(stored)


async def _file(request: Request) -> tuple[str | None, bytes]:
    """Return the name and the content of the only part of the form. Raises `Invalid` for any other form."""
    # The form is read here and not by a parameter of the route: the caller's right must be checked first.
    async with request.form(max_files=1, max_fields=1) as form:
        if unknown := sorted(set(form) - {"file"}):
            raise Invalid.field(f"/{unknown[0]}", "Unknown part of the form: send only the part «file»")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid.field(FILE_POINTER, "Send multipart/form-data with the photo in the part «file»")
        return file.filename, await file.read()


@router.get(
    "/{attachment_id}",
    response_class=Response,
    responses=problems.responses(*READ_PROBLEMS, NotFound, Unavailable) | _IMAGE,
    summary="Get a photo",
)
async def get_attachment(session: ReadTransaction, caller: Reader, attachment_id: UUID) -> Response:
    """Return the file of an attachment that belongs to an appeal that you may read, or that your organisation
    uploaded and has not attached yet.
    """
    attachment = await uploads.get_readable(session, caller, attachment_id)
    shown = f"attachment; filename=\"photo.jpg\"; filename*=UTF-8''{quote(attachment.name, safe='')}"
    content = await uploads.read_file(session, file_storage(), attachment)
    return Response(content, media_type=attachment.content_type, headers={"Content-Disposition": shown})


@internal.get("/{attachment_id}")
async def get_attachment_for_service(
    session: ReadTransaction, caller: IngestService, attachment_id: UUID
) -> Response:
    """Return the file of a reply's attachment, for ingest."""
    attachment = await uploads.get_attached(session, attachment_id)
    return Response(
        await uploads.read_file(session, file_storage(), attachment), media_type=attachment.content_type
    )
