"""What the control door asks of a network's world."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

MessageKind = Literal["comment", "wall_post", "message"]
TokenKind = Literal["group", "service", "user"]
Actor = Literal["author", "community"]
MESSAGE_KINDS: tuple[MessageKind, ...] = ("comment", "wall_post", "message")


class EmulatedNetwork(Protocol):
    """State of one network, and what citizens and the communities' own staff do in it.

    Ids and page names come as text and leave in the network's own type. Every change is committed
    before the method returns. Raises `UnknownError` for a page, thread, id or token that is not there,
    `RefusedError` for what the network itself would refuse, `BadInputError` for what makes no sense.
    """

    def pages(self) -> list[dict[str, Any]]:
        """All pages: id, name, screen_name, url and more."""

    def create_page(self, *, name: str, screen_name: str, description: str = "") -> dict[str, Any]:
        """A page with working tokens and a first post; the page that has the name, if there is one."""

    def tokens(self) -> list[dict[str, Any]]:
        """Credentials that work now."""

    def create_token(self, *, kind: TokenKind, page: str | None = None) -> dict[str, Any]:
        """A fresh credential beside those that work."""

    def revoke_token(self, token: str) -> None:
        """From now on the network refuses the token."""

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
        """A citizen writes; answers id, thread and author."""

    def community_posts(self, *, page: str, text: str) -> dict[str, Any]:
        """The community publishes a post; answers id and thread."""

    def community_writes(
        self,
        *,
        page: str,
        thread: str,
        text: str,
        in_reply_to: str | None = None,
        kind: MessageKind | None = None,
    ) -> dict[str, Any]:
        """The page's own staff write by hand; answers id."""

    def citizen_suggests_post(
        self, *, page: str, text: str, author: str | None = None, attachments: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """A citizen suggests a post, which waits for the staff; answers id, thread and author."""

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
        """A text is changed; `thread` is needed where ids are numbered anew in each thread."""

    def delete(
        self,
        *,
        page: str,
        id: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """A message, comment or post is deleted; `thread` as in `edit`."""

    def published_replies(self, page: str | None = None) -> list[dict[str, Any]]:
        """What the communities published as answers, oldest first."""

    def call_totals(self) -> list[dict[str, Any]]:
        """API calls by method and token kind."""

    def message_counts(self) -> list[dict[str, Any]]:
        """Stored texts by page and kind."""
