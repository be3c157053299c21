"""What a citizen shares beside words: forwarded messages, reposted posts or a place; notices in conversations."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from emulators.common.request_models import RequestBody
from emulators.vk.attachments import to_attachment

STRANGER = 700_999
"""The author of forwarded messages and reposted posts that name none."""

Notice = Literal["chat_invite_user", "chat_kick_user", "chat_title_update", "chat_pin_message", "chat_screenshot"]


class SharedIn(RequestBody):
    """A forwarded message or a reposted post; `inner`: the messages that a forwarded message forwards itself.

    `age`: how many seconds before it was shared it was written.
    """

    text: str = ""
    author: int = STRANGER
    age: int = Field(default=0, ge=0)
    attachments: list[Any] = Field(default_factory=list)
    inner: list["SharedIn"] = Field(default_factory=list)


class PlaceIn(RequestBody):
    latitude: float
    longitude: float
    title: str = ""


def forwarded_messages(items: Sequence[SharedIn], base_url: str, date: int) -> list[dict[str, Any]]:
    """Return `fwd_messages` of a message."""
    return [
        {
            "date": date - one.age,
            "from_id": one.author,
            "text": one.text,
            "attachments": [to_attachment(item, base_url, date) for item in one.attachments],
            "conversation_message_id": number,
            "peer_id": one.author,
            "id": number,
        }
        | ({"fwd_messages": forwarded_messages(one.inner, base_url, date)} if one.inner else {})
        for number, one in enumerate(items, 1)
    ]


def reposted_posts(items: Sequence[SharedIn], base_url: str, date: int) -> list[dict[str, Any]]:
    """Return `copy_history` of a post: the reposted post, then the one that it reposts itself."""
    return [
        {
            "inner_type": "wall_wallpost",
            "id": number,
            "owner_id": one.author,
            "from_id": one.author,
            "date": date - one.age,
            "post_type": "post",
            "text": one.text,
            "attachments": [to_attachment(item, base_url, date) for item in one.attachments],
        }
        for number, one in enumerate(items, 1)
    ]


def message_place(place: PlaceIn) -> dict[str, Any]:
    """Return `geo` of a message."""
    coordinates = {"latitude": place.latitude, "longitude": place.longitude}
    return {"type": "point", "coordinates": coordinates} | _titled(place)


def post_place(place: PlaceIn) -> dict[str, Any]:
    """Return `geo` of a post, whose coordinates are a text."""
    return {"type": "point", "coordinates": f"{place.latitude} {place.longitude}"} | _titled(place)


def _titled(place: PlaceIn) -> dict[str, Any]:
    return {"place": {"id": 0, "title": place.title}} if place.title else {}
