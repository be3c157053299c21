"""Methods `photos.*`: uploads for walls and messages."""

from typing import Any

from emulators.vk.methods.method_table import MethodCall, method
from emulators.vk.state.photos import MESSAGES_ALBUM, WALL_ALBUM


@method("photos.getWallUploadServer", "U")
def get_wall_upload_server(call: MethodCall) -> dict[str, Any]:
    """Return the upload URL for a photo of a wall post or of a comment."""
    page = call.managed_page() if call.params.get("group_id") else None
    return call.world.photos.create_server(WALL_ALBUM, page, call.token.user_id or 0)


@method("photos.saveWallPhoto", "U")
def save_wall_photo(call: MethodCall) -> list[dict[str, Any]]:
    """Save an uploaded photo; the person owns it, even if it is for a community."""
    if call.params.get("group_id"):
        call.managed_page()
    return [_save(call, WALL_ALBUM, call.token.user_id or 0)]


@method("photos.getMessagesUploadServer", "UG")
def get_messages_upload_server(call: MethodCall) -> dict[str, Any]:
    """Return the upload URL for a photo of a message."""
    return call.world.photos.create_server(MESSAGES_ALBUM, call.token.page, call.token.user_id or 0)


@method("photos.saveMessagesPhoto", "UG")
def save_messages_photo(call: MethodCall) -> list[dict[str, Any]]:
    """Save an uploaded photo; the community or the person of the token owns it."""
    page = call.token.page
    return [_save(call, MESSAGES_ALBUM, call.token.user_id or 0 if page is None else -page)]


def _save(call: MethodCall, album: int, owner: int) -> dict[str, Any]:
    return call.world.photos.save(album, call.text("photo"), call.number("server"), call.text("hash"), owner)
