"""Converts attachments of citizens to the network's format."""

from collections.abc import Sequence
from typing import Any

from emulators.common.errors import BadInputError


def attachments_in(given: Sequence[Any]) -> list[dict[str, Any]]:
    """Return attachments in the network's format; a bare URL becomes an image."""
    made: list[dict[str, Any]] = []
    for item in given:
        attachment = {"url": item} if isinstance(item, str) else item
        if not isinstance(attachment, dict):
            raise BadInputError("attachments", "must be URLs or objects")
        if "payload" not in attachment:
            attachment = {"type": attachment.get("type", "IMAGE"), "payload": {"url": attachment.get("url")}}
        if not isinstance(attachment["payload"], dict) or not isinstance(attachment["payload"].get("url"), str):
            raise BadInputError("attachments", "an attachment has no URL")
        made.append({"type": str(attachment.get("type", "IMAGE")).upper(), "payload": attachment["payload"]})
    return made
