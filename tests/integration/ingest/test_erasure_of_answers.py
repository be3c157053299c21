"""Public answers of the page to an erased person lose their words, also those collected after the erasure."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.ingest.erasure.expired_authors import erase_expired_authors
from services.ingest.erasure.unfinished_gauge import update_oldest
from services.ingest.networks.port import IncomingItem
from services.ingest.pseudonymisation.author_keys import author_key
from shared import clock
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.erasure_harness import NATIVE_ID, ErasureHarness, OtherServices
from tests.integration.ingest.ingest_harness import MOMENT, build_harness

ANSWER = "Мурзилка Перепёлкина, рады помочь!"
LATER = timedelta(minutes=5)


@pytest.fixture
async def harness(database: TestDatabase, keys_dir: Path) -> AsyncIterator[ErasureHarness]:
    async with build_harness(database, keys_dir) as ingest:
        yield ErasureHarness(ingest, OtherServices(database), author_key("vk", NATIVE_ID))


def _post(harness: ErasureHarness, **changes: Any) -> IncomingItem:
    """Return a post of the citizen on the page's wall."""
    values = {"kind": "wall_post", "external_id": "-101_3", "url": "https://vk.com/wall-101_3"}
    return harness.comment(**(values | changes))


def _answer(harness: ErasureHarness, number: int = 8, text: str = ANSWER, **changes: Any) -> IncomingItem:
    """Return a comment of the page in the thread of the post."""
    values: dict[str, Any] = {
        "external_id": f"-101_{number}",
        "author": None,
        "from_community": True,
        "written_at": MOMENT + LATER,
    }
    return harness.ingest.item(text, **(values | changes))


async def _texts(harness: ErasureHarness) -> dict[str, str]:
    rows = await harness.ingest.raw_connection.fetch("SELECT external_id, text FROM messages")
    return {row["external_id"]: row["text"] for row in rows}


async def _attach_to_appeal_of_another_person(harness: ErasureHarness, message_id: UUID, *, ours: bool) -> None:
    """Make the message a reply to somebody else's appeal: one that we published, or one written in the network."""
    reply_id = await _insert_reply(harness, "another", None if ours else message_id)
    if not ours:
        return
    publication_id = await _insert_publication(harness, reply_id, message_id, "published")
    await harness.ingest.raw_connection.execute(
        "UPDATE messages SET publication_id = $1 WHERE id = $2", publication_id, message_id
    )


async def _insert_reply(harness: ErasureHarness, author: str, message_id: UUID | None = None) -> UUID:
    """Insert an appeal of this author with a reply; return the reply."""
    execute = harness.ingest.raw_connection.execute
    appeal_id, reply_id = uuid4(), uuid4()
    await execute(
        """INSERT INTO appeals (id, version, status, urgency, transfers, returns, text, written_at, opened_at,
               network, route, author_key, created_at, updated_at)
           VALUES ($1, 1, 'answered', 'normal', 0, 0, '', $2, $2, 'vk', '{}', $3, $2, $2)""",
        appeal_id, MOMENT, author,
    )  # fmt: skip
    await execute(
        """INSERT INTO replies (id, appeal_id, origin, kind, text, status, author, version, created_at, updated_at,
               message_id)
           VALUES ($1, $2, 'network', 'final', 'x', 'published', 'x', 1, $3, $3, $4)""",
        reply_id, appeal_id, MOMENT, message_id,
    )  # fmt: skip
    return reply_id


async def _insert_publication(harness: ErasureHarness, reply_id: UUID, like: UUID, status: str) -> UUID:
    """Insert the publication of a comment in the thread of the message `like`; return its id."""
    publication_id = uuid4()
    await harness.ingest.raw_connection.execute(
        """INSERT INTO publications (id, reply_id, part, parts, page_id, organisation_id, network, kind,
               thread_key, text, on_behalf_of, status, attempts, version, created_at, updated_at)
           SELECT $1, $2, 0, 1, page_id, organisation_id, network, 'comment', thread_key, $5, 'x', $4, 1, 1,
               now(), now() FROM messages WHERE id = $3""",
        publication_id, reply_id, like, status, ANSWER,
    )  # fmt: skip
    return publication_id


async def test_comment_of_the_page_under_the_persons_post_is_erased(harness: ErasureHarness) -> None:
    others = harness.ingest.item(
        "Чужой пост", kind="wall_post", external_id="-101_4", thread_key="vk:-101_4", url=""
    )
    await harness.ingest.take(
        _post(harness),
        _answer(harness),
        _answer(harness, change="edited", text=f"{ANSWER} Приходите."),
        harness.ingest.item("Чужие слова", external_id="-101_9"),
        _answer(harness, 10, "Ответ другому", reply_to="-101_9"),
        others,
        _answer(harness, 11, "Ответ на чужой пост", thread_key="vk:-101_4"),
        _answer(harness, 12, "Своё", kind="wall_post", thread_key="vk:-101_12"),
    )
    record = await harness.erase()
    assert record["counts"]["ingest"]["replies_in_network"] == 1
    assert await harness.found() == []
    assert await _texts(harness) == {
        "-101_3": "",
        "-101_4": "Чужой пост",
        "-101_8": "",
        "-101_9": "Чужие слова",
        "-101_10": "Ответ другому",
        "-101_11": "Ответ на чужой пост",
        "-101_12": "Своё",
    }


@pytest.mark.parametrize("ours", [True, False])
async def test_reply_to_another_persons_appeal_under_the_post_is_kept(harness: ErasureHarness, ours: bool) -> None:
    await harness.ingest.take(_post(harness), _answer(harness, text="Ответ другому"))
    await _attach_to_appeal_of_another_person(harness, (await harness.ingest.row("-101_8"))["id"], ours=ours)
    await harness.erase()
    await harness.ingest.take(_answer(harness, text="Ответ другому", change="observed"))
    assert (await harness.ingest.row("-101_8"))["text"] == "Ответ другому"


@pytest.mark.parametrize("to_post", [True, False])
@pytest.mark.parametrize("is_stored", [True, False])
async def test_old_answer_collected_after_the_erasure_is_stored_without_text(
    harness: ErasureHarness, to_post: bool, is_stored: bool
) -> None:
    asked = _post(harness) if to_post else harness.comment()
    answer = _answer(harness, reply_to=None if to_post else "-101_7")
    await harness.ingest.take(asked if is_stored else harness.comment("Другое", external_id="-101_30"))
    await harness.erase()
    for _ in range(2):
        # The message that was not stored comes in the batch of its answer.
        await harness.ingest.take(asked, answer)
        await harness.ingest.take(
            _answer(harness, change="edited", text=f"{ANSWER} Ещё", reply_to=answer.reply_to)
        )
    assert await harness.found() == []
    row = await harness.ingest.row("-101_8")
    assert (row["text"], row["history"], row["erased_at"] is None) == ("", True, False)


async def test_old_answer_to_a_message_that_itself_came_late_is_stored_without_text(
    harness: ErasureHarness,
) -> None:
    await harness.ingest.take(harness.comment("Другое", external_id="-101_30"))
    await harness.erase()
    await harness.ingest.take(harness.comment())
    await harness.ingest.take(_answer(harness, reply_to="-101_7"))
    assert await harness.found() == []
    assert (await harness.ingest.row("-101_8"))["text"] == ""


@pytest.mark.parametrize("to_post", [True, False])
async def test_stored_answer_is_erased_when_the_message_that_it_answers_comes_later(
    harness: ErasureHarness, to_post: bool
) -> None:
    reply_to = None if to_post else "-101_7"
    await harness.ingest.take(
        harness.comment("Другое", external_id="-101_30", thread_key="vk:-101_30"),
        _answer(harness, reply_to=reply_to),
        _answer(harness, change="edited", text=f"{ANSWER} Ещё", reply_to=reply_to),
        _answer(harness, 10, "Ответ другому", reply_to="-101_9"),
    )
    await harness.erase()
    await harness.ingest.take(
        _answer(harness, 11, "Новый ответ", reply_to=reply_to, written_at=clock.now() + LATER)
    )
    assert (await harness.ingest.row("-101_8"))["text"] == f"{ANSWER} Ещё"
    await harness.ingest.take(_post(harness) if to_post else harness.comment())
    assert await harness.found() == []
    texts = await _texts(harness)
    assert (texts["-101_8"], texts["-101_10"], texts["-101_11"]) == ("", "Ответ другому", "Новый ответ")


async def test_answer_collected_while_the_erasure_is_queued_is_erased(harness: ErasureHarness) -> None:
    await harness.ingest.take(_post(harness))
    erasure_id = (await harness.request()).json()["id"]
    await harness.ingest.take(_answer(harness))
    assert (await harness.ingest.row("-101_8"))["text"] == ""
    await harness.run(erasure_id)
    assert await harness.found() == []


async def test_answers_to_others_and_newer_answers_keep_their_text_after_the_erasure(
    harness: ErasureHarness,
) -> None:
    await harness.ingest.take(_post(harness), harness.ingest.item("Чужие слова", external_id="-101_9"))
    await harness.erase()
    texts = {"-101_10": "Ответ другому", "-101_11": "Новый ответ", "-101_12": "О другом", "-101_13": "Без ветки"}
    await harness.ingest.take(
        _answer(harness, 10, texts["-101_10"], reply_to="-101_9"),
        _answer(harness, 11, texts["-101_11"], written_at=clock.now() + LATER),
        _answer(harness, 12, texts["-101_12"], thread_key="vk:-101_board3"),
        _answer(harness, 13, texts["-101_13"], reply_to="-101_8000"),
    )
    stored = await _texts(harness)
    assert {number: stored[number] for number in texts} == texts


async def test_text_of_a_stored_answer_survives_a_read_while_the_erasure_is_queued(
    harness: ErasureHarness,
) -> None:
    await harness.ingest.take(_post(harness), _answer(harness, text="Ответ другому"))
    message_id = (await harness.ingest.row("-101_8"))["id"]
    await _attach_to_appeal_of_another_person(harness, message_id, ours=False)
    erasure_id = (await harness.request()).json()["id"]
    for change in ("new", "observed", "edited"):
        await harness.ingest.take(_answer(harness, text="Ответ другому", change=change))
    await harness.run(erasure_id)
    row = await harness.ingest.row("-101_8")
    assert (row["text"], row["version"]) == ("Ответ другому", 1)


async def test_new_comment_under_the_post_is_kept_at_the_end_of_the_retention_period(
    harness: ErasureHarness,
) -> None:
    recent = clock.now() - LATER
    await harness.ingest.take(
        _post(harness),
        _answer(harness),
        _answer(harness, 10, "Объявление", written_at=recent),
        _answer(harness, 10, "Объявление для всех", written_at=recent, change="edited"),
    )
    service = harness.ingest.ingest.service
    assert service.jobs is not None
    assert await erase_expired_authors(service.database, service.jobs, 2 * LATER) == 1
    await harness.run(str(await harness.ingest.raw_connection.fetchval("SELECT id FROM erasures")))
    texts = await _texts(harness)
    assert (texts["-101_8"], texts["-101_10"]) == ("", "Объявление для всех")
    assert await harness.ingest.raw_connection.fetchval("SELECT count(*) FROM message_versions") == 1


async def test_edit_of_a_reply_to_another_person_under_the_post_is_stored(harness: ErasureHarness) -> None:
    await harness.ingest.take(_post(harness), _answer(harness, text="Ответ другому"))
    message_id = (await harness.ingest.row("-101_8"))["id"]
    await _attach_to_appeal_of_another_person(harness, message_id, ours=False)
    await harness.erase()
    raw = {"reply_to_user": NATIVE_ID, "edited": 1772500000}
    await harness.ingest.take(_answer(harness, text="Исправлено", change="edited", raw=raw))
    row = await harness.ingest.row("-101_8")
    assert (row["text"], row["version"]) == ("Исправлено", 2)
    assert len(await harness.ingest.emitted_events("message.edited")) == 1
    assert await harness.found() == []


@pytest.mark.parametrize("to_post", [True, False])
async def test_public_reply_that_was_being_published_is_stored_without_text(
    harness: ErasureHarness, to_post: bool
) -> None:
    await harness.ingest.take(_post(harness) if to_post else harness.comment())
    asked = (await harness.ingest.row("-101_3" if to_post else "-101_7"))["id"]
    publication_id = await _insert_publication(
        harness, await _insert_reply(harness, harness.key), asked, "sending"
    )
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id)
    await harness.ingest.raw_connection.execute(
        "UPDATE publications SET status = 'published', external_id = '-101_8' WHERE id = $1", publication_id
    )
    await harness.run(erasure_id)
    answer = _answer(harness, reply_to=None if to_post else "-101_7", written_at=clock.now() + LATER)
    for change in ("new", "observed", "edited"):
        await harness.ingest.take(replace(answer, change=change))
    assert await harness.found() == []
    row = await harness.ingest.row("-101_8")
    assert (row["text"], row["publication_id"]) == ("", publication_id)


@pytest.mark.parametrize("is_of_another", [True, False])
async def test_erasure_waits_until_the_appeals_service_has_read_a_new_answer(
    harness: ErasureHarness, is_of_another: bool
) -> None:
    text = "Ответ другому" if is_of_another else ANSWER
    await harness.ingest.take(_post(harness))
    await harness.read_by_appeals()
    await harness.ingest.take(_answer(harness, text=text))
    erasure_id = (await harness.request()).json()["id"]
    with pytest.raises(RetryLater):
        await harness.run(erasure_id, is_read_by_appeals=False)
    row = await harness.ingest.row("-101_8")
    assert (row["text"], row["erased_at"]) == (text, None)
    assert (
        "comments under posts of the person that appeals has not read yet: 1"
        in (await harness.record(erasure_id))["error"]
    )
    await harness.ingest.raw_connection.execute("UPDATE erasures SET created_at = now() - interval '1 hour'")
    assert await _oldest_erasure(harness) == pytest.approx(3_600, abs=60)
    if is_of_another:
        await _attach_to_appeal_of_another_person(harness, row["id"], ours=False)
    await harness.run(erasure_id)
    assert (await harness.record(erasure_id))["status"] == "done"
    assert await _oldest_erasure(harness) == 0
    assert (await harness.ingest.row("-101_8"))["text"] == ("Ответ другому" if is_of_another else "")


async def _oldest_erasure(harness: ErasureHarness) -> float | None:
    async with harness.ingest.ingest.service.database.read() as session:
        await update_oldest(session)
    return REGISTRY.get_sample_value("gospablik_oldest_erasure_seconds")
