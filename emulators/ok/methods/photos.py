"""photosV2.*: uploads of photos."""

from typing import Any

from emulators.ok.errors import OkError
from emulators.ok.rest_call import RestCall, method

MAX_PHOTOS = 30


@method("photosV2.getUploadUrl")
def get_upload_url(call: RestCall) -> dict[str, Any]:
    """Return the URL for an upload of the user, or (`gid`) for a group that the user administers.

    Without an album (`aid`), a photo of the user belongs to the personal album, one of a group to a future topic.
    """
    count = call.count(1)
    if count > MAX_PHOTOS:
        raise OkError(100, "Invalid parameter count", "count")
    page = call.optional("gid")
    if page is not None:
        call.world.readable_page(call.user, page)
        if not call.world.discussions.administers(call.user, page):
            raise OkError(50)
    return call.world.photos.create_upload(call.user, page, call.optional("aid"), count)


@method("photosV2.commit")
def commit(call: RestCall) -> dict[str, Any]:
    """Commit an uploaded photo and return its id."""
    return call.world.photos.commit(call.user, call.text("photo_id"), call.text("token"))
