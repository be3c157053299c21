"""Long threads, many conversations and deleted root comments, which need several pages of responses."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import asyncpg

from tests.conformance.behaviour_list import behaviour
from tests.conformance.behaviours.incoming import words
from tests.conformance.drivers.base import WrittenMessage
from tests.conformance.ingest_under_test import IngestUnderTest

T = TypeVar("T")

CONCURRENCY = 10
# More than one page of any response contains.
REPLIES, COMMENTS, CONVERSATIONS, MESSAGES = 250, 300, 210, 210


async def _all(calls: Sequence[Awaitable[T]]) -> list[T]:
    """Run all calls, at most `CONCURRENCY` at a time; return their results."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(call: Awaitable[T]) -> T:
        async with gate:
            return await call

    return list(await asyncio.gather(*(one(call) for call in calls)))


async def _all_arrive(system: IngestUnderTest, written: Sequence[WrittenMessage]) -> list[asyncpg.Record]:
    names, kind = [one.external_id for one in written], written[0].kind

    async def look() -> list[asyncpg.Record] | None:
        rows = await system.raw_connection.fetch(
            "SELECT * FROM messages WHERE network = $1 AND kind = $2 AND external_id = ANY($3::text[])",
            system.driver.network,
            kind,
            names,
        )
        return list(rows) if len(rows) >= len(names) else None

    rows = await system.eventually(look, f"not all of {len(names)} are stored")
    assert {row["external_id"]: row["text"] for row in rows} == {one.external_id: one.text for one in written}
    return rows


@behaviour()
async def thread_of_250_replies_is_read_completely(system: IngestUnderTest) -> None:
    page = await system.new_page("replies")
    post = await system.driver.post(page, words("Пост"))
    root = await system.driver.citizen(page, words("Корень"), under=post)
    replies = await _all([system.driver.citizen(page, words("Ответ"), to=root) for _ in range(REPLIES)])
    await system.connect(page)
    rows = await _all_arrive(system, replies)
    assert {row["reply_to"] for row in rows} == {root.external_id}
    assert {row["thread_key"] for row in rows} == {post.thread_key}


@behaviour()
async def post_with_300_comments_is_read_completely(system: IngestUnderTest) -> None:
    page = await system.new_page("comments")
    post = await system.driver.post(page, words("Пост"))
    calls = [system.driver.citizen(page, words("Комментарий"), under=post) for _ in range(COMMENTS)]
    written = await _all(calls)
    await system.connect(page)
    rows = await _all_arrive(system, written)
    assert {row["thread_key"] for row in rows} == {post.thread_key}
    late = await system.driver.citizen(page, words("Ещё один"), under=post)
    await system.wait_until_stored(late)


@behaviour()
async def conversations_beyond_one_page_are_read(system: IngestUnderTest) -> None:
    page = await system.new_page("conversations")
    calls = [
        system.driver.citizen(page, words("Здравствуйте"), "message", author=str(710_000 + number))
        for number in range(CONVERSATIONS)
    ]
    written = await _all(calls)
    await system.connect(page)
    rows = await _all_arrive(system, written)
    assert len({row["thread_key"] for row in rows}) == CONVERSATIONS
    assert len({row["author_key"] for row in rows}) == CONVERSATIONS


@behaviour()
async def long_conversation_is_read_completely(system: IngestUnderTest) -> None:
    page = await system.new_page("conversation")
    first = await system.driver.citizen(page, words("Здравствуйте"), "message", author="700401")
    written = [await system.driver.citizen(page, words("Ау"), "message", under=first) for _ in range(MESSAGES)]
    await system.connect(page)
    await _all_arrive(system, [first, *written])
    texts = [row["text"] for row in await system.in_thread(first.thread_key)]
    assert sorted(texts) == sorted(one.text for one in (first, *written))


@behaviour()
async def posts_beyond_one_page_are_read(system: IngestUnderTest) -> None:
    page = await system.new_page("posts")
    written = await _all(
        [system.driver.citizen(page, words("Яма"), "wall_post", author=str(720_000 + n)) for n in range(120)]
    )
    under = await system.driver.citizen(page, words("И у нас"), under=written[0])
    await system.connect(page)
    await _all_arrive(system, written)
    await system.wait_until_stored(under)


@behaviour()
async def replies_under_deleted_comment_are_stored(system: IngestUnderTest) -> None:
    page = await system.new_page("orphans")
    post = await system.driver.post(page, words("Пост"))
    root = await system.driver.citizen(page, words("Корень"), under=post)
    replies = [await system.driver.citizen(page, words("Ответ"), to=root) for _ in range(3)]
    await system.driver.delete(root, "author")
    await system.connect(page)
    rows = await _all_arrive(system, replies)
    assert {row["reply_to"] for row in rows} == {root.external_id}
    gone = await system.stored(root)
    assert gone is None or gone["deleted_at"] is not None


@behaviour()
async def deleted_comment_leaves_its_replies(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    root = await system.driver.citizen(system.page, words("Корень"), under=post)
    reply = await system.driver.citizen(system.page, words("Ответ"), to=root)
    await system.wait_until_stored(root)
    await system.wait_until_stored(reply)
    await system.driver.delete(root, "author")
    assert (await system.wait_until_deleted(root))["text"] == root.text
    await system.later_comment_arrived()
    assert (await system.wait_until_stored(reply))["deleted_at"] is None


@behaviour()
async def closed_comments_are_not_deleted(system: IngestUnderTest) -> None:
    post = await system.driver.post(system.page, words("Пост"))
    before = await system.driver.citizen(system.page, words("До"), under=post)
    await system.wait_until_stored(before)
    await system.driver.close_comments(post, closed=True)
    await system.later_comment_arrived()
    assert (await system.wait_until_stored(before))["deleted_at"] is None, (
        "comments of a closed post must not be marked as deleted"
    )
    await system.driver.close_comments(post, closed=False)
    await system.wait_until_stored(await system.driver.citizen(system.page, words("После"), under=post))
