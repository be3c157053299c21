"""OK payloads of all formats are parsed, or rejected with a reason."""

import copy
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.networks.ok import ok_payloads
from services.ingest.networks.ok.ok_client import session_secret, signature
from services.ingest.networks.ok.ok_network import _comment_id
from services.ingest.networks.port import Credential, PageRef, ParsedBatch, TokenKind, describe_parse_error

PAGE = PageRef(
    id=UUID(int=1),
    organisation_id=UUID(int=2),
    network="ok",
    external_id="50000000000001",
    go_live_at=datetime(2026, 1, 1, tzinfo=UTC),
)
TOPIC = "60000000000001"
COMMENT = {
    "id": "MTc2",
    "author_id": "560000000002",
    "author_name": "Имя",
    "text": "Где автобус?",
    "date": "2026-01-01 03:00:00",
    "type": "ACTIVE_MESSAGE",
}
MESSAGE: dict[str, Any] = {
    "sender": {"user_id": "user:700001", "name": "Имя"},
    "recipient": {"chat_id": "chat:C0ffee00"},
    "message": {"text": "Здравствуйте", "seq": 115000000000000001, "mid": "mid:C0ffee00.1abc"},
    "timestamp": 1767225600000,
}


def credential(**secrets: str) -> Credential:
    """Return the user session from the network's documentation."""
    return Credential(id=UUID(int=3), network="ok", kind=TokenKind.USER, page_id=None, **secrets)


@pytest.mark.parametrize(
    ("secrets", "sig"),
    [
        (
            {
                "token": "-s-84W-s3egarWUsbkq-IWTucuedzTKT8VUXIA.s4Xx8IW7",
                "application_secret_key": "ABC123DEF456GHI789JKL123",
            },
            "232c8eb921951c4dba9b72606f9ddb4c",
        ),
        (
            {"token": "x", "session_secret_key": "ae5362b5b588cc7294c2414d71b74d5d"},
            "03a41413523ea8092507949d6e711963",
        ),
    ],
)
def test_signatures_match_published_examples(secrets: dict[str, str], sig: str) -> None:
    params = {"application_key": "ABCDEFGHIGKLMNOPK", "method": "events.get", "format": "json"}
    params |= {"access_token": "not signed", "session_key": "not signed"}
    assert signature(params, session_secret(credential(**secrets))) == sig


def test_repr_contains_no_secrets() -> None:
    shown = repr(credential(token="very-secret", session_secret_key="hidden"))
    assert "secret" not in shown.replace("session_secret_key", "")
    assert "hidden" not in shown


def test_comment_time_is_parsed_with_and_without_milliseconds() -> None:
    dated = ok_payloads.parse_comment(COMMENT, PAGE, TOPIC)
    exact = ok_payloads.parse_comment(COMMENT | {"date_ms": 1767225600123}, PAGE, TOPIC)
    assert dated.written_at == datetime(2026, 1, 1, 0, 0, tzinfo=UTC)  # Moscow local time
    assert exact.written_at == datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
    assert dated.external_id == f"{TOPIC}/MTc2"
    assert dated.thread_key == f"ok:{TOPIC}"
    assert (dated.text, dated.from_community, dated.reply_to) == ("Где автобус?", False, None)


@pytest.mark.parametrize("year", [("2014-07-01 04:00:00", 0), ("2015-07-01 03:00:00", 0)])
def test_moscow_was_four_hours_ahead_until_october_2014(year: tuple[str, int]) -> None:
    assert ok_payloads.from_moscow_time(year[0]).hour == year[1]


@pytest.mark.parametrize(
    ("who", "community"),
    [
        ({"author_type": "GROUP", "author_id": "50000000000001"}, True),
        ({"author_ref": "group:50000000000001"}, True),
        ({"author_ref": "group:50000000000009"}, False),
        ({"author_ref": "user:560000000002"}, False),
        ({"author_id": "50000000000001"}, True),  # without `fields`, OK may name no type
        ({"author_type": "USER", "author_id": "50000000000001"}, False),
        ({"author_ref": "user:50000000000001"}, False),
    ],
)
def test_author_of_comment_is_recognised(who: dict[str, str], *, community: bool) -> None:
    assert ok_payloads.parse_comment(COMMENT | who, PAGE, TOPIC).from_community is community


def test_removed_comment_is_a_deletion() -> None:
    item = ok_payloads.parse_comment(COMMENT | {"type": "REMOVED_MESSAGE", "text": ""}, PAGE, TOPIC)
    assert (item.change, item.text, item.deleted_by) == ("deleted", None, None)


def test_reply_names_the_comment_it_answers() -> None:
    assert (
        ok_payloads.parse_comment(COMMENT | {"reply_to_comment_id": "MTc1"}, PAGE, TOPIC).reply_to
        == f"{TOPIC}/MTc1"
    )


@pytest.mark.parametrize("kind", [{}, {"webhookType": "MESSAGE_CREATED"}])
@pytest.mark.parametrize("prefix", [True, False])
def test_messages_of_all_formats_are_parsed(kind: dict[str, str], *, prefix: bool) -> None:
    raw: dict[str, Any] = MESSAGE | kind
    if not prefix:
        raw = raw | {
            "recipient": {"chat_id": "C0ffee00"},
            "message": MESSAGE["message"] | {"mid": "C0ffee00.1abc"},
        }
    item = ok_payloads.parse_webhook(raw, PAGE)
    assert item is not None
    assert (item.change, item.push_event_id) == ("new", "mid:C0ffee00.1abc")
    assert item.external_id == "chat:C0ffee00/mid:C0ffee00.1abc"
    assert item.thread_key == "ok:chat:C0ffee00"
    assert item.raw["message"]["seq"] == 115000000000000001
    assert not item.from_community


def test_group_message_is_from_community() -> None:
    item = ok_payloads.parse_message(MESSAGE | {"sender": {"user_id": "group:50000000000001"}}, PAGE)
    assert item.from_community


@pytest.mark.parametrize("kind", ["CHAT_SYSTEM", "MESSAGE_CALLBACK"])
def test_event_without_message_is_ignored(kind: str) -> None:
    assert ok_payloads.parse_webhook({"webhookType": kind, "mid": "mid:1"}, PAGE) is None


def _without(*path: str) -> dict[str, Any]:
    raw: dict[str, Any] = copy.deepcopy(MESSAGE)
    inner = raw
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (_without("message"), "'message' is missing"),
        (_without("message", "mid"), "'mid' is missing"),
        (_without("sender"), "'sender' is missing"),
        (_without("sender", "user_id"), "'user_id' is missing"),
        (_without("recipient"), "'recipient' is missing"),
        (_without("timestamp"), "'timestamp' is missing"),
        (MESSAGE | {"timestamp": "soon"}, "not a time"),
        (MESSAGE | {"timestamp": 10**30}, "not a time"),
        (MESSAGE | {"message": None}, "'message' is not an object"),
        (MESSAGE | {"message": {"mid": "mid:"}}, "'mid' is not an id"),
        (MESSAGE | {"webhookType": "SOMETHING_NEW"}, "'SOMETHING_NEW' are unknown"),
        ([MESSAGE], "not an object"),
    ],
)
def test_incomplete_event_raises_an_error_with_the_reason(raw: Any, reason: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)) as caught:
        ok_payloads.parse_webhook(raw, PAGE)
    assert reason in describe_parse_error(caught.value)


def test_topic_blocks_are_joined() -> None:
    raw = {
        "id": TOPIC,
        "created_ms": 1767225600000,
        "author_ref": "user:560000000002",
        "owner_ref": "group:50000000000001",
        "media": [
            {"type": "text", "text": "Раз"},
            {"type": "photo", "photos": []},
            {"type": "text", "text": "Два"},
        ],
    }
    item = ok_payloads.parse_topic(raw, PAGE, {"560000000002": "Имя"})
    assert (item.text, len(item.attachments)) == ("Раз\nДва", 1)
    assert item.author is not None
    assert item.author.name == "Имя"
    own = ok_payloads.parse_topic(raw | {"author_ref": "group:50000000000001", "media": None}, PAGE)
    assert (own.from_community, own.text) == (True, "")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, "is missing"),
        ("x", ""),
        (COMMENT | {"date": "2014"}, "does not match"),
        (COMMENT | {"date_ms": "soon"}, "not a time"),
        ({key: value for key, value in COMMENT.items() if key != "author_id"}, "'author_id' is missing"),
    ],
)
def test_invalid_payload_is_unparsed(raw: Any, reason: str) -> None:
    parsed = ParsedBatch()
    parsed.parse(ok_payloads.parse_comment, raw, PAGE, TOPIC)
    parsed.parse(ok_payloads.parse_comment, COMMENT, PAGE, TOPIC)
    assert len(parsed.items) == 1
    assert reason in parsed.unparsed[0].reason
    assert parsed.unparsed[0].reason


@pytest.mark.parametrize(
    "raw",
    [None, {}, {"object_type": "USER_PHOTO", "object_id": "1"}, {"object_type": "GROUP_TOPIC", "object_id": "1"}],
)
def test_discussions_of_other_types_are_ignored(raw: Any) -> None:
    assert ok_payloads.parse_discussion_row(raw, {"GROUP_TOPIC"}) is None


def test_discussion_of_a_group_topic_is_parsed() -> None:
    raw = {
        "object_id": TOPIC,
        "object_type": "GROUP_TOPIC",
        "ref_objects": [{"id": "50000000000001", "type": "GROUP"}],
        "last_activity_date": "2026-01-01 03:00:00",
        "total_comments_count": 4,
    }
    active_at = datetime(2026, 1, 1, tzinfo=UTC)
    shown = ok_payloads.DiscussionRow(TOPIC, "50000000000001", "2026-01-01 03:00:00|4", 4, active_at)
    assert ok_payloads.parse_discussion_row(raw, {"GROUP_TOPIC"}) == shown
    undated = ok_payloads.parse_discussion_row(raw | {"last_activity_date": None}, {"GROUP_TOPIC"})
    assert undated is not None
    assert undated.active_at is None


def test_keys_of_a_photo_discussion_contain_its_type() -> None:
    raw = {
        "object_id": "77",
        "object_type": "GROUP_PHOTO",
        "ref_objects": [{"id": "50000000000001", "type": "GROUP"}],
        "last_activity_date": "2026-01-01 03:00:00",
        "total_comments_count": 1,
    }
    shown = ok_payloads.parse_discussion_row(raw, {"GROUP_TOPIC", "GROUP_PHOTO"})
    assert shown is not None
    item = ok_payloads.parse_comment(COMMENT, PAGE, shown.key)
    assert (item.external_id, item.thread_key) == ("GROUP_PHOTO:77/MTc2", "ok:GROUP_PHOTO:77")
    assert ok_payloads.split_discussion_key(shown.key) == ("GROUP_PHOTO", "77")
    assert ok_payloads.split_discussion_key(TOPIC) == ("GROUP_TOPIC", TOPIC)


@pytest.mark.parametrize("who", [{"author_id": None}, {"author_id": "0"}, {"author_id": "", "author_ref": None}])
def test_text_of_a_deleted_profile_is_kept(who: dict[str, Any]) -> None:
    item = ok_payloads.parse_comment(COMMENT | who, PAGE, TOPIC)
    assert (item.author, item.from_community, item.text) == (None, False, "Где автобус?")


def test_markup_is_kept_in_the_text() -> None:
    text = "{group:50000000000001}Служба{group}, см. {media_topic:60000000000001}"
    assert ok_payloads.parse_comment(COMMENT | {"text": text}, PAGE, TOPIC).text == text


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("MTc2", "MTc2"),
        ({"comment": {"id": "MTc2"}}, "MTc2"),
        ({"id": "MTc2"}, "MTc2"),
        ({"comment_id": "MTc2"}, "MTc2"),
        (None, None),
        ({}, None),
        (True, None),
        ([], None),
    ],
)
def test_id_is_read_from_every_response_to_a_new_comment(answer: Any, found: str | None) -> None:
    assert _comment_id(answer) == found
