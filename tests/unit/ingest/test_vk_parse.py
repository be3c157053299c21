"""VK payloads of all formats are parsed, or rejected with a reason."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.port import PageRef, ParsedBatch
from services.ingest.networks.vk import vk_payloads
from services.ingest.networks.vk.push import vk_push

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="vk",
    external_id="900001",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def event(kind: str, content: Any, **more: Any) -> Any:
    """Return an event as Long Poll delivers it."""
    return {"type": kind, "object": content, "group_id": 900001, **more}


COMMENT = {"id": 31, "from_id": 700001, "date": 1767225600, "text": "Когда починят?", "post_id": 12}


@pytest.mark.parametrize(
    "owner", [{"post_owner_id": -900001}, {"owner_id": -900001, "post_owner_id": -900001, "parents_stack": []}, {}]
)
@pytest.mark.parametrize("envelope", [{}, {"event_id": "0f" * 20, "v": "5.199"}])
def test_comment_events_of_all_formats_are_parsed(owner: dict[str, Any], envelope: dict[str, Any]) -> None:
    item = vk_push.parse_event(event("wall_reply_new", COMMENT | owner, **envelope), PAGE)
    assert item is not None
    assert (item.change, item.kind) == ("new", "comment")
    assert item.external_id == "-900001_31"
    assert item.thread_key == "vk:-900001_12"
    assert item.text == "Когда починят?"
    assert item.written_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert item.author is not None
    assert item.author.native_id == "700001"
    assert item.reply_to is None
    assert not item.from_community


def test_reply_in_a_thread_names_the_comment_it_answers() -> None:
    deep = vk_payloads.parse_comment(COMMENT | {"parents_stack": [20], "reply_to_comment": 25}, PAGE)
    shallow = vk_payloads.parse_comment(COMMENT | {"parents_stack": [20]}, PAGE)
    assert deep.reply_to == "-900001_25"
    assert shallow.reply_to == "-900001_20"
    assert deep.url == "https://vk.com/wall-900001_12?reply=31&thread=20"


def test_community_comment_is_from_community() -> None:
    item = vk_payloads.parse_comment(COMMENT | {"from_id": -900001}, PAGE)
    other = vk_payloads.parse_comment(COMMENT | {"from_id": -5}, PAGE)
    assert item.from_community
    assert not other.from_community


def test_deleted_comment_that_keeps_its_thread_has_neither_author_nor_text() -> None:
    bare = {"id": 31, "date": 1767225600, "parents_stack": [], "thread": {"count": 2}, "deleted": True}
    item = vk_payloads.parse_comment(bare, PAGE, 12, {}, "observed")
    assert (item.change, item.text, item.external_id) == ("deleted", None, "-900001_31")


@pytest.mark.parametrize("name", ["deleter_id", "user_id"])
def test_deletion_names_who_deleted_the_comment(name: str) -> None:
    content = {"owner_id": -900001, "id": 31, name: 700001, "post_id": 12}
    item = vk_push.parse_event(event("wall_reply_delete", content), PAGE)
    assert item is not None
    assert item.deleted_by is not None
    assert (item.change, item.deleted_by.native_id) == ("deleted", "700001")


MESSAGE = {
    "date": 1609201902,
    "from_id": 700001,
    "id": 5944,
    "out": 0,
    "peer_id": 700001,
    "text": "Сообщение",
    "conversation_message_id": 5578,
    "attachments": [],
}


@pytest.mark.parametrize("wrapped", [True, False])
def test_messages_of_api_versions_before_and_since_5_103_are_parsed(*, wrapped: bool) -> None:
    content = {"message": MESSAGE, "client_info": {"lang_id": 0}} if wrapped else MESSAGE
    item = vk_push.parse_event(event("message_new", content, secret="x"), PAGE)
    assert item is not None
    assert item.external_id == "900001_700001_5578"
    assert item.thread_key == "vk:900001_700001"
    assert (item.kind, item.text, item.from_community) == ("message", "Сообщение", False)


def test_old_names_of_message_fields_are_parsed() -> None:
    old = {"date": 1500000000, "user_id": 700001, "body": "Старое", "out": 0, "conversation_message_id": 3}
    item = vk_payloads.parse_message(old, PAGE)
    assert item is not None
    assert (item.external_id, item.text) == ("900001_700001_3", "Старое")


@pytest.mark.parametrize("author", [{"from_id": -900001}, {"from_id": 123, "admin_author_id": 123}])
def test_staff_message_is_from_community(author: dict[str, int]) -> None:
    item = vk_push.parse_event(event("message_reply", MESSAGE | {"out": 1} | author), PAGE)
    assert item is not None
    assert item.from_community
    assert item.author is not None
    assert item.author.native_id == "-900001"
    assert item.thread_key == "vk:900001_700001"


def test_posts_of_a_citizen_and_of_the_community_are_distinguished() -> None:
    post = {"id": 6, "from_id": 700001, "owner_id": -900001, "date": 1533403316, "text": "Яма", "unknown": {}}
    item = vk_push.parse_event(event("wall_post_new", post), PAGE)
    own = vk_payloads.parse_post(post | {"from_id": -900001}, PAGE)
    assert item is not None
    assert (item.kind, item.external_id, item.thread_key) == ("wall_post", "-900001_6", "vk:-900001_6")
    assert not item.from_community
    assert own.from_community


PHOTO = {"type": "photo", "photo": {"id": 1}}
POINT = {"type": "point", "coordinates": {"latitude": 51.8, "longitude": 107.6}}


def test_forwarded_messages_are_part_of_the_text_and_their_attachments_of_the_message() -> None:
    inner = {"from_id": 5, "date": 1, "text": "Третий день без воды"}
    forwarded = [
        {"from_id": 6, "date": 2, "text": "Соседка пишет", "attachments": [PHOTO], "fwd_messages": [inner]},
        {"from_id": 7, "date": 3, "text": "", "geo": POINT},
        "x",
    ]
    raw = MESSAGE | {"text": "Помогите", "fwd_messages": forwarded}
    item = vk_payloads.parse_message(raw, PAGE)
    assert item is not None
    assert item.text == (
        "Помогите\n\nПереслано:\nСоседка пишет\n\nПереслано:\nТретий день без воды\n\nПереслано без текста"
    )
    assert item.attachments == [PHOTO, {"type": "geo", "geo": POINT}]
    assert item.raw == raw
    bare = vk_payloads.parse_message(MESSAGE | {"text": "", "fwd_messages": [inner]}, PAGE)
    assert bare is not None
    assert bare.text == "Переслано:\nТретий день без воды"
    many = vk_payloads.parse_message(MESSAGE | {"fwd_messages": [inner] * 300}, PAGE)
    assert many is not None
    assert (many.text or "").count("Переслано") == vk_payloads.MAX_SHARED


def test_reposted_post_is_part_of_the_text() -> None:
    post = {"id": 6, "from_id": 700001, "owner_id": -900001, "date": 1533403316, "text": ""}
    shown = [{"id": 1, "owner_id": 5, "text": "Яма у школы", "attachments": [PHOTO]}, {"id": 2, "text": ""}]
    item = vk_payloads.parse_post(post | {"copy_history": shown}, PAGE)
    assert item.text == "Репост записи:\nЯма у школы\n\nРепост записи без текста"
    assert item.attachments == [PHOTO]
    plain = vk_payloads.parse_post(post | {"copy_history": None, "geo": {}}, PAGE)
    assert (plain.text, plain.attachments) == ("", [])


def test_post_sent_by_a_citizen_in_a_message_is_part_of_the_text_and_of_a_reply_is_not() -> None:
    sent = {"type": "wall", "wall": {"id": 3, "text": "Отключение воды"}}
    raw = MESSAGE | {"text": "Когда включат?", "attachments": [sent, {"type": "wall_reply", "wall_reply": None}]}
    item = vk_payloads.parse_message(raw, PAGE)
    assert item is not None
    assert item.text == "Когда включат?\n\nРепост записи:\nОтключение воды"
    assert item.attachments == raw["attachments"]
    ours = vk_payloads.parse_message(raw | {"out": 1}, PAGE)
    assert ours is not None
    assert ours.text == "Когда включат?"


@pytest.mark.parametrize("author", [{"from_id": -900001}, {"owner_id": -900001}, {"user_id": -900001}])
def test_words_of_the_page_that_a_citizen_shares_are_not_words_of_the_citizen(author: dict[str, int]) -> None:
    answer = author | {"date": 1, "text": "Яму закопали, вопрос решён", "attachments": [PHOTO]}
    question = {"from_id": 700002, "owner_id": -900001, "date": 1, "text": "Когда закопают?"}
    message = MESSAGE | {"text": "5", "fwd_messages": [answer | {"fwd_messages": [question]}, answer]}
    sent = [{"type": "wall", "wall": answer}, {"type": "wall_reply", "wall_reply": answer}]
    item = vk_payloads.parse_message(message | {"attachments": sent}, PAGE)
    assert item is not None
    assert item.text == "5\n\nПереслано:\nКогда закопают?"
    assert item.attachments == sent
    post = {"id": 6, "from_id": 700001, "date": 1, "text": "Спасибо", "copy_history": [answer]}
    assert vk_payloads.parse_post(post, PAGE).text == "Спасибо"
    other = vk_payloads.parse_post(post | {"copy_history": [question]}, PAGE)
    assert other.text == "Спасибо\n\nРепост записи:\nКогда закопают?"


def test_location_is_an_attachment() -> None:
    item = vk_payloads.parse_message(MESSAGE | {"text": "", "geo": POINT}, PAGE)
    post = {"id": 6, "from_id": 700001, "date": 1, "text": "Тут", "geo": {"coordinates": "51.8 107.6"}}
    assert item is not None
    assert (item.text, item.attachments) == ("", [{"type": "geo", "geo": POINT}])
    assert vk_payloads.parse_post(post, PAGE).attachments == [{"type": "geo", "geo": post["geo"]}]


@pytest.mark.parametrize("kind", ["message_new", "message_reply", "message_edit"])
def test_service_message_in_a_conversation_is_ignored(kind: str) -> None:
    notice = MESSAGE | {"text": "", "action": {"type": "chat_invite_user", "member_id": 5}}
    parsed = vk_push.parse_events([event(kind, {"message": notice} if kind == "message_new" else notice)], PAGE)
    assert parsed == ParsedBatch()


@pytest.mark.parametrize("text", ["&#10071;Принимаю заказы&", "?hash=4&dl=GE&copy=1&amp;", "&#0;"])
def test_character_references_are_stored_as_the_network_returns_them(text: str) -> None:
    assert vk_payloads.parse_comment(COMMENT | {"text": text}, PAGE).text == text


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("text", "not an object"),
        ({"object": {}}, "'type' is missing"),
        (event("wall_reply_new", None), "no object"),
        (event("wall_reply_new", {"id": 1}), "'post_id' is missing"),
        (event("wall_reply_new", {"id": 1, "post_id": 2, "date": 1}), "'from_id' is missing"),
        (event("wall_reply_new", COMMENT | {"date": "вчера"}), "invalid literal"),
        (event("wall_reply_new", COMMENT | {"owner_id": -7}), "belongs to another page"),
        (event("wall_reply_new", COMMENT | {"date": 10**30}), ""),
        ({"type": "wall_reply_new", "object": COMMENT, "group_id": 7}, "belongs to community 7"),
        (event("wall_post_new", {"from_id": -900001, "date": 1, "comments": {"count": 0}}), "'id' is missing"),
        (event("message_new", {"message": {"text": "?"}}), "is missing"),
    ],
)
def test_invalid_payload_is_unparsed_and_others_are_kept(raw: Any, reason: str) -> None:
    parsed = vk_push.parse_events([raw, event("wall_reply_new", COMMENT)], PAGE)
    assert [item.external_id for item in parsed.items] == ["-900001_31"]
    (aside,) = parsed.unparsed
    assert reason in aside.reason
    assert aside.reason
    assert aside.raw == raw


@pytest.mark.parametrize("kind", ["like_add", "group_join", "message_typing_state", "photo_new", "poll_vote_new"])
def test_events_without_message_are_ignored(kind: str) -> None:
    parsed = vk_push.parse_events([event(kind, {"user_id": 1})], PAGE)
    assert parsed == ParsedBatch()


@pytest.mark.parametrize("updates", [None, {}, "x", 5])
def test_updates_that_are_not_a_list_are_ignored(updates: Any) -> None:
    assert vk_push.parse_events(updates, PAGE) == ParsedBatch()


def test_names_are_taken_from_an_extended_response() -> None:
    answer = {
        "profiles": [{"id": 5, "first_name": "Имя", "last_name": "Фамилия"}, {"id": 6}, "x"],
        "groups": [{"id": 7, "name": "Группа"}],
    }
    assert vk_payloads.author_names(answer) == {5: "Имя Фамилия", -7: "Группа"}
    assert vk_payloads.author_names({"profiles": {}}) == {}
