"""The interface that the control API needs from an emulated network."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

MessageKind = Literal["comment", "wall_post", "message"]
TokenKind = Literal["group", "service", "user"]
Actor = Literal["author", "community"]
MESSAGE_KINDS: tuple[MessageKind, ...] = ("comment", "wall_post", "message")


class EmulatedNetwork(Protocol):
    """The state of one network, and the actions of citizens and of the communities' staff.

    Ids and page names are passed as text and returned in the network's own type. Every change is committed
    before the method returns. Raises `UnknownError` for an unknown page, thread, id or token,
    `RefusedError` for a request that the real network would reject, `BadInputError` for invalid input.
    """

    def pages(self) -> list[dict[str, Any]]:
        """Return all pages: id, name, screen_name, url and more."""

    def create_page(self, *, name: str, screen_name: str, description: str = "") -> dict[str, Any]:
        """Create a page with working tokens and a first post, or return the existing page with this short name."""

    def tokens(self) -> list[dict[str, Any]]:
        """Return the active tokens."""

    def create_token(self, *, kind: TokenKind, page: str | None = None) -> dict[str, Any]:
        """Create a token in addition to the active tokens."""

    def revoke_token(self, token: str) -> None:
        """Revoke the token; the network rejects it from now on."""

    def citizen_writes(
        self,
        *,
        page: str,
        kind: MessageKind,
        text: str,
        author: str | None = None,
        thread: str | None = None,
        in_reply_to: str | None = None,
        attachments: Sequence[Any] = (),
    ) -> dict[str, Any]:
        """Write a message as a citizen; return id, thread and author."""

    def community_posts(self, *, page: str, text: str) -> dict[str, Any]:
        """Publish a post as the community; return id and thread."""

    def community_writes(
        self,
        *,
        page: str,
        thread: str,
        text: str,
        in_reply_to: str | None = None,
        kind: MessageKind | None = None,
    ) -> dict[str, Any]:
        """Write a message as the page's staff, in the network itself; return the id."""

    def citizen_suggests_post(
        self, *, page: str, text: str, author: str | None = None, attachments: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """Suggest a post as a citizen, to be approved by the community; return id, thread and author."""

    def edit(
        self,
        *,
        page: str,
        id: str,
        text: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """Edit a text; `thread` is needed if ids are unique only within a thread."""

    def delete(
        self,
        *,
        page: str,
        id: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """Delete a message, comment or post; `thread` as in `edit`."""

    def published_replies(self, page: str | None = None) -> list[dict[str, Any]]:
        """Return the replies that the communities published, oldest first."""

    def call_totals(self) -> list[dict[str, Any]]:
        """Return the number of API calls by method and token kind."""

    def message_counts(self) -> list[dict[str, Any]]:
        """Return the number of stored texts by page, kind and side."""
