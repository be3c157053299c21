"""VK events of discussions, photos, suggested posts and old formats."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.port import PageRef
from services.ingest.networks.vk.push import vk_push
from services.ingest.networks.vk.reading import suggested_posts
from services.ingest.networks.vk.reading.wall_reader import ObservedIds

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="900001",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
WROTE = {"id": 31, "from_id": 700001, "date": 1767225600, "text": "Когда приём?"}


def event(kind: str, content: Any, **more: Any) -> Any:
    """Return an event as the network delivers it."""
    return {"type": kind, "object": content, "group_id": 900001, **more}


@pytest.mark.parametrize(
    ("kind", "place", "thread", "url"),
    [
        ("board_post", {"topic_id": 5, "topic_owner_id": -900001}, "board5", "topic-900001_5?post=31"),
        ("photo_comment", {"photo_id": 6, "photo_owner_id": -900001}, "photo6", "photo-900001_6"),
        ("video_comment", {"video_id": 7, "video_owner_id": -900001}, "video7", "video-900001_7"),
        ("market_comment", {"item_id": 8, "market_owner_id": -900001}, "market8", "product-900001_8"),
    ],
)
def test_comments_of_other_thread_types_are_parsed(
    kind: str, place: dict[str, int], thread: str, url: str
) -> None:
    for change, happened in (("new", "new"), ("edit", "edited"), ("restore", "restored")):
        item = vk_push.parse_event(event(f"{kind}_{change}", WROTE | place), PAGE)
        assert item is not None
        assert (item.kind, item.change, item.text) == ("comment", happened, "Когда приём?")
        assert item.external_id == f"-900001_{thread}_31"
        assert item.thread_key == f"vk:-900001_{thread}"
        assert item.url == f"https://vk.com/{url}"
    gone = vk_push.parse_event(event(f"{kind}_delete", {"id": 31, **place}), PAGE)
    assert gone is not None
    assert (gone.change, gone.external_id, gone.deleted_by) == ("deleted", f"-900001_{thread}_31", None)


def test_comment_of_other_page_is_unparsed() -> None:
    parsed = vk_push.parse_events([event("board_post_new", WROTE | {"topic_id": 5, "topic_owner_id": -5})], PAGE)
    assert parsed.items == []
    assert "belongs to another page" in parsed.unparsed[0].reason


def test_event_id_is_kept() -> None:
    item = vk_push.parse_event(event("wall_reply_new", WROTE | {"post_id": 12}, event_id="0f" * 20), PAGE)
    assert item is not None
    assert item.push_event_id == "0f" * 20


def test_hidden_and_foreign_posts_are_ignored() -> None:
    post = {"id": 40, "from_id": 700001, "owner_id": -900001, "date": 1767225600, "text": "Запись"}
    assert vk_push.parse_event(event("wall_post_new", post | {"post_type": "postpone"}), PAGE) is None
    assert vk_push.parse_event(event("wall_repost", post | {"owner_id": 700001}), PAGE) is None
    offered = vk_push.parse_events([event("wall_post_new", post | {"post_type": "suggest"})], PAGE)
    assert [mark.thread_key for mark in suggested_posts.suggested_thread_states(offered)] == ["vk:-900001_40"]
    gone = vk_push.parse_event(event("wall_post_new", {"id": 40, "is_deleted": True, "owner_id": -900001}), PAGE)
    assert gone is not None
    assert (gone.change, gone.kind) == ("deleted", "wall_post")


def test_message_without_conversation_message_id_is_unparsed() -> None:
    old = {
        "id": 27,
        "date": 1533397795,
        "out": 0,
        "user_id": 700001,
        "read_state": 0,
        "title": "",
        "body": "Текст",
    }
    parsed = vk_push.parse_events([event("message_new", old)], PAGE)
    assert parsed.unparsed[0].reason == "the field 'conversation_message_id' is missing"
    parsed = vk_push.parse_events([event("message_new", old | {"conversation_message_id": 3})], PAGE)
    assert (parsed.items[0].text, parsed.items[0].external_id) == ("Текст", "900001_700001_3")


@pytest.mark.parametrize(
    "content",
    [None, [], "text", 5, {"id": "x"}, {"id": 1, "from_id": [], "date": 1}, {"id": 1, "from_id": 1, "date": 1e40}],
)
@pytest.mark.parametrize("kind", vk_push.SUPPORTED_EVENTS)
def test_parsers_never_raise_on_any_json(kind: str, content: Any) -> None:
    parsed = vk_push.parse_events([event(kind, content)], PAGE)
    assert parsed.items == []
    assert all(one.reason for one in parsed.unparsed)


def test_missing_item_counts_as_deleted_only_if_old_and_the_read_was_complete() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    stored = {"-900001_1": datetime(2026, 1, 1, tzinfo=UTC), "-900001_2": at}
    shown = vk_push.parse_events([], PAGE)
    assert ObservedIds(shown).missing(stored, at) == ["-900001_1"]
    unreadable = vk_push.parse_events([event("wall_reply_new", {})], PAGE)
    assert ObservedIds(shown, unreadable).missing(stored, at) == []
