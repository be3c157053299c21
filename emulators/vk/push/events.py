"""Events of communities; an event has the same id in long poll and in the Callback API."""

import secrets
from typing import Any

from emulators.vk.push.callback_servers import CallbackServers
from emulators.vk.push.long_poll import LongPollServer

_WRAPPED_SINCE = (5, 103)


class EventPublisher:
    """Passes every event to Bots Long Poll and to the servers of the Callback API."""

    def __init__(self, longpoll: LongPollServer, callbacks: CallbackServers) -> None:
        self._longpoll = longpoll
        self._callbacks = callbacks

    def publish(self, page: int, kind: str, content: dict[str, Any]) -> None:
        """Queue an event for long poll and callback servers under one id, in the caller's transaction."""

        def body(version: str) -> dict[str, Any]:
            return {
                "group_id": page,
                "type": kind,
                "event_id": event_id,
                "v": version,
                "object": event_object_for_version(kind, content, version),
            }

        event_id = secrets.token_hex(20)
        self._longpoll.publish(page, kind, body)
        self._callbacks.publish(page, kind, event_id, body)


def event_object_for_version(kind: str, content: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the object of an event in an API version; before 5.103 a new message had no wrapper object."""
    if kind == "message_new" and version_of(version) < _WRAPPED_SINCE:
        message: dict[str, Any] = content["message"]
        return message
    return content


def version_of(text: str) -> tuple[int, int]:
    """Return a version such as `5.199` as comparable numbers."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)
