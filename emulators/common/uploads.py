"""Files that clients upload to a network's upload server."""

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile

# The first bytes of the formats that both networks accept as a photo.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")


@dataclass(frozen=True)
class UploadedFile:
    """One file of a form."""

    field: str
    name: str
    content: bytes

    @property
    def is_photo(self) -> bool:
        """Return whether the content begins like a JPEG, PNG or GIF image."""
        return self.content.startswith(_SIGNATURES)


async def uploaded_files(request: Request) -> list[UploadedFile]:
    """Return the files of a multipart request; empty for any other request."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return []
    async with request.form() as form:
        return [
            UploadedFile(field, value.filename or "", await value.read())
            for field, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
