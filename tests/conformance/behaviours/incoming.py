"""Messages of citizens and of the community are stored once, completely, and in the right thread."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from shared.tables.base import decode_text
from tests.conformance.behaviour_list import behaviour
from tests.conformance.drivers.base import Kind, WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest

# Joined emoji, a combining character, a flag, right-to-left text, several line breaks, and NUL.
STRANGE = "👨\u200d👩\u200d👧 и\u0306 🇷🇺 \u200fשלום\u200e\r\nвторая\nтретья\tстрока\u2028\u00a0«ёж» \u0000 конец"


def words(what: str) -> str:
    """Return `what` with a suffix that makes the text unique."""
    return f"{what} {uuid4().hex[:12]}"


def both(post: WrittenMessage) -> tuple[tuple[Kind, WrittenMessage | None], tuple[Kind, None]]:
    """Return (kind, post) for a comment under the post and for a direct message."""
    return ("comment", post), ("message", None)


async def _received_once(system: IngestUnderTest, written: WrittenMessage) -> asyncpg.Record:
    row = await system.wait_until_stored(written)
    assert decode_text(row["text"]) == written.text
    assert not row["from_community"]
    assert row["deleted_at"] is None
    assert row["version"] == 1
    assert row["url"].startswith("https://")
    assert abs(row["written_at"] - datetime.now(UTC)) < timedelta(minutes=10)
    (event,) = await system.events(row["id"], "message.received")
    assert event["kind"] == written.kind
    assert event["author_key"] == row["author_key"]
    return row


@behaviour()
async def new_comment_is_stored_once(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    row = await _received_once(system, await system.driver.citizen(system.page, words("Когда?"), under=post))
    assert row["reply_to"] is None
    assert not row["history"]


@behaviour()
async def reply_to_comment_names_the_comment(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    first = await system.driver.citizen(system.page, words("Первый"), under=post)
    row = await _received_once(system, await system.driver.citizen(system.page, words("Второй"), to=first))
    assert row["reply_to"] == first.external_id


@behaviour()
async def reply_to_reply_names_the_reply(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    first = await system.driver.citizen(system.page, words("Первый"), under=post)
    second = await system.driver.citizen(system.page, words("Второй"), to=first)
    row = await _received_once(system, await system.driver.citizen(system.page, words("Третий"), to=second))
    assert row["reply_to"] == second.external_id


@behaviour()
async def citizen_post_opens_its_own_thread(system: IngestUnderTest) -> None:
    written = await system.driver.citizen(system.page, words("На дороге яма"), "wall_post")
    row = await _received_once(system, written)
    assert row["thread_key"] == written.thread_key


@behaviour()
async def comment_under_citizen_post_belongs_to_its_thread(system: IngestUnderTest) -> None:
    post = await system.driver.citizen(system.page, words("На дороге яма"), "wall_post")
    row = await _received_once(system, await system.driver.citizen(system.page, words("И у нас"), under=post))
    assert row["thread_key"] == post.thread_key


@behaviour()
async def direct_messages_of_one_person_share_a_thread(system: IngestUnderTest) -> None:
    written = await system.driver.citizen(system.page, words("Здравствуйте"), "message", author="700100")
    await _received_once(system, written)
    again = await system.driver.citizen(system.page, words("Вы тут?"), "message", under=written)
    await _received_once(system, again)
    assert again.thread_key == written.thread_key
    assert [row["text"] for row in await system.in_thread(written.thread_key)] == [written.text, again.text]


@behaviour("message_reply")
async def reply_to_message_names_the_message(system: IngestUnderTest) -> None:
    first = await system.driver.citizen(system.page, words("Здравствуйте"), "message", author="700101")
    row = await _received_once(system, await system.driver.citizen(system.page, words("Ау"), "message", to=first))
    assert row["reply_to"] == first.external_id


@behaviour()
async def attachment_without_text_is_stored(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    for kind, under in both(post):
        picture = f"https://example.invalid/{uuid4().hex}.jpg"
        written = await system.driver.citizen(
            system.page, "", kind, under=under, attachments=[picture], author="700102"
        )
        row = await _received_once(system, written)
        assert row["text"] == ""
        assert picture in row["attachments"]


@behaviour()
async def text_of_maximum_length_is_stored_whole(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    lengths = (system.driver.comment_length, system.driver.message_length)
    for (kind, under), length in zip(both(post), lengths, strict=True):
        text = words("Ы" * (length - 13))
        assert len(text) == length
        await _received_once(
            system, await system.driver.citizen(system.page, text, kind, under=under, author="700103")
        )


@behaviour()
async def text_is_stored_unchanged(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    for kind, under in both(post):
        written = await system.driver.citizen(system.page, words(STRANGE), kind, under=under, author="700104")
        row = await _received_once(system, written)
        detail = await system.get(f"/api/v1/messages/{row['id']}")
        assert detail["text"] == written.text


@behaviour()
async def community_post_is_marked_as_from_community(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Завтра субботник"))
    row = await system.wait_until_stored(post, text=post.text)
    assert row["from_community"]
    assert row["publication_id"] is None


@behaviour()
async def staff_comment_is_stored_without_publication(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    question = await system.driver.citizen(system.page, words("Когда?"), under=post)
    text = words("Завтра")
    await system.driver.staff(post, text, to=question)
    row = await system.wait_for_community_message(text)
    assert row["thread_key"] == question.thread_key
    assert row["reply_to"] == question.external_id
    assert row["publication_id"] is None
    assert len(await system.events(row["id"], "message.received")) == 1


@behaviour()
async def staff_message_is_stored_without_publication(system: IngestUnderTest) -> None:
    question = await system.driver.citizen(system.page, words("Когда?"), "message", author="700105")
    text = words("Завтра")
    await system.driver.staff(question, text)
    row = await system.wait_for_community_message(text)
    assert row["thread_key"] == question.thread_key
    assert row["kind"] == "message"
    assert row["publication_id"] is None


@behaviour()
async def equal_texts_are_two_messages(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    text = words("Поддерживаю")
    for _ in range(2):
        await _received_once(system, await system.driver.citizen(system.page, text, under=post, author="700106"))
    assert [row["text"] for row in await system.in_thread(post.thread_key)] == [text, text]


@behaviour()
async def author_has_one_pseudonym_in_all_kinds(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    keys = {}
    for author in ("700107", "700108"):
        for kind, under in both(post):
            written = await system.driver.citizen(system.page, words("Я"), kind, under=under, author=author)
            row = await system.wait_until_stored(written)
            assert author not in row["author_key"]
            keys[author, kind] = row["author_key"]
    assert keys["700107", "comment"] == keys["700107", "message"]
    assert keys["700107", "comment"] != keys["700108", "comment"]


@behaviour("numbers_by_page")
async def same_id_on_two_pages_is_two_messages(system: IngestUnderTest) -> None:
    written = []
    for _ in range(2):
        page, _ = await system.connected("numbers")
        written.append(await system.driver.citizen(page, words("Первый")))
    assert written[0].id == written[1].id
    rows = [await _received_once(system, one) for one in written]
    assert rows[0]["id"] != rows[1]["id"]
    assert rows[0]["thread_key"] != rows[1]["thread_key"]
