"""Long replies in parts, failed replies that are retried, and the failure reasons shown to authors."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest.networks import catalogue
from services.ingest.networks.network_spec import NetworkSpec
from services.ingest.networks.port import OutgoingReply, PublishedReply, PublishOutcomeUnknown, PublishRejected
from shared.jobs import RetryLater
from tests.conftest import TestDatabase
from tests.integration.ingest.scripted_network import Scene, made_scene

LIMIT = 20
TEXT = "Ямы засыплем завтра. Потом положим асфальт. И нанесём разметку."
PARTS = ["Ямы засыплем завтра.", "Потом положим", "асфальт. И нанесём", "разметку."]


@pytest.fixture(autouse=True)
def short_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network accepts at most twenty characters."""
    entry = NetworkSpec(catalogue.NETWORKS["vk"].create_adapter, {"comment": LIMIT, "message": LIMIT})
    monkeypatch.setitem(catalogue.NETWORKS, "vk", entry)


@pytest.fixture
async def scene(database: TestDatabase, keys_dir: Path) -> AsyncIterator[Scene]:
    """A queued reply of four parts."""
    async with made_scene(database, keys_dir, TEXT) as made:
        yield made


def takes(scene: Scene) -> list[str]:
    """Make the network accept everything; return the list of accepted replies."""
    taken: list[str] = []

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        taken.append(outgoing.text)
        number = 30 + scene.network.calls
        return PublishedReply(f"-101_{number}", f"https://vk.com/wall-101_3?reply={number}")

    scene.network.on_publish = publish
    return taken


def refuses(scene: Scene, words: str, code: str = "vk:222") -> list[str]:
    """Make the network accept all texts except those with these words."""
    taken = takes(scene)
    publish = scene.network.on_publish
    assert publish is not None

    async def picky(outgoing: OutgoingReply) -> PublishedReply:
        if words in outgoing.text:
            raise PublishRejected(code, "Ссылки запрещены.", permanent=True)
        return await publish(outgoing)

    scene.network.on_publish = picky
    return taken


async def carry_all(scene: Scene) -> list[dict[str, Any]]:
    """Run the jobs of all parts concurrently, as the queue does; return the parts."""
    parts = await scene.parts()
    await asyncio.gather(*(scene.carry_through(UUID(part["id"])) for part in reversed(parts)))
    return await scene.parts()


async def told(scene: Scene, kind: str) -> list[tuple[UUID, dict[str, Any]]]:
    """Return the subjects and data of events of a type."""
    return [(row["subject_id"], json.loads(row["data"])) for row in await scene.system.events(kind)]


async def test_long_reply_is_published_in_order_with_one_event(scene: Scene) -> None:
    taken = takes(scene)
    assert [(one["part"], one["parts"], one["text"]) for one in await scene.parts()] == [
        (number, 4, text) for number, text in enumerate(PARTS)
    ]
    done = await carry_all(scene)
    assert taken == PARTS
    assert {one["status"] for one in done} == {"published"}
    ((subject, data),) = await told(scene, "publication.published")
    assert subject == scene.publication_id
    assert data["url"] == done[0]["url"] == "https://vk.com/wall-101_3?reply=31"
    assert data["external_ids"] == ["-101_31", "-101_32", "-101_33", "-101_34"]
    assert data["published_at"] > done[0]["published_at"][:19]


async def test_repeated_request_of_long_reply_returns_same_publication(scene: Scene) -> None:
    reply = UUID((await scene.parts())[0]["reply_id"])
    again = await scene.system.answer(scene.question_id, TEXT, reply)
    assert again["id"] == str(scene.publication_id)
    assert len(await scene.parts()) == 4
    other = {
        "reply_id": str(reply), "message_id": str(scene.question_id), "text": TEXT + " Ещё.", "on_behalf_of": "x",
    }  # fmt: skip
    refused = await scene.system.ingest.client.post(
        "/internal/publications", json=other, headers=scene.system.ingest.service_headers("appeals")
    )
    assert refused.status_code == 422


async def test_later_reply_waits_for_all_parts(scene: Scene) -> None:
    taken = takes(scene)
    later = await scene.system.answer(scene.question_id, "Коротко")
    await asyncio.gather(scene.carry_through(UUID(later["id"])), carry_all(scene))
    assert taken == [*PARTS, "Коротко"]


async def test_parts_with_lost_responses_are_found_by_push_or_reading_and_not_resent(scene: Scene) -> None:
    calls: list[str] = []

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        calls.append(outgoing.text)
        heard = scene.spoken(40 + len(calls), text=outgoing.text)
        if len(calls) % 2:
            await scene.hear(heard)
        else:
            assert scene.network.thread is not None
            scene.network.thread.items.append(heard)
        raise PublishOutcomeUnknown("lost")

    scene.network.on_publish = publish
    done = await carry_all(scene)
    assert calls == PARTS
    assert [one["external_id"] for one in done] == ["-101_41", "-101_42", "-101_43", "-101_44"]
    assert len(await scene.system.events("publication.published")) == 1
    assert await scene.system.eye.fetchval("SELECT count(*) FROM messages WHERE publication_id IS NOT NULL") == 4


async def test_failed_part_fails_later_parts_and_retry_sends_all(scene: Scene) -> None:
    taken = refuses(scene, "асфальт")
    done = await carry_all(scene)
    assert taken == PARTS[:2]
    assert [one["status"] for one in done] == ["published", "published", "failed", "failed"]
    assert done[2]["failure"] == done[3]["failure"] == {
        "code": "vk:222", "message": "Ссылки запрещены.", "final": True,
    }  # fmt: skip
    ((subject, data),) = await told(scene, "publication.failed")
    assert (subject, data["part"], data["parts"]) == (scene.publication_id, 2, 4)
    assert await scene.system.events("publication.published") == []
    taken = takes(scene)
    again = await scene.retry()
    assert (again.status_code, again.json()["id"]) == (202, str(scene.publication_id))
    await carry_all(scene)
    assert taken == PARTS[2:]
    assert len(await scene.system.events("publication.published")) == 1
    assert (await scene.retry()).status_code == 409


async def test_retry_by_any_part_retries_the_reply(scene: Scene) -> None:
    refuses(scene, "Ямы")
    last = (await carry_all(scene))[3]
    assert (await scene.retry(publication_id=last["id"])).status_code == 202
    # The part that was sent is searched for in the thread first.
    assert [one["status"] for one in await scene.parts()] == ["uncertain", "queued", "queued", "queued"]


@pytest.mark.parametrize("text", ["Коротко.", "Совсем другие слова, и их так много, что частей шесть. " * 2])
async def test_corrected_text_is_split_again(scene: Scene, text: str) -> None:
    refuses(scene, "Ямы")
    await carry_all(scene)
    taken = takes(scene)
    again = await scene.retry(text)
    assert (again.status_code, again.json()["id"]) == (202, str(scene.publication_id))
    parts = await carry_all(scene)
    assert " ".join(taken).split() == text.split()
    assert [(one["part"], one["parts"]) for one in parts] == [(n, len(taken)) for n in range(len(taken))]
    ((_, data),) = await told(scene, "publication.published")
    assert len(data["external_ids"]) == len(taken)


async def test_published_parts_are_kept_when_text_is_corrected(scene: Scene) -> None:
    refuses(scene, "асфальт")
    await carry_all(scene)
    for wrong in ("Совсем другое.", "Ямы засыплем завтра. Потом положим"):
        refused = await scene.retry(wrong)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/text"
    taken = takes(scene)
    assert (await scene.retry("Ямы засыплем завтра.\nПотом положим новое покрытие.")).status_code == 202
    parts = await carry_all(scene)
    assert taken == ["новое покрытие."]
    assert [one["status"] for one in parts] == ["published"] * 3
    assert {one["parts"] for one in parts} == {3}
    assert len(await scene.system.events("publication.published")) == 1


async def test_text_correction_by_public_route_is_rejected(scene: Scene) -> None:
    refuses(scene, "Ямы")
    await carry_all(scene)
    path = f"/api/v1/publications/{scene.publication_id}/retry"
    headers = scene.system.ingest.headers("moderator")
    refused = await scene.system.ingest.client.post(path, json={"text": "Другое"}, headers=headers)
    assert refused.status_code == 422
    assert "/appeals/" in refused.json()["errors"][0]["detail"]
    assert (await scene.system.ingest.client.post(path, headers=headers)).status_code == 202


async def test_temporary_rejection_is_reported_once_and_retried(scene: Scene) -> None:
    taken = takes(scene)
    publish = scene.network.on_publish
    assert publish is not None
    refusals = 0

    async def without_a_key(outgoing: OutgoingReply) -> PublishedReply:
        nonlocal refusals
        if refusals < 12:
            refusals += 1
            raise PublishRejected(
                "no_usable_token", "У страницы нет ключа.", permanent=False, retry_after=15, was_sent=False
            )
        return await publish(outgoing)

    scene.network.on_publish = without_a_key
    delays = []
    for _ in range(12):
        with pytest.raises(RetryLater) as later:
            await scene.publisher.process(scene.publication_id)
        delays.append(later.value.after)
    assert max(delays) <= timedelta(seconds=30)
    ((subject, data),) = await told(scene, "publication.retry_scheduled")
    assert subject == scene.publication_id
    assert data["failure"] == {"code": "no_usable_token", "message": "У страницы нет ключа.", "final": False}
    assert (await scene.system.publication(str(scene.publication_id)))["status"] == "queued"
    await carry_all(scene)
    assert taken == PARTS


async def test_later_reply_waits_for_one_being_retried(scene: Scene) -> None:
    taken = takes(scene)
    publish = scene.network.on_publish
    assert publish is not None

    async def reluctant(outgoing: OutgoingReply) -> PublishedReply:
        if scene.network.calls in {1, 2, 4}:
            raise PublishRejected("vk:6", "Медленнее.", permanent=False, retry_after=0.1)
        if scene.network.calls == 6:
            raise PublishOutcomeUnknown("lost")
        return await publish(outgoing)

    scene.network.on_publish = reluctant
    later = await scene.system.answer(scene.question_id, "Коротко")
    with pytest.raises(RetryLater):
        await scene.publisher.process(scene.publication_id)
    with pytest.raises(RetryLater):
        await scene.publisher.process(UUID(later["id"]))
    await asyncio.gather(scene.carry_through(UUID(later["id"])), carry_all(scene))
    assert taken == [*PARTS, "Коротко"]
    ((_, data),) = await told(scene, "publication.uncertain")
    assert any("а" <= letter <= "я" for letter in data["failure"]["message"])


async def test_temporary_rejection_lasting_days_is_final(scene: Scene) -> None:
    async def flooded(_: OutgoingReply) -> PublishedReply:
        raise PublishRejected("vk:9", "Слишком часто.", permanent=False)

    scene.network.on_publish = flooded
    await scene.system.eye.execute("UPDATE publications SET created_at = created_at - interval '25 hours'")
    done = await scene.carry_through()
    assert (done["status"], done["attempts"], done["failure"]["code"]) == ("failed", 8, "vk:9")


async def test_retry_of_unknown_publication_gets_404(scene: Scene) -> None:
    assert (await scene.retry(publication_id=str(uuid4()))).status_code == 404


async def test_new_token_requeues_waiting_replies(scene: Scene) -> None:
    jobs = "SELECT count(*) FROM ingest_jobs.pgqueuer WHERE entrypoint = 'publish' AND status = 'queued'"
    before = await scene.system.eye.fetchval(jobs)
    body = {"network": "vk", "kind": "group", "page_id": str(scene.page.id), "token": "fresh"}
    client, headers = scene.system.ingest.client, scene.system.ingest.headers("moderator")
    assert (await client.post("/api/v1/sources/tokens", json=body, headers=headers)).status_code == 201
    assert await scene.system.eye.fetchval(jobs) == before + len(PARTS)
