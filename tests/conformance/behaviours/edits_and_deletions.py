"""Edits keep the previous text, deletions keep the text, and events in any order restore no old text."""

from uuid import uuid4

import asyncpg

from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Kind, WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest


async def _commented(system: IngestUnderTest, text: str = "Было") -> WrittenMessage:
    post = await system.driver.post(system.page, words("Пост"))
    written = await system.driver.citizen(system.page, words(text), under=post)
    await system.wait_until_stored(written)
    return written


async def _edited(system: IngestUnderTest, written: WrittenMessage) -> asyncpg.Record:
    text = words("Стало")
    await system.driver.edit(written, text)
    row = await system.wait_until_stored(written, text=text)
    assert row["version"] == 2
    assert row["edited_at"] is not None
    assert await system.texts_before(row) == [written.text]
    (event,) = await system.events(row["id"], "message.edited")
    assert event["version"] == 2
    assert len(await system.events(row["id"], "message.received")) == 1
    return row


@behaviour()
async def edited_comment_keeps_previous_text(system: IngestUnderTest) -> None:
    await _edited(system, await _commented(system))


@behaviour()
async def edited_post_keeps_previous_text(system: IngestUnderTest) -> None:
    post = await system.driver.citizen(system.page, words("Яма"), "wall_post")
    await system.wait_until_stored(post)
    await _edited(system, post)


@behaviour()
async def edited_community_post_keeps_previous_text(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Субботник в среду"))
    await system.wait_until_stored(post)
    row = await _edited(system, post)
    assert row["from_community"]


@behaviour("message_edited")
async def edited_message_keeps_previous_text(system: IngestUnderTest) -> None:
    written = await system.driver.citizen(system.page, words("Было"), "message", author="700201")
    await system.wait_until_stored(written)
    await _edited(system, written)


@behaviour()
async def second_edit_keeps_both_previous_texts(system: IngestUnderTest) -> None:
    written = await _commented(system)
    between, last = words("Иначе"), words("Совсем иначе")
    for text in (between, last):
        await system.driver.edit(written, text)
        row = await system.wait_until_stored(written, text=text)
    assert row["version"] == 3
    assert await system.texts_before(row) == [written.text, between]
    assert [event["version"] for event in await system.events(row["id"], "message.edited")] == [2, 3]


@behaviour()
async def edit_to_same_text_changes_nothing(system: IngestUnderTest) -> None:
    written = await _commented(system)
    await system.driver.edit(written, written.text)
    await system.later_comment_arrived()
    row = await system.wait_until_stored(written, text=written.text)
    assert row["version"] == 1
    assert await system.events(row["id"], "message.edited") == []


@behaviour()
async def edit_back_to_first_text_is_a_second_edit(system: IngestUnderTest) -> None:
    written = await _commented(system)
    between = words("Погорячился")
    await system.driver.edit(written, between)
    await system.wait_until_stored(written, text=between)
    await system.driver.edit(written, written.text)
    row = await system.wait_until_stored(written, text=written.text, version=3)
    assert await system.texts_before(row) == [written.text, between]


async def _deleted(system: IngestUnderTest, written: WrittenMessage, by: str) -> None:
    row = await system.wait_until_deleted(written)
    assert row["text"] == written.text, "the text must be kept"
    assert row["deleted_by"] == (by if "deleter" in system.driver.capabilities else "unknown")
    (event,) = await system.events(row["id"], "message.deleted")
    assert event["deleted_by"] == row["deleted_by"]
    await system.later_comment_arrived()
    row = await system.wait_until_deleted(written)
    assert len(await system.events(row["id"], "message.deleted")) == 1


@behaviour()
async def comment_deleted_by_author_keeps_text(system: IngestUnderTest) -> None:
    written = await _commented(system)
    await system.driver.delete(written, "author")
    await _deleted(system, written, "author")


@behaviour()
async def comment_deleted_by_community_keeps_text(system: IngestUnderTest) -> None:
    written = await _commented(system)
    await system.driver.delete(written, "community")
    await _deleted(system, written, "community")


@behaviour()
async def comment_deleted_after_edit_keeps_all_texts(system: IngestUnderTest) -> None:
    written = await _commented(system)
    row = await _edited(system, written)
    await system.driver.delete(written, "community")
    gone = await system.wait_until_deleted(written)
    assert gone["text"] == row["text"]
    assert await system.texts_before(gone) == [written.text]


@behaviour("restored")
async def restored_comment_is_no_longer_deleted(system: IngestUnderTest) -> None:
    written = await _commented(system)
    await system.driver.delete(written, "community")
    await system.wait_until_deleted(written)
    await system.driver.restore(written)
    row = await system.wait_until_stored(written, deleted_at=None)
    assert (row["deleted_by"], row["text"]) == (None, written.text)
    assert len(await system.events(row["id"], "message.restored")) == 1


@behaviour()
async def comment_deleted_at_once_is_absent_or_deleted(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    written = await system.driver.citizen(system.page, words("Сгоряча"), under=post)
    await system.driver.delete(written, "author")
    after = await system.driver.citizen(system.page, words("После"), under=post)
    await system.wait_until_stored(after)
    await system.later_comment_arrived()
    row = await system.stored(written)
    assert row is None or row["deleted_at"] is not None, (
        "a deleted message must be marked as deleted if it was stored"
    )


async def _unknown_message(system: IngestUnderTest, number: int, text: str) -> WrittenMessage:
    post = await system.driver.post(system.page, words("Пост"))
    await system.wait_until_stored(post)
    return system.driver.unknown_message(system.page, post, number, words(text))


@behaviour()
async def event_delivered_twice_is_processed_once(system: IngestUnderTest) -> None:
    written, event = await _unknown_message(system, 1, "Дважды"), uuid4().hex
    for _ in range(2):
        await system.announce("new", written, event)
    row = await system.wait_until_stored(written)
    await system.later_comment_arrived()
    assert len(await system.in_thread(written.thread_key)) == 1
    assert len(await system.events(row["id"], "message.received")) == 1


@behaviour()
async def event_of_polled_message_stores_no_second_one(system: IngestUnderTest) -> None:
    kind: Kind = system.driver.pushes
    post = await system.driver.post(system.page, words("Пост"))
    under = post if kind == "comment" else None
    written = await system.driver.citizen(system.page, words("И так, и так"), kind, under=under, author="700202")
    await system.announce("new", written, uuid4().hex)
    row = await system.wait_until_stored(written)
    await system.later_comment_arrived()
    await system.announce("new", written, uuid4().hex)
    await system.later_comment_arrived()
    assert len(await system.in_thread(written.thread_key)) == 1
    assert len(await system.events(row["id"], "message.received")) == 1
    assert (await system.wait_until_stored(written))["version"] == 1


@behaviour("order")
async def deletion_received_before_its_comment_is_applied(system: IngestUnderTest) -> None:
    written = await _unknown_message(system, 2, "Поздно")
    await system.announce("deleted", written, uuid4().hex)
    await system.announce("new", written, uuid4().hex)
    row = await system.wait_until_deleted(written)
    assert (row["text"], row["deleted_by"]) == (written.text, "author")


@behaviour("order")
async def edit_received_before_its_comment_is_applied(system: IngestUnderTest) -> None:
    written, later = await _unknown_message(system, 3, "Сначала"), words("Потом")
    await system.announce("edited", written, uuid4().hex, later)
    await system.announce("new", written, uuid4().hex)
    row = await system.wait_until_stored(written)
    await system.later_comment_arrived()
    row = await system.wait_until_stored(written)
    assert row["text"] == later, "the later text must be kept"
    assert len(await system.events(row["id"], "message.received")) == 1


@behaviour("order")
async def repeated_old_edit_changes_nothing(system: IngestUnderTest) -> None:
    written, first = await _unknown_message(system, 4, "Первый"), uuid4().hex
    second, third = words("Второй"), words("Третий")
    await system.announce("new", written, uuid4().hex)
    await system.announce("edited", written, first, second)
    await system.announce("edited", written, uuid4().hex, third)
    row = await system.wait_until_stored(written, text=third)
    await system.announce("edited", written, first, second)
    await system.later_comment_arrived()
    row = await system.wait_until_stored(written, text=third)
    assert row["version"] == 3
    assert await system.texts_before(row) == [written.text, second]


@behaviour("order")
async def deletion_delivered_twice_is_processed_once(system: IngestUnderTest) -> None:
    written = await _unknown_message(system, 5, "Удалят")
    await system.announce("new", written, uuid4().hex)
    await system.wait_until_stored(written)
    for _ in range(2):
        await system.announce("deleted", written, uuid4().hex)
    row = await system.wait_until_deleted(written)
    await system.later_comment_arrived()
    assert len(await system.events(row["id"], "message.deleted")) == 1


@behaviour()
async def unparsable_event_is_quarantined(system: IngestUnderTest) -> None:
    mark = f"mark-{uuid4().hex}"
    await system.announce_garbage(mark)

    async def look() -> asyncpg.Record | None:
        return await system.raw_connection.fetchrow("SELECT * FROM quarantine WHERE strpos(raw, $1) > 0", mark)

    row = await system.eventually(look, "an unparsable event is not quarantined")
    assert row["reason"]
    assert row["page_id"] == system.page_id
    after = await system.driver.citizen(system.page, words("После"))
    await system.wait_until_stored(after)


@behaviour()
async def events_in_wrong_order_are_all_stored(system: IngestUnderTest) -> None:
    first, second = await _unknown_message(system, 6, "Первый"), await _unknown_message(system, 7, "Второй")
    for written in (second, first):
        await system.announce("new", written, uuid4().hex)
    for written in (first, second):
        row = await system.wait_until_stored(written)
        assert len(await system.events(row["id"], "message.received")) == 1


@behaviour("repeats", alone=True)
async def repeated_and_reordered_responses_store_each_message_once(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    before = await system.driver.citizen(system.page, words("До"), under=post)
    await system.wait_until_stored(before)
    await system.driver.shuffle_responses()
    written = [before]
    for number in range(4):
        written.append(await system.driver.citizen(system.page, words("Комментарий"), under=post))
        written.append(
            await system.driver.citizen(system.page, words("Пост"), "wall_post", author=f"70021{number}")
        )
        written.append(await system.driver.citizen(system.page, words("Вы тут?"), "message", author="700214"))
    text = words("Иначе")
    await system.driver.edit(before, text)
    for one in written:
        row = await system.wait_until_stored(one, **({"text": text} if one is before else {}))
        assert len(await system.events(row["id"], "message.received")) == 1
    await system.later_comment_arrived()
    assert (await system.wait_until_stored(before))["version"] == 2


@behaviour("boards")
async def discussion_comment_is_stored_and_edited(system: IngestUnderTest) -> None:
    topic = await system.driver.board(system.page, words("Обсуждаем"))
    opened = await system.wait_until_stored(topic)
    assert opened["from_community"]
    written = await system.driver.citizen(system.page, words("Согласен"), under=topic)
    row = await system.wait_until_stored(written)
    assert row["thread_key"] == opened["thread_key"]
    assert row["url"].startswith("https://")
    text = words("Исправлено")
    await system.driver.edit(written, text)
    row = await system.wait_until_stored(written, text=text)
    assert row["version"] == 2


@behaviour("boards")
async def reply_is_published_in_discussion(system: IngestUnderTest) -> None:
    topic = await system.driver.board(system.page, words("Обсуждаем"))
    written = await system.driver.citizen(system.page, words("Когда?"), under=topic)
    row = await system.wait_until_stored(written)
    text = words("Завтра")
    publication = await system.ask(row["id"], text)
    done = await system.wait_until_published(publication)
    own = await system.wait_for_community_message(text)
    assert own["thread_key"] == row["thread_key"]
    assert own["external_id"] == done["external_id"]
    assert len(await system.driver.answers(system.page, text)) == 1
