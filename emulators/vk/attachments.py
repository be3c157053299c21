"""Convert attachments from the API's short form, or from full objects."""

import json
import re
from collections.abc import Sequence
from typing import Any

from emulators.vk.errors import vk_error

SHORT_FORM = re.compile(r"(photo|video|audio|doc)(-?\d+)_(\d+)(?:_(\w+))?")


def to_attachment(item: object, base_url: str, date: int) -> dict[str, Any]:
    """Return the attachment object of `photo-1_2`, of a URL or of an object with a `type`.

    Raises error 100 for anything else.
    """
    if isinstance(item, dict) and isinstance(item.get("type"), str):
        return item
    if isinstance(item, str):
        match = SHORT_FORM.fullmatch(item)
        if match:
            kind, owner, number = match[1], int(match[2]), int(match[3])
            return {"type": kind, kind: _media(kind, owner, number, base_url, date)}
        if item.startswith(("http://", "https://")):
            return {"type": "link", "link": {"url": item, "title": item, "description": "", "caption": ""}}
    raise vk_error(100, "attachments are invalid")


def attachments_to_json(items: Sequence[object], base_url: str, date: int) -> str:
    """Return attachments as stored JSON; at most ten, as in the network."""
    if len(items) > 10:
        raise vk_error(100, "too many attachments")
    return json.dumps([to_attachment(item, base_url, date) for item in items], ensure_ascii=False)


def _media(kind: str, owner: int, number: int, base_url: str, date: int) -> dict[str, Any]:
    media: dict[str, Any] = {"id": number, "owner_id": owner, "date": date}
    url = f"{base_url}/media/{kind}{owner}_{number}"
    if kind == "photo":
        size = {"type": "x", "url": url, "width": 604, "height": 453}
        return media | {"album_id": -7, "has_tags": False, "text": "", "sizes": [size]}
    if kind == "doc":
        return media | {"title": f"{number}.pdf", "size": 1024, "ext": "pdf", "type": 1, "url": url}
    if kind == "audio":
        return media | {"artist": "", "title": str(number), "duration": 1, "url": url}
    return media | {"title": str(number), "duration": 1, "type": "video"}
