"""A reply is published once in the right thread, or its author is shown why it is not."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

from services.ingest.networks.catalogue import max_text_length
from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import Answer, Kind, Written
from tests.conformance.ingest_under_test import Stand

RUSSIAN = re.compile("[А-Яа-яЁё]{3}")


def by_kind(first: str, second: str) -> tuple[tuple[Kind, str], tuple[Kind, str]]:
    """Return the author of a comment and the author of a message."""
    return ("comment", first), ("message", second)


async def _question(stand: Stand, kind: Kind, author: str) -> tuple[Written, UUID]:
    """Ask as a citizen under a new post or in a conversation; return the question and its row."""
    under = await stand.driver.post(stand.page, words("Пост")) if kind == "comment" else None
    written = await stand.driver.citizen(stand.page, words("Когда?"), kind, under=under, author=author)
    return written, (await stand.arrived(written))["id"]


async def _shown(stand: Stand, thread: str, begin: str = "") -> list[Answer]:
    return [one for one in await stand.driver.answers(stand.page, begin) if one.thread == thread]


async def _is_published_once(stand: Stand, publication: UUID, written: Written, text: str) -> Answer:
    """Check that the reply is published and shown once, and that the comment read back is matched to it."""
    done = await stand.ended(publication)
    (shown,) = await _shown(stand, written.thread, text)
    assert shown.text == text
    own = await stand.spoken(text)
    await stand.later_comment_arrived()
    assert own["external_id"] == done["external_id"]
    rows = await stand.eye.fetch("SELECT publication_id FROM messages WHERE text = $1", text)
    assert [row["publication_id"] for row in rows] == [publication]
    (told,) = await stand.events(publication, "publication.published")
    assert told["external_ids"] == [done["external_id"]]
    assert done["url"].startswith("https://")
    return shown


@behaviour()
async def reply_to_comment_is_published_once(stand: Stand) -> None:
    written, message = await _question(stand, "comment", "700301")
    text = words("Починим завтра")
    shown = await _is_published_once(stand, await stand.ask(message, text), written, text)
    assert shown.in_reply_to == written.id


@behaviour()
async def reply_to_reply_is_published_once(stand: Stand) -> None:
    first, _ = await _question(stand, "comment", "700302")
    reply = await stand.driver.citizen(stand.page, words("И у нас?"), to=first, author="700303")
    row = await stand.arrived(reply)
    text = words("И у вас")
    shown = await _is_published_once(stand, await stand.ask(row["id"], text), reply, text)
    assert shown.in_reply_to == reply.id
    own = await stand.spoken(text)
    assert own["reply_to"] == reply.external_id


@behaviour()
async def reply_to_citizen_post_is_published_under_it(stand: Stand) -> None:
    post = await stand.driver.citizen(stand.page, words("Яма"), "wall_post", author="700304")
    row = await stand.arrived(post)
    text = words("Засыплем")
    shown = await _is_published_once(stand, await stand.ask(row["id"], text), post, text)
    assert shown.in_reply_to is None


@behaviour()
async def reply_is_published_in_conversation(stand: Stand) -> None:
    written, message = await _question(stand, "message", "700305")
    text = words("Здравствуйте")
    await _is_published_once(stand, await stand.ask(message, text), written, text)


@behaviour()
async def reply_text_is_published_unchanged(stand: Stand) -> None:
    for kind, author in by_kind("700306", "700307"):
        written, message = await _question(stand, kind, author)
        text = words("«Ёж»\nвторая строка 👨\u200d👩\u200d👧 и\u0306 — 100% & <b>")
        await _is_published_once(stand, await stand.ask(message, text), written, text)


@behaviour()
async def repeated_request_publishes_once(stand: Stand) -> None:
    written, message = await _question(stand, "comment", "700308")
    text, reply = words("Один раз"), uuid4()
    first = await stand.ask(message, text, reply_id=reply)
    assert await stand.ask(message, text, reply_id=reply) == first
    await _is_published_once(stand, first, written, text)


@behaviour()
async def replies_in_one_thread_keep_their_order(stand: Stand) -> None:
    for kind, author in by_kind("700309", "700310"):
        written, message = await _question(stand, kind, author)
        texts = [words(f"{number}") for number in range(3)]
        asked = [await stand.ask(message, text) for text in texts]
        for publication in asked:
            await stand.ended(publication)
        assert [one.text for one in await _shown(stand, written.thread)] == texts


@behaviour()
async def concurrent_replies_in_many_threads_are_published_once(stand: Stand) -> None:
    asked = []
    for number in range(5):
        written, message = await _question(stand, "comment", f"70031{number}")
        asked.append((written, message, words("Ответ")))
    publications = await asyncio.gather(*(stand.ask(message, text) for _, message, text in asked))
    checks = zip(publications, asked, strict=True)
    await asyncio.gather(*(_is_published_once(stand, one, written, text) for one, (written, _, text) in checks))


@behaviour()
async def long_reply_is_published_in_parts_in_order(stand: Stand) -> None:
    for kind, author in by_kind("700320", "700321"):
        written, message = await _question(stand, kind, author)
        longest = max_text_length(stand.driver.network, kind)
        text = " ".join(f"слово-{number}" for number in range(longest // 4))
        first = await stand.ask(message, text)
        parts = -(-len(text) // longest)
        assert parts > 1

        async def complete(first: UUID = first) -> list[Any]:
            return await stand.events(first, "publication.published")

        (told,) = await stand.eventually(complete, "not all parts are published")
        shown = await _shown(stand, written.thread)
        assert len(shown) >= parts
        assert " ".join(one.text for one in shown).split() == text.split()
        assert all(len(one.text) <= longest for one in shown)
        assert len(told["external_ids"]) == len(shown)


@behaviour()
async def reply_of_maximum_length_is_published_whole(stand: Stand) -> None:
    written, message = await _question(stand, "comment", "700322")
    text = words("Ы" * (max_text_length(stand.driver.network, "comment") - 13))
    await _is_published_once(stand, await stand.ask(message, text), written, text)


async def _refused(stand: Stand, publication: UUID, refusal: str) -> None:
    found = await stand.ended(publication, "failed")
    assert found["failure"]["code"].startswith(stand.driver.refusal_codes[refusal]), found
    assert RUSSIAN.search(found["failure"]["message"]), found
    assert found["failure"]["final"] is True
    assert found["external_id"] is None
    assert len(await stand.events(publication, "publication.failed")) == 1


@behaviour()
async def reply_under_closed_comments_fails_with_reason(stand: Stand) -> None:
    post = await stand.driver.post(stand.page, words("Пост"))
    written = await stand.driver.citizen(stand.page, words("Когда?"), under=post)
    row = await stand.arrived(written)
    await stand.driver.close_comments(post, closed=True)
    publication = await stand.ask(row["id"], words("Поздно"))
    await _refused(stand, publication, "comments_closed")
    assert await _shown(stand, written.thread) == []


@behaviour()
async def retry_after_comments_reopen_publishes_once(stand: Stand) -> None:
    post = await stand.driver.post(stand.page, words("Пост"))
    written = await stand.driver.citizen(stand.page, words("Когда?"), under=post)
    row = await stand.arrived(written)
    await stand.driver.close_comments(post, closed=True)
    text = words("Со второго раза")
    publication = await stand.ask(row["id"], text)
    await stand.ended(publication, "failed")
    await stand.driver.close_comments(post, closed=False)
    await stand.post(f"/api/v1/publications/{publication}/retry", None, role="moderator")

    async def published() -> bool:
        return bool((await stand.publication(publication))["status"] == "published")

    await stand.eventually(published, "the reply is not sent again")
    await _is_published_once(stand, publication, written, text)


@behaviour()
async def reply_to_person_who_blocks_messages_fails_with_reason(stand: Stand) -> None:
    written, message = await _question(stand, "message", "700323")
    await stand.driver.block(stand.page, written.author)
    publication = await stand.ask(message, words("Здравствуйте"))
    await _refused(stand, publication, "blocked")
    assert await _shown(stand, written.thread) == []


@behaviour()
async def staff_comment_is_not_matched_with_a_publication(stand: Stand) -> None:
    written, message = await _question(stand, "comment", "700324")
    text = words("Ответили сами")
    await stand.driver.staff(written, text, to=written)
    by_hand = await stand.spoken(text)
    ours = words("И мы")
    await _is_published_once(stand, await stand.ask(message, ours), written, ours)
    assert (await stand.arrived_id(by_hand["id"]))["publication_id"] is None


async def _both(stand: Stand, first_author: int, fault: str, **more: Any) -> list[tuple[UUID, Written, str]]:
    """Request a comment and a message whose publishing calls meet a fault."""
    asked = []
    kinds: tuple[Kind, Kind] = ("comment", "message")
    questions = [await _question(stand, kind, str(first_author + n)) for n, kind in enumerate(kinds)]
    for kind, (written, message) in zip(kinds, questions, strict=True):
        await stand.driver.fault(fault, next=1, method=stand.driver.publishing_call(kind), **more)
        text = words(f"{fault} {kind}")
        asked.append((await stand.ask(message, text), written, text))
    return asked


async def _are_published_once(stand: Stand, asked: list[tuple[UUID, Written, str]]) -> None:
    await asyncio.gather(*(_is_published_once(stand, *one) for one in asked))


@behaviour(alone=True)
async def reply_with_lost_response_is_published_once(stand: Stand) -> None:
    await _are_published_once(stand, await _both(stand, 700_330, "lost_response"))


@behaviour(alone=True)
async def reply_received_before_its_response_is_published_once(stand: Stand) -> None:
    asked = await _both(stand, 700_332, "slow", seconds=2)
    for _, _, text in asked:
        assert (await stand.spoken(text))["from_community"]
    await _are_published_once(stand, asked)


@behaviour(alone=True, long=True)
async def reply_whose_call_never_arrived_is_published_once(stand: Stand) -> None:
    await _are_published_once(stand, await _both(stand, 700_334, "drop"))


@behaviour(alone=True, long=True)
async def reply_in_flight_at_shutdown_is_published_once(stand: Stand) -> None:
    asked = await _both(stand, 700_336, "slow", seconds=1.5)

    async def out() -> bool:
        return all([await _shown(stand, written.thread, text) for _, written, text in asked])

    await stand.eventually(out, "the replies do not reach the network")
    async with stand.down():
        await asyncio.sleep(2)
    await _are_published_once(stand, asked)
