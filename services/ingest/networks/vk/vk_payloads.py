"""Parse VK posts, comments and messages to `IncomingItem`. Unknown fields are ignored, old names accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.ingest.networks.port import Author, ChangeKind, IncomingItem, PageRef
from shared.contracts.values import MessageKind

Names = Mapping[int, str]
EventObject = dict[str, Any]

FORWARDED, REPOSTED = "Переслано", "Репост записи"
# How many forwarded messages or reposted posts are read; the network's own limit is about as high.
MAX_SHARED = 100
# Attachments with which a citizen sends the community a post or a comment, and how they are named in the text.
_SENT = {"wall": REPOSTED, "wall_reply": FORWARDED}
# Fields that may name the author of a shared item; a post on a wall may be by somebody else than the wall's owner.
_AUTHORS = ("from_id", "user_id", "owner_id", "to_id")


def int_field_required(raw: Mapping[str, Any], *names: str) -> int:
    """Return the first of these fields that the object has, as a number.

    Raises `KeyError` if it has none, `ValueError` if the value is not a number.
    """
    for name in names:
        if raw.get(name) is not None:
            return int(raw[name])
    raise KeyError(names[0])


def written_at(raw: Mapping[str, Any]) -> datetime:
    """Return when the item was written."""
    return datetime.fromtimestamp(int_field_required(raw, "date"), UTC)


def author_names(answer: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of people and communities in an extended response, by id; community ids are negative."""
    names: dict[int, str] = {}
    for profile in _list(answer, "profiles"):
        full = f"{profile.get('first_name', '')} {profile.get('last_name', '')}".strip()
        if full and isinstance(profile.get("id"), int):
            names[profile["id"]] = full
    for group in _list(answer, "groups"):
        if group.get("name") and isinstance(group.get("id"), int):
            names[-group["id"]] = str(group["name"])
    return names


def _list(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def to_author(number: int, names: Names | None = None) -> Author:
    """Return the author with this id: a user, or a community if it is negative."""
    url = f"https://vk.com/id{number}" if number > 0 else f"https://vk.com/club{-number}"
    return Author(native_id=str(number), name=(names or {}).get(number), url=url)


def page_author_id(external_id: str) -> str:
    """Return the id of a page as an author."""
    return f"-{external_id}"


def check_owner(raw: Mapping[str, Any], page: PageRef, *more: str) -> None:
    """Raise ValueError if the item belongs to another page. `more`: further fields that contain the owner."""
    for name in ("owner_id", "post_owner_id", "to_id", *more):
        if raw.get(name) is not None and int(raw[name]) != -int(page.external_id):
            raise ValueError(f"{name} {raw[name]} belongs to another page")


def _text(raw: Mapping[str, Any], *names: str) -> str:
    for name in names:
        if raw.get(name) is not None:
            return str(raw[name])
    return ""


def _attachments(raw: Mapping[str, Any]) -> Sequence[Any]:
    found = raw.get("attachments")
    return found if isinstance(found, list) else ()


def _with_place(raw: Mapping[str, Any]) -> list[Any]:
    """Return the attachments, and the location as one more."""
    place = raw.get("geo")
    return [*_attachments(raw), *([{"type": "geo", "geo": place}] if isinstance(place, dict) and place else [])]


def _content(
    raw: Mapping[str, Any], *names: str, shared: Sequence["SharedItem"] = ()
) -> tuple[str, Sequence[Any]]:
    """Return the text and the attachments of an item, with those of the items it shares."""
    parts = [_text(raw, *names)]
    parts += [f"{one.title}:\n{one.text}" if one.text else f"{one.title} без текста" for one in shared]
    attachments = [*_with_place(raw), *(inner for one in shared for inner in one.attachments)]
    return "\n\n".join(part for part in parts if part), attachments


@dataclass(frozen=True)
class SharedItem:
    """A message or post of somebody that the author of an item forwarded or reposted with it."""

    title: str
    text: str
    attachments: Sequence[Any]


def _is_of_page(raw: Mapping[str, Any], page: PageRef) -> bool:
    """Return whether the page itself wrote a shared item. Its words are not a citizen's."""
    author = next((raw[name] for name in _AUTHORS if raw.get(name) is not None), None)
    return str(author) == page_author_id(page.external_id)


def _shared(page: PageRef, title: str, listed: Any, inner: str = "") -> list[SharedItem]:
    """Return listed items in order, each followed by those in its field `inner`; without those of the page."""
    found: list[SharedItem] = []
    left = list(reversed(listed)) if isinstance(listed, list) else []
    while left and len(found) < MAX_SHARED:
        raw = left.pop()
        if not isinstance(raw, dict):
            continue
        if not _is_of_page(raw, page):
            found.append(SharedItem(title, _text(raw, "text", "body"), _with_place(raw)))
        deeper = raw.get(inner)
        left += reversed(deeper) if isinstance(deeper, list) else []
    return found


def _sent(raw: Mapping[str, Any], page: PageRef) -> list[SharedItem]:
    """Return the posts and comments with a text that a citizen sent as attachments; without those of the page."""
    found: list[SharedItem] = []
    for one in _attachments(raw):
        if not isinstance(one, dict):
            continue
        kind = str(one.get("type"))
        inner = one.get(kind)
        if kind in _SENT and isinstance(inner, dict) and inner.get("text") and not _is_of_page(inner, page):
            found.append(SharedItem(_SENT[kind], str(inner["text"]), ()))
    return found


def parse_post(
    raw: EventObject, page: PageRef, names: Names | None = None, happened: ChangeKind = "new"
) -> IncomingItem:
    """Return the item of a post on the page's wall."""
    check_owner(raw, page)
    number = int_field_required(raw, "id")
    wall = f"-{page.external_id}_{number}"
    if raw.get("is_deleted"):
        return _deleted("wall_post", wall, f"vk:{wall}", raw)
    writer = int_field_required(raw, "from_id")
    from_community = writer == -int(page.external_id)
    reposts = _shared(page, REPOSTED, raw.get("copy_history"))
    text, attachments = _content(raw, "text", shared=reposts)
    return IncomingItem(
        change=happened,
        kind="wall_post",
        external_id=wall,
        thread_key=f"vk:{wall}",
        written_at=written_at(raw),
        raw=raw,
        author=to_author(writer, names),
        from_community=from_community,
        text=text,
        attachments=attachments,
        url=f"https://vk.com/wall{wall}",
    )


def parse_comment(
    raw: EventObject,
    page: PageRef,
    post_id: int | None = None,
    names: Names | None = None,
    happened: ChangeKind = "new",
) -> IncomingItem:
    """Return the item of a comment to a post; a deleted comment that has replies has neither author nor text."""
    check_owner(raw, page)
    number = int_field_required(raw, "id")
    post = post_id if post_id is not None else int_field_required(raw, "post_id")
    external_id = f"-{page.external_id}_{number}"
    thread = f"vk:-{page.external_id}_{post}"
    if raw.get("deleted"):
        return _deleted("comment", external_id, thread, raw)
    writer = int_field_required(raw, "from_id")
    parents = raw.get("parents_stack") or []
    answered = raw.get("reply_to_comment") or (parents[-1] if parents else None)
    reply = f"?reply={number}" + (f"&thread={parents[0]}" if parents else "")
    from_community = writer == -int(page.external_id)
    text, attachments = _content(raw, "text")
    return IncomingItem(
        change=happened,
        kind="comment",
        external_id=external_id,
        thread_key=thread,
        written_at=written_at(raw),
        raw={key: value for key, value in raw.items() if key != "thread"},
        author=to_author(writer, names),
        from_community=from_community,
        text=text,
        reply_to=f"-{page.external_id}_{int(answered)}" if answered else None,
        attachments=attachments,
        url=f"https://vk.com/wall-{page.external_id}_{post}{reply}",
    )


def _deleted(kind: MessageKind, external_id: str, thread_key: str, raw: EventObject) -> IncomingItem:
    at = written_at(raw) if raw.get("date") is not None else datetime.fromtimestamp(0, UTC)
    return IncomingItem(
        change="deleted", kind=kind, external_id=external_id, thread_key=thread_key, written_at=at, raw=raw
    )


@dataclass(frozen=True)
class ThreadType:
    """A type of thread other than a post, with its field names and its link."""

    prefix: str
    id_field: str
    owner_field: str
    link: str

    def thread(self, page: PageRef, number: int) -> str:
        """Return the thread key."""
        return f"vk:-{page.external_id}_{self.prefix}{number}"

    def comment(self, page: PageRef, number: int, comment_id: int) -> str:
        """Return the external id of a comment; it includes the thread: numbers are unique only within a thread."""
        return f"-{page.external_id}_{self.prefix}{number}_{comment_id}"

    def url(self, page: PageRef, number: int, comment_id: int) -> str:
        """Return the public URL of the comment."""
        return self.link.format(page=page.external_id, number=number, comment=comment_id)


def reports_reply_to(thread_key: str) -> bool:
    """Return whether comments of the thread name the comment they reply to: only comments to posts do."""
    return thread_key.rpartition("_")[2].isdecimal()


BOARD_THREAD = ThreadType(
    "board", "topic_id", "topic_owner_id", "https://vk.com/topic-{page}_{number}?post={comment}"
)
THREAD_TYPES = {
    "board_post": BOARD_THREAD,
    "photo_comment": ThreadType("photo", "photo_id", "photo_owner_id", "https://vk.com/photo-{page}_{number}"),
    "video_comment": ThreadType("video", "video_id", "video_owner_id", "https://vk.com/video-{page}_{number}"),
    "market_comment": ThreadType("market", "item_id", "market_owner_id", "https://vk.com/product-{page}_{number}"),
}


def parse_thread_comment(
    raw: EventObject,
    page: PageRef,
    number: int | None = None,
    names: Names | None = None,
    *,
    thread_type: ThreadType,
    happened: ChangeKind = "new",
) -> IncomingItem:
    """Return the item of a comment to a discussion, photo, video or market item."""
    check_owner(raw, page, thread_type.owner_field)
    at = int_field_required(raw, thread_type.id_field) if number is None else number
    comment_id, writer = int_field_required(raw, "id"), int_field_required(raw, "from_id")
    answered = raw.get("reply_to_comment")
    from_community = writer == -int(page.external_id)
    text, attachments = _content(raw, "text")
    return IncomingItem(
        change=happened,
        kind="comment",
        external_id=thread_type.comment(page, at, comment_id),
        thread_key=thread_type.thread(page, at),
        written_at=written_at(raw),
        raw=raw,
        author=to_author(writer, names),
        from_community=from_community,
        text=text,
        reply_to=thread_type.comment(page, at, int(answered)) if answered else None,
        attachments=attachments,
        url=thread_type.url(page, at, comment_id),
    )


def parse_message(
    raw: EventObject, page: PageRef, names: Names | None = None, happened: ChangeKind = "new"
) -> IncomingItem | None:
    """Return the item of a direct message, from the citizen or the community.

    None for a notice of the network in a conversation: somebody joined, a message was pinned.
    """
    if raw.get("action"):
        return None
    group = int(page.external_id)
    out = bool(raw.get("out")) or raw.get("from_id") == -group
    peer = int_field_required(raw, "peer_id", "user_id")
    writer = -group if out else int_field_required(raw, "from_id", "user_id")
    conversation = f"{group}_{peer}"
    reply = raw.get("reply_message")
    answered = reply.get("conversation_message_id") if isinstance(reply, dict) else None
    shared = _shared(page, FORWARDED, raw.get("fwd_messages"), "fwd_messages")
    if not out:  # not for our replies: the network attaches the post to every message with a link to it
        shared += _sent(raw, page)
    text, attachments = _content(raw, "text", "body", shared=shared)
    return IncomingItem(
        change=happened,
        kind="message",
        external_id=f"{conversation}_{int_field_required(raw, 'conversation_message_id')}",
        thread_key=f"vk:{conversation}",
        written_at=written_at(raw),
        raw=raw,
        author=to_author(writer, names),
        from_community=out,
        text=text,
        reply_to=f"{conversation}_{int(answered)}" if answered else None,
        attachments=attachments,
        url=f"https://vk.com/gim{group}?sel={peer}",
    )
