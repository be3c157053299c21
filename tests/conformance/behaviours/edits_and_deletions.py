"""Edits keep the previous text, deletions keep the text, and no order of events restores an old text."""

from uuid import uuid4

import asyncpg

from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Kind, Written
from tests.conformance.ingest_under_test import Stand


async def _commented(stand: Stand, text: str = "Было") -> Written:
    post = await stand.driver.post(stand.page, words("Пост"))
    written = await stand.driver.citizen(stand.page, words(text), under=post)
    await stand.arrived(written)
    return written


async def _edited(stand: Stand, written: Written) -> asyncpg.Record:
    text = words("Стало")
    await stand.driver.edit(written, text)
    row = await stand.arrived(written, text=text)
    assert row["version"] == 2
    assert row["edited_at"] is not None
    assert await stand.texts_before(row) == [written.text]
    (told,) = await stand.events(row["id"], "message.edited")
    assert told["version"] == 2
    assert len(await stand.events(row["id"], "message.received")) == 1
    return row


@behaviour()
async def edited_comment_keeps_previous_text(stand: Stand) -> None:
    await _edited(stand, await _commented(stand))


@behaviour()
async def edited_post_keeps_previous_text(stand: Stand) -> None:
    post = await stand.driver.citizen(stand.page, words("Яма"), "wall_post")
    await stand.arrived(post)
    await _edited(stand, post)


@behaviour()
async def edited_community_post_keeps_previous_text(stand: Stand) -> None:
    post = await stand.driver.post(stand.page, words("Субботник в среду"))
    await stand.arrived(post)
    row = await _edited(stand, post)
    assert row["from_community"]


@behaviour("message_edited")
async def edited_message_keeps_previous_text(stand: Stand) -> None:
    written = await stand.driver.citizen(stand.page, words("Было"), "message", author="700201")
    await stand.arrived(written)
    await _edited(stand, written)


@behaviour()
async def second_edit_keeps_both_previous_texts(stand: Stand) -> None:
    written = await _commented(stand)
    between, last = words("Иначе"), words("Совсем иначе")
    for text in (between, last):
        await stand.driver.edit(written, text)
        row = await stand.arrived(written, text=text)
    assert row["version"] == 3
    assert await stand.texts_before(row) == [written.text, between]
    assert [told["version"] for told in await stand.events(row["id"], "message.edited")] == [2, 3]


@behaviour()
async def edit_to_same_text_changes_nothing(stand: Stand) -> None:
    written = await _commented(stand)
    await stand.driver.edit(written, written.text)
    await stand.later_comment_arrived()
    row = await stand.arrived(written, text=written.text)
    assert row["version"] == 1
    assert await stand.events(row["id"], "message.edited") == []


@behaviour()
async def edit_back_to_first_text_is_a_second_edit(stand: Stand) -> None:
    written = await _commented(stand)
    between = words("Погорячился")
    await stand.driver.edit(written, between)
    await stand.arrived(written, text=between)
    await stand.driver.edit(written, written.text)
    row = await stand.arrived(written, text=written.text, version=3)
    assert await stand.texts_before(row) == [written.text, between]


async def _deleted(stand: Stand, written: Written, by: str) -> None:
    row = await stand.gone(written)
    assert row["text"] == written.text, "the text is kept"
    assert row["deleted_by"] == (by if "deleter" in stand.driver.tells else "unknown")
    (told,) = await stand.events(row["id"], "message.deleted")
    assert told["deleted_by"] == row["deleted_by"]
    await stand.later_comment_arrived()
    row = await stand.gone(written)
    assert len(await stand.events(row["id"], "message.deleted")) == 1


@behaviour()
async def comment_deleted_by_author_keeps_text(stand: Stand) -> None:
    written = await _commented(stand)
    await stand.driver.delete(written, "author")
    await _deleted(stand, written, "author")


@behaviour()
async def comment_deleted_by_community_keeps_text(stand: Stand) -> None:
    written = await _commented(stand)
    await stand.driver.delete(written, "community")
    await _deleted(stand, written, "community")


@behaviour()
async def comment_deleted_after_edit_keeps_all_texts(stand: Stand) -> None:
    written = await _commented(stand)
    row = await _edited(stand, written)
    await stand.driver.delete(written, "community")
    gone = await stand.gone(written)
    assert gone["text"] == row["text"]
    assert await stand.texts_before(gone) == [written.text]


@behaviour("restored")
async def restored_comment_is_not_deleted_any_more(stand: Stand) -> None:
    written = await _commented(stand)
    await stand.driver.delete(written, "community")
    await stand.gone(written)
    await stand.driver.restore(written)
    row = await stand.arrived(written, deleted_at=None)
    assert (row["deleted_by"], row["text"]) == (None, written.text)
    assert len(await stand.events(row["id"], "message.restored")) == 1


@behaviour()
async def comment_deleted_at_once_is_absent_or_deleted(stand: Stand) -> None:
    post = await stand.driver.post(stand.page, words("Пост"))
    written = await stand.driver.citizen(stand.page, words("Сгоряча"), under=post)
    await stand.driver.delete(written, "author")
    after = await stand.driver.citizen(stand.page, words("После"), under=post)
    await stand.arrived(after)
    await stand.later_comment_arrived()
    row = await stand.stored(written)
    assert row is None or row["deleted_at"] is not None, (
        "a deleted message must be marked as deleted if it was stored"
    )


async def _phantom(stand: Stand, number: int, text: str) -> Written:
    post = await stand.driver.post(stand.page, words("Пост"))
    await stand.arrived(post)
    return stand.driver.phantom(stand.page, post, number, words(text))


@behaviour()
async def event_delivered_twice_is_processed_once(stand: Stand) -> None:
    written, event = await _phantom(stand, 1, "Дважды"), uuid4().hex
    for _ in range(2):
        await stand.announce("new", written, event)
    row = await stand.arrived(written)
    await stand.later_comment_arrived()
    assert len(await stand.in_thread(written.thread_key)) == 1
    assert len(await stand.events(row["id"], "message.received")) == 1


@behaviour()
async def event_of_polled_message_stores_no_second_one(stand: Stand) -> None:
    kind: Kind = stand.driver.pushes
    post = await stand.driver.post(stand.page, words("Пост"))
    under = post if kind == "comment" else None
    written = await stand.driver.citizen(stand.page, words("И так, и так"), kind, under=under, author="700202")
    await stand.announce("new", written, uuid4().hex)
    row = await stand.arrived(written)
    await stand.later_comment_arrived()
    await stand.announce("new", written, uuid4().hex)
    await stand.later_comment_arrived()
    assert len(await stand.in_thread(written.thread_key)) == 1
    assert len(await stand.events(row["id"], "message.received")) == 1
    assert (await stand.arrived(written))["version"] == 1


@behaviour("order")
async def deletion_received_before_its_comment_is_applied(stand: Stand) -> None:
    written = await _phantom(stand, 2, "Поздно")
    await stand.announce("deleted", written, uuid4().hex)
    await stand.announce("new", written, uuid4().hex)
    row = await stand.gone(written)
    assert (row["text"], row["deleted_by"]) == (written.text, "author")


@behaviour("order")
async def edit_received_before_its_comment_is_applied(stand: Stand) -> None:
    written, later = await _phantom(stand, 3, "Сначала"), words("Потом")
    await stand.announce("edited", written, uuid4().hex, later)
    await stand.announce("new", written, uuid4().hex)
    row = await stand.arrived(written)
    await stand.later_comment_arrived()
    row = await stand.arrived(written)
    assert row["text"] == later, "the later text must be kept"
    assert len(await stand.events(row["id"], "message.received")) == 1


@behaviour("order")
async def repeated_old_edit_changes_nothing(stand: Stand) -> None:
    written, first = await _phantom(stand, 4, "Первый"), uuid4().hex
    second, third = words("Второй"), words("Третий")
    await stand.announce("new", written, uuid4().hex)
    await stand.announce("edited", written, first, second)
    await stand.announce("edited", written, uuid4().hex, third)
    row = await stand.arrived(written, text=third)
    await stand.announce("edited", written, first, second)
    await stand.later_comment_arrived()
    row = await stand.arrived(written, text=third)
    assert row["version"] == 3
    assert await stand.texts_before(row) == [written.text, second]


@behaviour("order")
async def deletion_delivered_twice_is_processed_once(stand: Stand) -> None:
    written = await _phantom(stand, 5, "Удалят")
    await stand.announce("new", written, uuid4().hex)
    await stand.arrived(written)
    for _ in range(2):
        await stand.announce("deleted", written, uuid4().hex)
    row = await stand.gone(written)
    await stand.later_comment_arrived()
    assert len(await stand.events(row["id"], "message.deleted")) == 1


@behaviour()
async def unparsable_event_is_quarantined(stand: Stand) -> None:
    mark = f"mark-{uuid4().hex}"
    await stand.announce_garbage(mark)

    async def look() -> asyncpg.Record | None:
        return await stand.eye.fetchrow("SELECT * FROM quarantine WHERE strpos(raw, $1) > 0", mark)

    row = await stand.eventually(look, "an unparsable event is not quarantined")
    assert row["reason"]
    assert row["page_id"] == stand.page_id
    after = await stand.driver.citizen(stand.page, words("После"))
    await stand.arrived(after)


@behaviour()
async def events_in_wrong_order_are_all_stored(stand: Stand) -> None:
    first, second = await _phantom(stand, 6, "Первый"), await _phantom(stand, 7, "Второй")
    for written in (second, first):
        await stand.announce("new", written, uuid4().hex)
    for written in (first, second):
        row = await stand.arrived(written)
        assert len(await stand.events(row["id"], "message.received")) == 1


@behaviour("repeats", alone=True)
async def repeated_and_reordered_responses_store_each_message_once(stand: Stand) -> None:
    post = await stand.driver.post(stand.page, words("Пост"))
    before = await stand.driver.citizen(stand.page, words("До"), under=post)
    await stand.arrived(before)
    await stand.driver.mangle()
    written = [before]
    for number in range(4):
        written.append(await stand.driver.citizen(stand.page, words("Комментарий"), under=post))
        written.append(await stand.driver.citizen(stand.page, words("Пост"), "wall_post", author=f"70021{number}"))
        written.append(await stand.driver.citizen(stand.page, words("Вы тут?"), "message", author="700214"))
    text = words("Иначе")
    await stand.driver.edit(before, text)
    for one in written:
        row = await stand.arrived(one, **({"text": text} if one is before else {}))
        assert len(await stand.events(row["id"], "message.received")) == 1
    await stand.later_comment_arrived()
    assert (await stand.arrived(before))["version"] == 2


@behaviour("boards")
async def discussion_comment_is_stored_and_edited(stand: Stand) -> None:
    topic = await stand.driver.board(stand.page, words("Обсуждаем"))
    opened = await stand.arrived(topic)
    assert opened["from_community"]
    written = await stand.driver.citizen(stand.page, words("Согласен"), under=topic)
    row = await stand.arrived(written)
    assert row["thread_key"] == opened["thread_key"]
    assert row["url"].startswith("https://")
    text = words("Исправлено")
    await stand.driver.edit(written, text)
    row = await stand.arrived(written, text=text)
    assert row["version"] == 2


@behaviour("boards")
async def reply_is_published_in_discussion(stand: Stand) -> None:
    topic = await stand.driver.board(stand.page, words("Обсуждаем"))
    written = await stand.driver.citizen(stand.page, words("Когда?"), under=topic)
    row = await stand.arrived(written)
    text = words("Завтра")
    publication = await stand.ask(row["id"], text)
    done = await stand.ended(publication)
    own = await stand.spoken(text)
    assert own["thread_key"] == row["thread_key"]
    assert own["external_id"] == done["external_id"]
    assert len(await stand.driver.answers(stand.page, text)) == 1
