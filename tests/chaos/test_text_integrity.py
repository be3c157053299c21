"""Thousands of texts through both networks: each is stored once and unchanged, even if processes are killed."""

import asyncio
import random
import warnings
from typing import Any
from uuid import uuid4

import pytest

from services.appeals.lists import appeal_counts
from shared.database.sessions import Database
from tests.chaos import sample_texts
from tests.chaos.message_feed import check_stored_exactly, feed, native_ids_on_several_pages, wait_until_stored
from tests.e2e.conftest import RunningDemo
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("default::UserWarning")]

COUNT = 1_958


def all_texts() -> list[str]:
    """Return hostile texts with real texts if the reference data exists, else with invented texts."""
    found = sample_texts.real()
    if found is None:
        warnings.warn(
            "the reference data does not exist next to the project: using invented texts", UserWarning, 1
        )
        found = sample_texts.ordinary(COUNT)
    return [*found, *sample_texts.hostile(200)]


async def test_every_text_is_stored_once_and_unchanged_despite_kills(demo: RunningDemo) -> None:
    rng = random.Random(11)
    written = all_texts()
    parts = [
        written[start : start + len(written) // 6 + 1] for start in range(0, len(written), len(written) // 6 + 1)
    ]
    sent = []
    refused = 0
    answers: list[tuple[str, dict[str, Any], str]] = []
    for turn, part in enumerate(parts):
        halves = await asyncio.gather(feed(demo.vk, part, offset=0, step=2), feed(demo.ok, part, offset=1, step=2))
        sent += [item for half, _ in halves for item in half]
        refused += sum(part_refused for _, part_refused in halves)
        if turn == 5:
            break
        # One reply per network is in flight when the process is killed.
        for name, method in (("vk", "wall.createComment"), ("ok", "discussions.addDiscussionComment")):
            network, page = demo.network(name), demo.page(name)
            question = f"Когда придёт мастер по заявке {uuid4().hex[:8]}?"
            await network.citizen(page["external_id"], "comment", question)
            appeal = await demo.centre.appeal_about(question)
            await network.fault(kind="slow", next=1, method=method, seconds=2)
            answer = f"Мастер придёт завтра. {uuid4().hex[:8]}"
            await demo.org.post(f"/appeals/{appeal['id']}/replies", {"text": answer, "kind": "final"})
            answers.append((name, page, answer))
        await asyncio.sleep(rng.uniform(0.1, 1.5))
        await demo.system.kill("ingest")
        if turn in {1, 3}:
            await demo.system.kill("appeals")
            await demo.system.wait_until_healthy(within=120)  # the next appeal is read from it
        if turn == 2:
            await demo.system.restart_postgres()
    assert len(sent) + refused == len(written)
    assert len(sent) > 0.95 * len(written)
    assert native_ids_on_several_pages(sent) > 0
    expected = len(sent) + len(answers)
    stored = await wait_until_stored(demo, expected, seconds=300)
    questions = {m["text"] for m in stored} - {s.text for s in sent}
    assert len(questions) == len(answers)
    check_stored_exactly(demo, sent, [m for m in stored if m["text"] not in questions])
    for name, page, answer in answers:

        async def published(name: str = name, page: Any = page, answer: str = answer) -> bool:
            return bool(await demo.network(name).answers(page["external_id"], answer))

        await eventually(published, f"the answer in flight at the kill is published in {name}", seconds=120)

    async def all_published() -> bool:
        shown = await demo.centre.list_all("/publications")
        mine = [p for p in shown if p["text"] in {answer for _, _, answer in answers}]
        return len(mine) == len(answers) and all(p["status"] == "published" for p in mine)

    await eventually(all_published, "all publications have the status published", seconds=120)
    for name, page, answer in answers:
        assert len(await demo.network(name).answers(page["external_id"], answer)) == 1, (name, answer)
    await check_counts(demo)


async def check_counts(demo: RunningDemo) -> None:
    """Assert that the incrementally kept appeal counts equal a full recount."""
    database = Database(demo.system.service_database_url("appeals"), 1, name="tests")
    try:
        async with database.write() as session:
            assert await appeal_counts.differences(session) == []
    finally:
        await database.close()
