"""Late or closed pages, invalid tokens, stopped ingest: no message is lost, and the state is reported."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Kind, WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest

KINDS: tuple[Kind, ...] = ("comment", "wall_post", "message")


async def _one_of_each(system: IngestUnderTest, page: str, what: str, author: str) -> list[WrittenMessage]:
    return [await system.driver.citizen(page, words(what), kind, author=author) for kind in KINDS]


async def _arrived_once(system: IngestUnderTest, written: list[WrittenMessage], **expected: Any) -> None:
    for one in written:
        row = await system.wait_until_stored(one, **expected)
        assert row["text"] == one.text
        assert len(await system.events(row["id"], "message.received")) == 1


@behaviour()
async def message_before_go_live_is_history(system: IngestUnderTest) -> None:
    page = await system.new_page("history")
    written = await _one_of_each(system, page, "Давно", "700501")
    await system.connect(page, go_live_at="2099-01-01T00:00:00+00:00")
    await _arrived_once(system, written, history=True)


@behaviour()
async def page_connected_later_stores_its_history(system: IngestUnderTest) -> None:
    page = await system.new_page("late")
    before = await _one_of_each(system, page, "До", "700502")
    await asyncio.sleep(1.2)  # networks return times in whole seconds
    await system.connect(page, go_live_at=datetime.now(UTC).isoformat())
    await asyncio.sleep(1.2)
    after = await _one_of_each(system, page, "После", "700502")
    await _arrived_once(system, after, history=False)
    await _arrived_once(system, before, history=True)


@behaviour()
async def read_page_is_shown_as_healthy(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("shown")
    await system.wait_until_stored(await system.driver.citizen(page, words("Есть кто?")))
    shown = await system.source_state(page_id, "healthy")
    assert shown["network"] == system.driver.network
    assert shown["sources"]
    assert shown["lag_seconds"] is not None


@behaviour()
async def closed_page_is_failing_until_it_reopens(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("closed")
    await system.wait_until_stored(await system.driver.citizen(page, words("До")))
    await system.driver.close_page(page, closed=True)
    shown = await system.source_state(page_id, "failing")
    assert any(one["last_error"] for one in shown["sources"]), shown
    beside = await system.driver.citizen(system.page, words("Рядом"))
    await system.wait_until_stored(beside)
    await system.driver.close_page(page, closed=False)
    after = await system.driver.citizen(page, words("После"))
    await system.wait_until_stored(after)
    await system.source_state(page_id, "healthy")


@behaviour("people_leave")
async def messages_of_deactivated_account_are_stored(system: IngestUnderTest) -> None:
    page = await system.new_page("gone")
    written = await _one_of_each(system, page, "Был", "700503")
    await system.driver.deactivate("700503")
    await system.connect(page)
    await _arrived_once(system, written)
    rows = [await system.wait_until_stored(one) for one in written]
    assert len({row["author_key"] for row in rows}) == 1


@behaviour()
async def second_token_continues_after_first_is_revoked(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("two_tokens")
    (first,) = [one for one in await system.driver.tokens(page) if one["kind"] == "group"]
    await system.wait_until_stored(await system.driver.citizen(page, words("До"), "message", author="700504"))
    second = await system.driver.new_token(page)
    await system.add_token(second, page_id)
    await system.later_comment_arrived()
    await system.driver.revoke(first["token"])
    written = await _one_of_each(system, page, "После", "700504")
    await _arrived_once(system, written)
    text = words("Ответ")
    publication = await system.ask((await system.wait_until_stored(written[2]))["id"], text)
    await system.wait_until_published(publication)


@behaviour()
async def new_token_fetches_what_was_missed_without_one(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("dead")
    await system.wait_until_stored(await system.driver.citizen(page, words("До"), "message", author="700505"))
    for token in await system.driver.tokens(page):
        if token["kind"] == "group":
            await system.driver.revoke(token["token"])
    missed = await system.driver.citizen(page, words("Во время"), "message", author="700505")
    row = await system.wait_until_stored(
        await system.driver.citizen(system.page, words("Рядом"), "message", author="700506")
    )
    assert row["page_id"] == system.page_id
    if system.driver.network == "vk":
        await system.driver.drop_push(page)  # the key of Long Poll stays valid after the token is revoked

    async def reported() -> bool:
        state = await system.raw_connection.fetchval(
            "SELECT state FROM network_tokens WHERE page_id = $1", page_id
        )
        return bool(state == "revoked")

    await system.eventually(reported, "the revoked token is not reported")
    await system.source_state(page_id, "failing", "no_token")
    await system.add_token(await system.driver.new_token(page), page_id)
    await _arrived_once(system, [missed])
    await system.source_state(page_id, "healthy")


@behaviour()
async def reply_without_token_is_published_once_one_is_added(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("waiting")
    written = await system.driver.citizen(page, words("Когда?"), "message", author="700507")
    row = await system.wait_until_stored(written)
    for token in await system.driver.tokens(page):
        if token["kind"] == "group":
            await system.driver.revoke(token["token"])
    text = words("Дождались")
    publication = await system.ask(row["id"], text)

    async def refused() -> dict[str, Any] | None:
        failure: dict[str, Any] | None = (await system.publication(publication))["failure"]
        return failure

    failure = await system.eventually(refused, "the reason why the reply is not published is not shown")
    assert failure["final"] is False
    await system.add_token(await system.driver.new_token(page), page_id)
    await system.wait_until_published(publication)
    assert [one.text for one in await system.driver.answers(page)] == [text]


@behaviour(alone=True)
async def messages_written_during_downtime_are_stored(system: IngestUnderTest) -> None:
    await system.wait_until_stored(await system.driver.citizen(system.page, words("До")))
    async with system.down():
        written = await _one_of_each(system, system.page, "Пока нас не было", "700508")
        reply = await system.driver.citizen(system.page, words("Ответ"), to=written[0])
        edited = await system.driver.citizen(system.page, words("Опечатка"), author="700509")
        await system.driver.edit(edited, words("Исправлено"))
        deleted = await system.driver.citizen(system.page, words("Лишнее"), author="700509")
        await system.driver.delete(deleted)
    await _arrived_once(system, [*written, reply])
    assert (await system.wait_until_stored(edited))["text"] != "", "the text edited meanwhile must be stored"
    row = await system.stored(deleted)
    assert row is None or (await system.wait_until_deleted(deleted))["deleted_at"] is not None


@behaviour(alone=True)
async def lost_push_is_found_by_polling(system: IngestUnderTest) -> None:
    page, _ = await system.connected("lost")
    await system.wait_until_stored(await system.driver.citizen(page, words("До")))
    async with system.driver.stop_push():
        await asyncio.sleep(2.5)  # longer than one long poll call waits
        written = await _one_of_each(system, page, "Потеряно", "700510")
        await system.driver.drop_push(page)
    await _arrived_once(system, written)


@behaviour(alone=True)
async def silent_network_is_failing_until_it_responds(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("silent")
    await system.wait_until_stored(await system.driver.citizen(page, words("До")))
    async with system.driver.stop_push():
        await system.source_state(page_id, "failing")
        written = await _one_of_each(system, page, "В тишине", "700511")
    await _arrived_once(system, written)
    await system.source_state(page_id, "healthy")


@behaviour()
async def inactive_page_is_not_read(system: IngestUnderTest) -> None:
    page, page_id = await system.connected("left")
    await system.wait_until_stored(await system.driver.citizen(page, words("До")))
    await _follow(system, page_id, follow=False)
    # The newer page is read only after the page list was refreshed, so the inactive page is off the list by then.
    newer, _ = await system.connected("newer")
    await system.wait_until_stored(await system.driver.citizen(newer, words("После")))
    written = await system.driver.citizen(page, words("Никому"))
    await system.later_comment_arrived()
    assert await system.stored(written) is None
    await _follow(system, page_id, follow=True)
    await system.wait_until_stored(written)


async def _follow(system: IngestUnderTest, page_id: UUID, *, follow: bool) -> None:
    await system.raw_connection.execute("UPDATE pages SET active = $2 WHERE id = $1", page_id, follow)


@behaviour("calls_us", alone=True)
async def pushed_message_is_stored_once(system: IngestUnderTest) -> None:
    kind = system.driver.pushes
    async with system.reachable(**system.driver.push_settings):
        page, page_id = await system.connected("pushed")
        states = "SELECT state FROM callback_registrations WHERE page_id = $1"

        async def working() -> bool:
            return bool(await system.raw_connection.fetchval(states, page_id) == "active")

        await system.eventually(working, "the network does not push to our address")
        brought_by = []
        for _ in range(5):  # messages written while ingest changes to push may come from another source
            written = await system.driver.citizen(page, words("Сразу"), kind, author="700512")
            row = await system.wait_until_stored(written)
            assert len(await system.events(row["id"], "message.received")) == 1
            brought_by.append(row["source_kind"])
        assert "callback" in brought_by
    again = await system.driver.citizen(page, words("И потом"), kind, author="700512")
    await system.wait_until_stored(again)
