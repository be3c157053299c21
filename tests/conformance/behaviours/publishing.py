"""A reply is published once in the right thread, or its author gets the reason why it is not published."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

from services.ingest.networks.catalogue import max_text_length
from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Kind, PublishedReply, WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest

RUSSIAN = re.compile("[А-Яа-яЁё]{3}")


def by_kind(first: str, second: str) -> tuple[tuple[Kind, str], tuple[Kind, str]]:
    """Return (kind, author) for a comment and for a message."""
    return ("comment", first), ("message", second)


async def _question(system: IngestUnderTest, kind: Kind, author: str) -> tuple[WrittenMessage, UUID]:
    """Write a question as a citizen under a new post or in a conversation; return it and the id of its row."""
    under = await system.driver.post(system.page, words("Пост")) if kind == "comment" else None
    written = await system.driver.citizen(system.page, words("Когда?"), kind, under=under, author=author)
    return written, (await system.wait_until_stored(written))["id"]


async def _shown(system: IngestUnderTest, thread: str, begin: str = "") -> list[PublishedReply]:
    return [one for one in await system.driver.answers(system.page, begin) if one.thread == thread]


async def _is_published_once(
    system: IngestUnderTest, publication: UUID, written: WrittenMessage, text: str
) -> PublishedReply:
    """Assert that the reply is published and stored once, and that its message read back is matched to it."""
    done = await system.wait_until_published(publication)
    (shown,) = await _shown(system, written.thread, text)
    assert shown.text == text
    own = await system.wait_for_community_message(text)
    await system.later_comment_arrived()
    assert own["external_id"] == done["external_id"]
    rows = await system.raw_connection.fetch("SELECT publication_id FROM messages WHERE text = $1", text)
    assert [row["publication_id"] for row in rows] == [publication]
    (event,) = await system.events(publication, "publication.published")
    assert event["external_ids"] == [done["external_id"]]
    assert done["url"].startswith("https://")
    return shown


@behaviour()
async def reply_to_comment_is_published_once(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700301")
    text = words("Починим завтра")
    shown = await _is_published_once(system, await system.ask(message, text), written, text)
    assert shown.in_reply_to == written.id


@behaviour("photos")
async def reply_with_a_photo_is_published_with_it(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700330")
    text, photo = words("Починили, вот фото"), system.photos.add()
    shown = await _is_published_once(system, await system.ask(message, text, photos=[photo]), written, text)
    (address,) = shown.photos
    assert (await system.driver.control.get(address)).content == system.photos.photos[photo]


@behaviour("photos", alone=True)
async def reply_whose_upload_got_no_response_is_published_once(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700331")
    await system.driver.fault("lost_response", next=1, method="upload")
    text, photo = words("Починили, вот фото"), system.photos.add()
    shown = await _is_published_once(system, await system.ask(message, text, photos=[photo]), written, text)
    assert len(shown.photos) == 1


@behaviour()
async def reply_to_reply_is_published_once(system: IngestUnderTest) -> None:
    first, _ = await _question(system, "comment", "700302")
    reply = await system.driver.citizen(system.page, words("И у нас?"), to=first, author="700303")
    row = await system.wait_until_stored(reply)
    text = words("И у вас")
    shown = await _is_published_once(system, await system.ask(row["id"], text), reply, text)
    assert shown.in_reply_to == reply.id
    own = await system.wait_for_community_message(text)
    assert own["reply_to"] == reply.external_id


@behaviour()
async def reply_to_citizen_post_is_published_under_it(system: IngestUnderTest) -> None:
    post = await system.driver.citizen(system.page, words("Яма"), "wall_post", author="700304")
    row = await system.wait_until_stored(post)
    text = words("Засыплем")
    shown = await _is_published_once(system, await system.ask(row["id"], text), post, text)
    assert shown.in_reply_to is None


@behaviour()
async def reply_is_published_in_conversation(system: IngestUnderTest) -> None:
    written, message = await _question(system, "message", "700305")
    text = words("Здравствуйте")
    await _is_published_once(system, await system.ask(message, text), written, text)


@behaviour()
async def reply_text_is_published_unchanged(system: IngestUnderTest) -> None:
    for kind, author in by_kind("700306", "700307"):
        written, message = await _question(system, kind, author)
        text = words("«Ёж»\nвторая строка 👨\u200d👩\u200d👧 и\u0306 — 100% & <b>")
        await _is_published_once(system, await system.ask(message, text), written, text)


@behaviour()
async def repeated_request_publishes_once(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700308")
    text, reply = words("Один раз"), uuid4()
    first = await system.ask(message, text, reply_id=reply)
    assert await system.ask(message, text, reply_id=reply) == first
    await _is_published_once(system, first, written, text)


@behaviour()
async def replies_in_one_thread_keep_their_order(system: IngestUnderTest) -> None:
    for kind, author in by_kind("700309", "700310"):
        written, message = await _question(system, kind, author)
        texts = [words(f"{number}") for number in range(3)]
        asked = [await system.ask(message, text) for text in texts]
        for publication in asked:
            await system.wait_until_published(publication)
        assert [one.text for one in await _shown(system, written.thread)] == texts


@behaviour()
async def concurrent_replies_in_many_threads_are_published_once(system: IngestUnderTest) -> None:
    asked = []
    for number in range(5):
        written, message = await _question(system, "comment", f"70031{number}")
        asked.append((written, message, words("Ответ")))
    publications = await asyncio.gather(*(system.ask(message, text) for _, message, text in asked))
    checks = zip(publications, asked, strict=True)
    await asyncio.gather(*(_is_published_once(system, one, written, text) for one, (written, _, text) in checks))


@behaviour()
async def long_reply_is_published_in_parts_in_order(system: IngestUnderTest) -> None:
    for kind, author in by_kind("700320", "700321"):
        written, message = await _question(system, kind, author)
        longest = max_text_length(system.driver.network, kind)
        text = " ".join(f"слово-{number}" for number in range(longest // 4))
        first = await system.ask(message, text)
        parts = -(-len(text) // longest)
        assert parts > 1

        async def complete(first: UUID = first) -> list[Any]:
            return await system.events(first, "publication.published")

        (event,) = await system.eventually(complete, "not all parts are published")
        shown = await _shown(system, written.thread)
        assert len(shown) >= parts
        assert " ".join(one.text for one in shown).split() == text.split()
        assert all(len(one.text) <= longest for one in shown)
        assert len(event["external_ids"]) == len(shown)


@behaviour()
async def reply_of_maximum_length_is_published_whole(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700322")
    text = words("Ы" * (max_text_length(system.driver.network, "comment") - 13))
    await _is_published_once(system, await system.ask(message, text), written, text)


async def _refused(system: IngestUnderTest, publication: UUID, refusal: str) -> None:
    found = await system.wait_until_published(publication, "failed")
    assert found["failure"]["code"].startswith(system.driver.refusal_codes[refusal]), found
    assert RUSSIAN.search(found["failure"]["message"]), found
    assert found["failure"]["final"] is True
    assert found["external_id"] is None
    assert len(await system.events(publication, "publication.failed")) == 1


@behaviour()
async def reply_under_closed_comments_fails_with_reason(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    written = await system.driver.citizen(system.page, words("Когда?"), under=post)
    row = await system.wait_until_stored(written)
    await system.driver.close_comments(post, closed=True)
    publication = await system.ask(row["id"], words("Поздно"))
    await _refused(system, publication, "comments_closed")
    assert await _shown(system, written.thread) == []


@behaviour()
async def retry_after_comments_reopen_publishes_once(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    written = await system.driver.citizen(system.page, words("Когда?"), under=post)
    row = await system.wait_until_stored(written)
    await system.driver.close_comments(post, closed=True)
    text = words("Со второго раза")
    publication = await system.ask(row["id"], text)
    await system.wait_until_published(publication, "failed")
    await system.driver.close_comments(post, closed=False)
    await system.post(f"/api/v1/publications/{publication}/retry", None, role="moderator")

    async def published() -> bool:
        return bool((await system.publication(publication))["status"] == "published")

    await system.eventually(published, "the reply is not sent again")
    await _is_published_once(system, publication, written, text)


@behaviour()
async def reply_to_person_who_blocks_messages_fails_with_reason(system: IngestUnderTest) -> None:
    written, message = await _question(system, "message", "700323")
    await system.driver.block(system.page, written.author)
    publication = await system.ask(message, words("Здравствуйте"))
    await _refused(system, publication, "blocked")
    assert await _shown(system, written.thread) == []


@behaviour()
async def staff_comment_is_not_matched_with_a_publication(system: IngestUnderTest) -> None:
    written, message = await _question(system, "comment", "700324")
    text = words("Ответили сами")
    await system.driver.staff(written, text, to=written)
    by_hand = await system.wait_for_community_message(text)
    ours = words("И мы")
    await _is_published_once(system, await system.ask(message, ours), written, ours)
    assert (await system.wait_until_stored_id(by_hand["id"]))["publication_id"] is None


async def _both(
    system: IngestUnderTest, first_author: int, fault: str, **more: Any
) -> list[tuple[UUID, WrittenMessage, str]]:
    """Request a comment and a message, each with this fault; return publication, question and text of each."""
    asked = []
    kinds: tuple[Kind, Kind] = ("comment", "message")
    questions = [await _question(system, kind, str(first_author + n)) for n, kind in enumerate(kinds)]
    for kind, (written, message) in zip(kinds, questions, strict=True):
        await system.driver.fault(fault, next=1, method=system.driver.publishing_call(kind), **more)
        text = words(f"{fault} {kind}")
        asked.append((await system.ask(message, text), written, text))
    return asked


async def _are_published_once(system: IngestUnderTest, asked: list[tuple[UUID, WrittenMessage, str]]) -> None:
    await asyncio.gather(*(_is_published_once(system, *one) for one in asked))


@behaviour(alone=True)
async def reply_with_lost_response_is_published_once(system: IngestUnderTest) -> None:
    await _are_published_once(system, await _both(system, 700_330, "lost_response"))


@behaviour(alone=True)
async def reply_received_before_its_response_is_published_once(system: IngestUnderTest) -> None:
    asked = await _both(system, 700_332, "slow", seconds=2)
    for _, _, text in asked:
        assert (await system.wait_for_community_message(text))["from_community"]
    await _are_published_once(system, asked)


@behaviour(alone=True)
async def reply_whose_call_never_arrived_is_published_once(system: IngestUnderTest) -> None:
    await _are_published_once(system, await _both(system, 700_334, "drop"))


@behaviour(alone=True)
async def reply_in_flight_at_shutdown_is_published_once(system: IngestUnderTest) -> None:
    asked = await _both(system, 700_336, "slow", seconds=1.5)

    async def out() -> bool:
        return all([await _shown(system, written.thread, text) for _, written, text in asked])

    await system.eventually(out, "the replies do not reach the network")
    async with system.down():
        await asyncio.sleep(2)
    await _are_published_once(system, asked)
