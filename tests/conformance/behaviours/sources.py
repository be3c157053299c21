"""Pages connected late or closed, invalid tokens, ingest stopped: nothing is lost, and the state is reported."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Kind, Written
from tests.conformance.ingest_under_test import Stand

KINDS: tuple[Kind, ...] = ("comment", "wall_post", "message")


async def _one_of_each(stand: Stand, page: str, what: str, author: str) -> list[Written]:
    return [await stand.driver.citizen(page, words(what), kind, author=author) for kind in KINDS]


async def _arrived_once(stand: Stand, written: list[Written], **expected: Any) -> None:
    for one in written:
        row = await stand.arrived(one, **expected)
        assert row["text"] == one.text
        assert len(await stand.events(row["id"], "message.received")) == 1


@behaviour()
async def message_before_go_live_is_history(stand: Stand) -> None:
    page = await stand.new_page("history")
    written = await _one_of_each(stand, page, "Давно", "700501")
    await stand.connect(page, go_live_at="2099-01-01T00:00:00+00:00")
    await _arrived_once(stand, written, history=True)


@behaviour()
async def page_connected_later_stores_its_history(stand: Stand) -> None:
    page = await stand.new_page("late")
    before = await _one_of_each(stand, page, "До", "700502")
    await asyncio.sleep(1.2)  # networks give times in seconds
    await stand.connect(page, go_live_at=datetime.now(UTC).isoformat())
    await asyncio.sleep(1.2)
    after = await _one_of_each(stand, page, "После", "700502")
    await _arrived_once(stand, after, history=False)
    await _arrived_once(stand, before, history=True)


@behaviour()
async def read_page_is_shown_as_healthy(stand: Stand) -> None:
    page, page_id = await stand.connected("shown")
    await stand.arrived(await stand.driver.citizen(page, words("Есть кто?")))
    shown = await stand.source_state(page_id, "healthy")
    assert shown["network"] == stand.driver.network
    assert shown["sources"]
    assert shown["lag_seconds"] is not None


@behaviour()
async def closed_page_is_failing_until_it_reopens(stand: Stand) -> None:
    page, page_id = await stand.connected("closed")
    await stand.arrived(await stand.driver.citizen(page, words("До")))
    await stand.driver.close_page(page, closed=True)
    shown = await stand.source_state(page_id, "failing")
    assert any(one["last_error"] for one in shown["sources"]), shown
    beside = await stand.driver.citizen(stand.page, words("Рядом"))
    await stand.arrived(beside)
    await stand.driver.close_page(page, closed=False)
    after = await stand.driver.citizen(page, words("После"))
    await stand.arrived(after)
    await stand.source_state(page_id, "healthy")


@behaviour("people_leave")
async def messages_of_deactivated_account_are_stored(stand: Stand) -> None:
    page = await stand.new_page("gone")
    written = await _one_of_each(stand, page, "Был", "700503")
    await stand.driver.deactivate("700503")
    await stand.connect(page)
    await _arrived_once(stand, written)
    rows = [await stand.arrived(one) for one in written]
    assert len({row["author_key"] for row in rows}) == 1


@behaviour()
async def second_token_continues_after_first_is_revoked(stand: Stand) -> None:
    page, page_id = await stand.connected("two_tokens")
    (first,) = [one for one in await stand.driver.tokens(page) if one["kind"] == "group"]
    await stand.arrived(await stand.driver.citizen(page, words("До"), "message", author="700504"))
    second = await stand.driver.new_token(page)
    await stand.hand_over(second, page_id)
    await stand.later_comment_arrived()
    await stand.driver.revoke(first["token"])
    written = await _one_of_each(stand, page, "После", "700504")
    await _arrived_once(stand, written)
    text = words("Ответ")
    publication = await stand.ask((await stand.arrived(written[2]))["id"], text)
    await stand.ended(publication)


@behaviour()
async def new_token_fetches_what_was_missed_without_one(stand: Stand) -> None:
    page, page_id = await stand.connected("dead")
    await stand.arrived(await stand.driver.citizen(page, words("До"), "message", author="700505"))
    for token in await stand.driver.tokens(page):
        if token["kind"] == "group":
            await stand.driver.revoke(token["token"])
    missed = await stand.driver.citizen(page, words("Во время"), "message", author="700505")
    row = await stand.arrived(await stand.driver.citizen(stand.page, words("Рядом"), "message", author="700506"))
    assert row["page_id"] == stand.page_id
    if stand.driver.network == "vk":
        await stand.driver.lose_push(page)  # until then Long Poll's own key still works

    async def told() -> bool:
        state = await stand.eye.fetchval("SELECT state FROM network_tokens WHERE page_id = $1", page_id)
        return bool(state == "revoked")

    await stand.eventually(told, "the revoked token is not reported")
    await stand.source_state(page_id, "failing", "no_token")
    await stand.hand_over(await stand.driver.new_token(page), page_id)
    await _arrived_once(stand, [missed])
    await stand.source_state(page_id, "healthy")


@behaviour(long=True)
async def reply_without_token_is_published_once_one_is_added(stand: Stand) -> None:
    page, page_id = await stand.connected("waiting")
    written = await stand.driver.citizen(page, words("Когда?"), "message", author="700507")
    row = await stand.arrived(written)
    for token in await stand.driver.tokens(page):
        if token["kind"] == "group":
            await stand.driver.revoke(token["token"])
    text = words("Дождались")
    publication = await stand.ask(row["id"], text)

    async def refused() -> dict[str, Any] | None:
        failure: dict[str, Any] | None = (await stand.publication(publication))["failure"]
        return failure

    failure = await stand.eventually(refused, "the reason why the reply is not published is not shown")
    assert failure["final"] is False
    await stand.hand_over(await stand.driver.new_token(page), page_id)
    await stand.ended(publication)
    assert [one.text for one in await stand.driver.answers(page)] == [text]


@behaviour(alone=True)
async def messages_written_during_downtime_are_stored(stand: Stand) -> None:
    await stand.arrived(await stand.driver.citizen(stand.page, words("До")))
    async with stand.down():
        written = await _one_of_each(stand, stand.page, "Пока нас не было", "700508")
        reply = await stand.driver.citizen(stand.page, words("Ответ"), to=written[0])
        edited = await stand.driver.citizen(stand.page, words("Опечатка"), author="700509")
        await stand.driver.edit(edited, words("Исправлено"))
        deleted = await stand.driver.citizen(stand.page, words("Лишнее"), author="700509")
        await stand.driver.delete(deleted)
    await _arrived_once(stand, [*written, reply])
    assert (await stand.arrived(edited))["text"] != "", "the text edited meanwhile must be stored"
    row = await stand.stored(deleted)
    assert row is None or (await stand.gone(deleted))["deleted_at"] is not None


@behaviour(alone=True)
async def lost_push_is_found_by_polling(stand: Stand) -> None:
    page, _ = await stand.connected("lost")
    await stand.arrived(await stand.driver.citizen(page, words("До")))
    async with stand.driver.silence():
        await asyncio.sleep(2.5)  # longer than a long poll call waits
        written = await _one_of_each(stand, page, "Потеряно", "700510")
        await stand.driver.lose_push(page)
    await _arrived_once(stand, written)


@behaviour(alone=True)
async def silent_network_is_failing_until_it_responds(stand: Stand) -> None:
    page, page_id = await stand.connected("silent")
    await stand.arrived(await stand.driver.citizen(page, words("До")))
    async with stand.driver.silence():
        await stand.source_state(page_id, "failing")
        written = await _one_of_each(stand, page, "В тишине", "700511")
    await _arrived_once(stand, written)
    await stand.source_state(page_id, "healthy")


@behaviour()
async def inactive_page_is_not_read(stand: Stand) -> None:
    page, page_id = await stand.connected("left")
    await stand.arrived(await stand.driver.citizen(page, words("До")))
    await _follow(stand, page_id, follow=False)
    # The refresh of the page list that finds this newer page has also dropped the page that is no longer followed.
    newer, _ = await stand.connected("newer")
    await stand.arrived(await stand.driver.citizen(newer, words("После")))
    written = await stand.driver.citizen(page, words("Никому"))
    await stand.later_comment_arrived()
    assert await stand.stored(written) is None
    await _follow(stand, page_id, follow=True)
    await stand.arrived(written)


async def _follow(stand: Stand, page_id: UUID, *, follow: bool) -> None:
    await stand.eye.execute("UPDATE pages SET active = $2 WHERE id = $1", page_id, follow)


@behaviour("calls_us", alone=True)
async def pushed_message_is_stored_once(stand: Stand) -> None:
    kind = stand.driver.pushes
    async with stand.reachable(**stand.driver.push_settings):
        page, page_id = await stand.connected("pushed")
        states = "SELECT state FROM callback_registrations WHERE page_id = $1"

        async def working() -> bool:
            return bool(await stand.eye.fetchval(states, page_id) == "active")

        await stand.eventually(working, "the network does not push to our address")
        brought_by = []
        for _ in range(5):  # messages written during the change may come from another source
            written = await stand.driver.citizen(page, words("Сразу"), kind, author="700512")
            row = await stand.arrived(written)
            assert len(await stand.events(row["id"], "message.received")) == 1
            brought_by.append(row["source_kind"])
        assert "callback" in brought_by
    again = await stand.driver.citizen(page, words("И потом"), kind, author="700512")
    await stand.arrived(again)
