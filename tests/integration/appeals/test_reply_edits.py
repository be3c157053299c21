"""Edits of published replies: in several parts, with other photos, or with a different promised date."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.appeals.settings import settings
from shared.networks import NETWORKS
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import answer, appeal, execute, replies_of, request
from tests.integration.appeals.test_failed_replies import promise_passes, record_overdue
from tests.integration.appeals.test_reply_attachments import upload
from tests.integration.appeals.test_reply_changes import EDIT, HOUR, change, emit_outcome, published, withdrawn

QUESTION = "Оцените, пожалуйста, ответ от 1 до 5."
NEXT_DATE = "2099-02-01T10:00:00+08:00"


async def test_edit_of_an_interim_reply_moves_its_promise(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    body = {"text": "Починим в феврале.", "reason": "Нет деталей", "promised_at": NEXT_DATE}
    asked = await change(scenario, found, reply, body)
    assert (await scenario.appeal(found["id"]))["promised_at"] == "2099-01-01T02:00:00Z"
    await emit_outcome(scenario, reply, asked, "edited")
    after = await scenario.appeal(found["id"])
    first, second = after["promises"]
    assert (first["status"], second["status"], after["status"]) == ("moved", "open", "interim")
    assert first["ended_at"] == second["made_at"] == after["replies"][0]["changes"][0]["ended_at"]
    for shown in (after, second, after["replies"][0]):
        assert shown["promised_at"] == "2099-02-01T02:00:00Z"
    kinds = [entry["kind"] for entry in after["timeline"]]
    assert kinds.count("promise_made") == 2
    assert "promise_moved" in kinds
    versions = (await request(scenario, "GET", f"/appeals/{found['id']}/replies/{reply['id']}/versions")).json()
    assert [one["promised_at"] for one in versions["items"]] == ["2099-02-01T02:00:00Z", "2099-01-01T02:00:00Z"]
    # The former date has neither a reminder nor a breach; the new date has both.
    monkeypatch.setattr("shared.clock.now", lambda: datetime.fromisoformat("2099-01-05T11:00:00+08:00"))
    for schedule in ("remind-of-promises", "record-broken-promises"):
        await scenario.handle_schedule(schedule)
    assert await scenario.events("promise.reminded", "promise.broken") == []
    monkeypatch.setattr("shared.clock.now", lambda: datetime.fromisoformat("2099-01-30T17:00:00+08:00"))
    await scenario.handle_schedule("remind-of-promises")
    monkeypatch.setattr("shared.clock.now", lambda: datetime.fromisoformat("2099-02-02T11:00:00+08:00"))
    await scenario.handle_schedule("record-broken-promises")
    (broken,) = await scenario.events("promise.broken")
    assert json.loads(broken["data"])["promised_at"] == "2099-02-01T02:00:00+00:00"
    assert len(await scenario.events("promise.reminded")) == 1


async def test_promised_date_is_edited_only_with_the_text_and_before_a_later_reply(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    silent = await change(scenario, found, reply, {"text": reply["text"], "reason": "?", "promised_at": NEXT_DATE})
    past = await change(scenario, found, reply, EDIT | {"promised_at": "2020-01-01T10:00:00+08:00"})
    assert [refused.json()["errors"][0]["pointer"] for refused in (silent, past)] == ["/text", "/promised_at"]
    final = await published(scenario, found, "Починили.", at=2 * HOUR)
    over = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    assert (over.status_code, "another reply followed" in over.json()["detail"]) == (409, True)
    wrong = await change(scenario, found, final, EDIT | {"promised_at": NEXT_DATE})
    assert wrong.json()["errors"][0]["pointer"] == "/promised_at"


async def test_promised_date_is_not_edited_while_another_reply_is_under_way(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    await answer(scenario, found, "Починили.")
    (shown, _) = await replies_of(scenario, found)
    refused = await change(scenario, found, shown, EDIT | {"promised_at": NEXT_DATE})
    assert refused.status_code == 409
    assert (await change(scenario, found, shown, EDIT)).status_code == 202
    assert shown["id"] == reply["id"]


async def test_edit_applied_after_the_final_reply_moves_no_promise(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    await published(scenario, found, "Починили.", at=2 * HOUR)
    await emit_outcome(scenario, reply, asked, "edited")
    after = await scenario.appeal(found["id"])
    assert [one["status"] for one in after["promises"]] == ["kept"]
    assert (after["status"], after["promised_at"]) == ("answered", None)


@pytest.mark.parametrize("to", ["in_progress", "assigned"])
async def test_edit_confirmed_after_the_appeal_left_interim_moves_its_promise(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    body = {"organisation_id": str(scenario.other_organisation)} if to == "assigned" else {}
    moved = await scenario.move(await scenario.appeal(found["id"]), to, **body)
    assert moved.status_code == 200, moved.text
    await emit_outcome(scenario, reply, asked, "edited")
    after = await scenario.appeal(found["id"])
    assert (after["status"], after["promised_at"]) == (to, "2099-02-01T02:00:00Z")
    # The promise stays with the organisation that made it.
    (counts,) = (await scenario.get("/promises/ledger")).json()["items"]
    assert (counts["organisation"]["id"], counts["made"], counts["moved"]) == (str(scenario.organisation), 2, 1)
    for day, broken in (("2099-01-05", 0), ("2099-02-03", 1)):
        monkeypatch.setattr("shared.clock.now", lambda day=day: datetime.fromisoformat(f"{day}T11:00:00+08:00"))
        await scenario.handle_schedule("record-broken-promises")
        overdue = [json.loads(event["data"])["promised_at"] for event in await scenario.events("appeal.overdue")]
        assert overdue == ["2099-02-01T02:00:00+00:00"] * broken
        assert len(await scenario.events("promise.broken")) == broken


async def test_promised_date_is_edited_while_the_organisation_works_on_the_appeal_again(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    working = (await scenario.move(await scenario.appeal(found["id"]), "in_progress")).json()
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    assert asked.status_code == 202, asked.text
    await emit_outcome(scenario, reply, asked, "edited")
    ended = await scenario.move(await scenario.appeal(found["id"]), "closed", reason="Не наш вопрос")
    assert (working["status"], ended.status_code) == ("in_progress", 200)
    (shown,) = ended.json()["replies"]
    refused = await change(
        scenario, found, shown, EDIT | {"text": "Когда?", "promised_at": "2099-03-01T10:00:00Z"}
    )
    assert (refused.status_code, "has ended" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        ({"kind": "final"}, ["moved", "kept"]),
        ({"kind": "interim", "promised_at": "2099-03-01T10:00:00+08:00"}, ["moved", "moved", "open"]),
    ],
)
async def test_later_reply_reported_after_the_edit_ends_the_promise_of_the_edit(
    scenario: AppealsScenario, given: dict[str, str], statuses: list[str]
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    later = await answer(scenario, found, "Работа идёт.", **given)
    await emit_outcome(scenario, reply, asked, "edited")
    await scenario.emit_published(later, at=WEDNESDAY + 2 * HOUR, external_id="-101_78")
    promises = (await scenario.appeal(found["id"]))["promises"]
    of_edit = next(one for one in promises if one["promised_at"] == "2099-02-01T02:00:00Z")
    assert of_edit["made_at"] > of_edit["ended_at"] > reply["published_at"]
    assert sorted(one["status"] for one in promises) == sorted(statuses)


async def test_edit_after_a_broken_promise_makes_a_new_one_and_leaves_the_old_one_broken(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    await execute(
        scenario,
        "UPDATE promises SET status = 'broken', promised_at = made_at + interval '1 day'",
    )
    await emit_outcome(
        scenario, reply, await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE}), "edited"
    )
    after = await scenario.appeal(found["id"])
    assert [one["status"] for one in after["promises"]] == ["broken", "open"]
    final = await published(scenario, found, "Починили.", at=timedelta(days=9_999))
    assert [one["status"] for one in (await scenario.appeal(found["id"]))["promises"]] == ["broken", "kept"]
    await withdrawn(scenario, found, final)
    assert [one["status"] for one in (await scenario.appeal(found["id"]))["promises"]] == ["broken", "open"]


async def test_broken_promise_of_an_edit_is_recorded_although_the_first_was_broken(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    await promise_passes(scenario)
    assert await record_overdue(scenario) == 1
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    await emit_outcome(scenario, reply, asked, "edited")
    await promise_passes(scenario)
    assert await record_overdue(scenario) == 1
    assert len(await scenario.events("appeal.overdue")) == 2


async def test_edit_reported_after_its_promise_was_recorded_as_broken_moves_the_promise(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    reply = await published(
        scenario, found, "Починим в январе.", kind="interim", promised_at="2099-01-01T10:00:00+08:00"
    )
    asked = await change(scenario, found, reply, EDIT | {"promised_at": NEXT_DATE})
    # The promise is recorded as broken after the edit but before the edit's event.
    await execute(scenario, "UPDATE promises SET status = 'broken', ended_at = promised_at")
    await emit_outcome(scenario, reply, asked, "edited")
    after = await scenario.appeal(found["id"])
    assert [one["status"] for one in after["promises"]] == ["moved", "open"]
    assert after["promises"][0]["ended_at"] == after["promises"][1]["made_at"]


async def test_edit_that_failed_after_some_parts_shows_the_published_text(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found, parts=2)
    asked = await change(scenario, found, reply, EDIT)
    await scenario.ingest.execute(
        "UPDATE publications SET text = CASE part WHEN 0 THEN 'Новое' ELSE 'прежнее' END WHERE reply_id = $1",
        UUID(reply["id"]),
    )
    await scenario.ingest.execute(
        """INSERT INTO publication_changes (id, publication_id, kind, text, on_behalf_of, status, parts,
           parts_done, attempts, failure, created_at, updated_at)
           SELECT $2, id, 'edit', 'x', 'x', 'queued', 2, 1, 2, '{"code": "vk:9", "message": "Часто."}', now(),
           now() FROM publications WHERE reply_id = $1 AND part = 0""",
        UUID(reply["id"]), UUID(asked.json()["changes"][0]["id"]),
    )  # fmt: skip
    (waiting,) = (await replies_of(scenario, found))[0]["changes"]
    assert waiting["progress"] == {
        "parts": 2, "parts_done": 1, "failure": {"code": "vk:9", "message": "Часто."},
    }  # fmt: skip
    failure = {"code": "ok:704", "message": "Время вышло.", "final": True}
    await emit_outcome(scenario, reply, asked, "change_failed", failure=failure)
    (shown,) = await replies_of(scenario, found)
    assert (shown["text"], shown["changes"][0]["status"]) == ("Новое\n\nпрежнее", "failed")
    versions = await request(scenario, "GET", f"/appeals/{found['id']}/replies/{reply['id']}/versions")
    assert versions.json()["items"][0]["text"] == shown["text"]
    assert (await change(scenario, found, shown, EDIT)).status_code == 202


@pytest.mark.usefixtures("images_in_process")
async def test_photos_are_edited_where_the_network_allows_it(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    reply = await published(scenario, found)
    photo, unknown = await upload(scenario), str(uuid4())
    for ids in ([unknown], [photo, photo]):
        refused = await change(scenario, found, reply, EDIT | {"attachments": ids})
        assert refused.json()["errors"][0]["pointer"].startswith("/attachments/")
    same_text = {"text": reply["text"], "reason": "Фото двора", "attachments": [photo]}
    asked = await change(scenario, found, reply, same_text)
    await emit_outcome(scenario, reply, asked, "edited")
    (shown,) = await replies_of(scenario, found)
    assert [one["id"] for one in shown["attachments"]] == shown["changes"][0]["attachment_ids"] == [photo]
    assert shown["changes"][0]["former_attachment_ids"] == []
    monkeypatch.setattr(
        "services.appeals.replies.reply_changes.NETWORKS", {"vk": replace(NETWORKS["vk"], edits_photos=False)}
    )
    silent = await change(scenario, found, shown, EDIT | {"attachments": [photo]})
    assert silent.status_code == 202
    await emit_outcome(
        scenario, shown, silent, "change_failed", failure={"code": "x", "message": "x", "final": True}
    )
    (shown,) = await replies_of(scenario, found)
    refused = await change(scenario, found, shown, EDIT | {"attachments": []})
    assert refused.json()["errors"][0]["pointer"] == "/attachments"


@pytest.mark.parametrize("given", [EDIT["text"], f"{EDIT['text']}\n\n{QUESTION}"], ids=["without", "with"])
async def test_edit_keeps_the_request_for_a_mark_as_it_was_published(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(settings(), "mark_question", QUESTION)
    found = await appeal(scenario)
    reply = await published(scenario, found, outcome="solved", ask_mark=True)
    monkeypatch.setattr(settings(), "mark_question", "Поставьте оценку.")
    same = await change(scenario, found, reply, EDIT | {"text": "Начнём в понедельник."})
    assert (same.status_code, same.json()["errors"][0]["pointer"]) == (422, "/text")
    asked = await change(scenario, found, reply, EDIT | {"text": given})
    await emit_outcome(scenario, reply, asked, "edited")
    (shown,) = await replies_of(scenario, found)
    assert (shown["text"], shown["asks_mark"]) == (f"{EDIT['text']}\n\n{QUESTION}", True)


async def test_edit_of_a_reply_of_a_former_version_keeps_its_request_for_a_mark_if_its_words_are_known(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "mark_question", QUESTION)
    found = await appeal(scenario)
    reply = await published(scenario, found, outcome="solved", ask_mark=True)
    await execute(scenario, "UPDATE replies SET mark_question = NULL")
    asked = await change(scenario, found, reply, EDIT)
    await emit_outcome(scenario, reply, asked, "edited")
    (shown,) = await replies_of(scenario, found)
    assert shown["text"] == f"{EDIT['text']}\n\n{QUESTION}"
    monkeypatch.setattr(settings(), "mark_question", "Поставьте оценку.")
    asked = await change(scenario, found, shown, EDIT | {"text": "Начнём в среду."})
    assert asked.json()["changes"][-1]["text"] == "Начнём в среду."
