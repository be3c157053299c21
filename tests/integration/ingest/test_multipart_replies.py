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
from tests.integration.ingest.scripted_network import PublicationScenario, build_scenario

LIMIT = 20
TEXT = "Ямы засыплем завтра. Потом положим асфальт. И нанесём разметку."
PARTS = ["Ямы засыплем завтра.", "Потом положим", "асфальт. И нанесём", "разметку."]


@pytest.fixture(autouse=True)
def short_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network accept at most twenty characters."""
    entry = NetworkSpec(catalogue.NETWORKS["vk"].create_adapter, {"comment": LIMIT, "message": LIMIT})
    monkeypatch.setitem(catalogue.NETWORKS, "vk", entry)


@pytest.fixture
async def scenario(database: TestDatabase, keys_dir: Path) -> AsyncIterator[PublicationScenario]:
    """A queued reply of four parts."""
    async with build_scenario(database, keys_dir, TEXT) as made:
        yield made


def takes(scenario: PublicationScenario) -> list[str]:
    """Make the network accept all replies; return the list to which their texts are appended."""
    taken: list[str] = []

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        taken.append(outgoing.text)
        number = 30 + scenario.network.calls
        return PublishedReply(f"-101_{number}", f"https://vk.com/wall-101_3?reply={number}")

    scenario.network.on_publish = publish
    return taken


def refuses(scenario: PublicationScenario, words: str, code: str = "vk:222") -> list[str]:
    """Make the network refuse texts that contain these words; return the list of accepted texts."""
    taken = takes(scenario)
    publish = scenario.network.on_publish
    assert publish is not None

    async def picky(outgoing: OutgoingReply) -> PublishedReply:
        if words in outgoing.text:
            raise PublishRejected(code, "Ссылки запрещены.", permanent=True)
        return await publish(outgoing)

    scenario.network.on_publish = picky
    return taken


async def carry_all(scenario: PublicationScenario) -> list[dict[str, Any]]:
    """Run the jobs of all parts concurrently, as the queue does; return the parts."""
    parts = await scenario.parts()
    await asyncio.gather(*(scenario.run_to_end(UUID(part["id"])) for part in reversed(parts)))
    return await scenario.parts()


async def emitted(scenario: PublicationScenario, kind: str) -> list[tuple[UUID, dict[str, Any]]]:
    """Return the subject id and data of each event of a type."""
    return [(row["subject_id"], json.loads(row["data"])) for row in await scenario.system.events(kind)]


async def test_long_reply_is_published_in_order_with_one_event(scenario: PublicationScenario) -> None:
    taken = takes(scenario)
    assert [(one["part"], one["parts"], one["text"]) for one in await scenario.parts()] == [
        (number, 4, text) for number, text in enumerate(PARTS)
    ]
    done = await carry_all(scenario)
    assert taken == PARTS
    assert {one["status"] for one in done} == {"published"}
    ((subject, data),) = await emitted(scenario, "publication.published")
    assert subject == scenario.publication_id
    assert data["url"] == done[0]["url"] == "https://vk.com/wall-101_3?reply=31"
    assert data["external_ids"] == ["-101_31", "-101_32", "-101_33", "-101_34"]
    assert data["published_at"] > done[0]["published_at"][:19]


async def test_repeated_request_of_long_reply_returns_same_publication(scenario: PublicationScenario) -> None:
    reply = UUID((await scenario.parts())[0]["reply_id"])
    again = await scenario.system.answer(scenario.question_id, TEXT, reply)
    assert again["id"] == str(scenario.publication_id)
    assert len(await scenario.parts()) == 4
    other = {
        "reply_id": str(reply), "message_id": str(scenario.question_id), "text": TEXT + " Ещё.",
        "on_behalf_of": "x",
    }  # fmt: skip
    refused = await scenario.system.ingest.client.post(
        "/internal/publications", json=other, headers=scenario.system.ingest.service_headers("appeals")
    )
    assert refused.status_code == 422


async def test_later_reply_waits_for_all_parts(scenario: PublicationScenario) -> None:
    taken = takes(scenario)
    later = await scenario.system.answer(scenario.question_id, "Коротко")
    await asyncio.gather(scenario.run_to_end(UUID(later["id"])), carry_all(scenario))
    assert taken == [*PARTS, "Коротко"]


async def test_parts_with_lost_responses_are_found_and_not_sent_again(
    scenario: PublicationScenario,
) -> None:
    calls: list[str] = []

    async def publish(outgoing: OutgoingReply) -> PublishedReply:
        calls.append(outgoing.text)
        received = scenario.community_comment(40 + len(calls), text=outgoing.text)
        if len(calls) % 2:
            await scenario.receive(received)
        else:
            assert scenario.network.thread is not None
            scenario.network.thread.items.append(received)
        raise PublishOutcomeUnknown("lost")

    scenario.network.on_publish = publish
    done = await carry_all(scenario)
    assert calls == PARTS
    assert [one["external_id"] for one in done] == ["-101_41", "-101_42", "-101_43", "-101_44"]
    assert len(await scenario.system.events("publication.published")) == 1
    assert (
        await scenario.system.raw_connection.fetchval(
            "SELECT count(*) FROM messages WHERE publication_id IS NOT NULL"
        )
        == 4
    )


async def test_failed_part_fails_later_parts_and_retry_sends_all(scenario: PublicationScenario) -> None:
    taken = refuses(scenario, "асфальт")
    done = await carry_all(scenario)
    assert taken == PARTS[:2]
    assert [one["status"] for one in done] == ["published", "published", "failed", "failed"]
    assert done[2]["failure"] == done[3]["failure"] == {
        "code": "vk:222", "message": "Ссылки запрещены.", "final": True,
    }  # fmt: skip
    ((subject, data),) = await emitted(scenario, "publication.failed")
    assert (subject, data["part"], data["parts"]) == (scenario.publication_id, 2, 4)
    assert await scenario.system.events("publication.published") == []
    taken = takes(scenario)
    again = await scenario.retry()
    assert (again.status_code, again.json()["id"]) == (202, str(scenario.publication_id))
    await carry_all(scenario)
    assert taken == PARTS[2:]
    assert len(await scenario.system.events("publication.published")) == 1
    assert (await scenario.retry()).status_code == 409


async def test_retry_by_any_part_retries_the_reply(scenario: PublicationScenario) -> None:
    refuses(scenario, "Ямы")
    last = (await carry_all(scenario))[3]
    assert (await scenario.retry(publication_id=last["id"])).status_code == 202
    # The part that was already sent is first searched for in the thread.
    assert [one["status"] for one in await scenario.parts()] == ["uncertain", "queued", "queued", "queued"]


@pytest.mark.parametrize("text", ["Коротко.", "Совсем другие слова, и их так много, что частей шесть. " * 2])
async def test_corrected_text_is_split_again(scenario: PublicationScenario, text: str) -> None:
    refuses(scenario, "Ямы")
    await carry_all(scenario)
    appeal = uuid4()
    await scenario.system.raw_connection.execute("UPDATE publications SET appeal_id = $1", appeal)
    taken = takes(scenario)
    again = await scenario.retry(text)
    assert (again.status_code, again.json()["id"]) == (202, str(scenario.publication_id))
    parts = await carry_all(scenario)
    assert {one["appeal_id"] for one in parts} == {str(appeal)}
    assert " ".join(taken).split() == text.split()
    assert [(one["part"], one["parts"]) for one in parts] == [(n, len(taken)) for n in range(len(taken))]
    ((_, data),) = await emitted(scenario, "publication.published")
    assert len(data["external_ids"]) == len(taken)


async def test_published_parts_are_kept_when_text_is_corrected(scenario: PublicationScenario) -> None:
    refuses(scenario, "асфальт")
    await carry_all(scenario)
    for wrong in ("Совсем другое.", "Ямы засыплем завтра. Потом положим"):
        refused = await scenario.retry(wrong)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/text"
    taken = takes(scenario)
    assert (await scenario.retry("Ямы засыплем завтра.\nПотом положим новое покрытие.")).status_code == 202
    parts = await carry_all(scenario)
    assert taken == ["новое покрытие."]
    assert [one["status"] for one in parts] == ["published"] * 3
    assert {one["parts"] for one in parts} == {3}
    assert len(await scenario.system.events("publication.published")) == 1


async def test_text_correction_by_public_route_is_rejected(scenario: PublicationScenario) -> None:
    refuses(scenario, "Ямы")
    await carry_all(scenario)
    path = f"/api/v1/publications/{scenario.publication_id}/retry"
    headers = scenario.system.ingest.headers("moderator")
    refused = await scenario.system.ingest.client.post(path, json={"text": "Другое"}, headers=headers)
    assert refused.status_code == 422
    assert "/appeals/" in refused.json()["errors"][0]["detail"]
    assert (await scenario.system.ingest.client.post(path, headers=headers)).status_code == 202


async def test_temporary_rejection_is_reported_once_and_retried(scenario: PublicationScenario) -> None:
    taken = takes(scenario)
    publish = scenario.network.on_publish
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

    scenario.network.on_publish = without_a_key
    delays = []
    for _ in range(12):
        with pytest.raises(RetryLater) as later:
            await scenario.publisher.process(scenario.publication_id)
        delays.append(later.value.after)
    assert max(delays) <= timedelta(seconds=30)
    ((subject, data),) = await emitted(scenario, "publication.retry_scheduled")
    assert subject == scenario.publication_id
    assert data["failure"] == {"code": "no_usable_token", "message": "У страницы нет ключа.", "final": False}
    assert (await scenario.system.publication(str(scenario.publication_id)))["status"] == "queued"
    await carry_all(scenario)
    assert taken == PARTS


async def test_later_reply_waits_for_a_reply_being_retried(scenario: PublicationScenario) -> None:
    taken = takes(scenario)
    publish = scenario.network.on_publish
    assert publish is not None

    async def reluctant(outgoing: OutgoingReply) -> PublishedReply:
        if scenario.network.calls in {1, 2, 4}:
            raise PublishRejected("vk:6", "Медленнее.", permanent=False, retry_after=0.1)
        if scenario.network.calls == 6:
            raise PublishOutcomeUnknown("lost")
        return await publish(outgoing)

    scenario.network.on_publish = reluctant
    later = await scenario.system.answer(scenario.question_id, "Коротко")
    with pytest.raises(RetryLater):
        await scenario.publisher.process(scenario.publication_id)
    with pytest.raises(RetryLater):
        await scenario.publisher.process(UUID(later["id"]))
    await asyncio.gather(scenario.run_to_end(UUID(later["id"])), carry_all(scenario))
    assert taken == [*PARTS, "Коротко"]
    ((_, data),) = await emitted(scenario, "publication.uncertain")
    assert any("а" <= letter <= "я" for letter in data["failure"]["message"])


async def test_temporary_rejection_after_more_than_a_day_is_final(scenario: PublicationScenario) -> None:
    async def flooded(_: OutgoingReply) -> PublishedReply:
        raise PublishRejected("vk:9", "Слишком часто.", permanent=False)

    scenario.network.on_publish = flooded
    await scenario.system.raw_connection.execute(
        "UPDATE publications SET created_at = created_at - interval '25 hours'"
    )
    done = await scenario.run_to_end()
    assert (done["status"], done["attempts"], done["failure"]["code"]) == ("failed", 8, "vk:9")


async def test_retry_of_unknown_publication_gets_404(scenario: PublicationScenario) -> None:
    assert (await scenario.retry(publication_id=str(uuid4()))).status_code == 404


async def test_new_token_requeues_waiting_replies(scenario: PublicationScenario) -> None:
    jobs = "SELECT count(*) FROM ingest_jobs.pgqueuer WHERE entrypoint = 'publish' AND status = 'queued'"
    before = await scenario.system.raw_connection.fetchval(jobs)
    body = {"network": "vk", "kind": "group", "page_id": str(scenario.page.id), "token": "fresh"}
    client, headers = scenario.system.ingest.client, scenario.system.ingest.headers("moderator")
    assert (await client.post("/api/v1/sources/tokens", json=body, headers=headers)).status_code == 201
    assert await scenario.system.raw_connection.fetchval(jobs) == before + len(PARTS)
