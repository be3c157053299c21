"""Drafts of replies: saved without lost updates by one person at a time, and submitted once."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.appeals import jobs
from tests.integration.appeals.conftest import WEDNESDAY, AppealsScenario
from tests.integration.appeals.reply_helpers import (
    COLLEAGUE,
    answer,
    appeal,
    draft,
    execute,
    publication_jobs,
    replies_of,
    request,
    send,
    timeline_kinds,
)
from tests.support.service_under_test import CENTRE_SUBJECT

TEXT = "Здравствуйте! Яму засыплем до 5 декабря."
MANAGER = str(UUID(int=3))


def path(found: dict[str, Any], reply: dict[str, Any], action: str = "") -> str:
    return f"/appeals/{found['id']}/replies/{reply['id']}{action}"


async def save(
    scenario: AppealsScenario,
    found: dict[str, Any],
    reply: dict[str, Any],
    text: str,
    *,
    subject: str = CENTRE_SUBJECT,
    **body: Any,
) -> httpx.Response:
    return await request(
        scenario,
        "PUT",
        path(found, reply),
        {"text": text, **body},
        subject=subject,
        If_Match=f'"{reply["version"]}"',
    )


async def submit(
    scenario: AppealsScenario, found: dict[str, Any], reply: dict[str, Any], **more: Any
) -> httpx.Response:
    seen = {"If_Match": f'"{reply["version"]}"'} | more
    return await request(scenario, "POST", path(found, reply, "/submit"), **seen)


async def versions(
    scenario: AppealsScenario, found: dict[str, Any], reply: dict[str, Any]
) -> list[dict[str, Any]]:
    answer = await request(scenario, "GET", path(found, reply, "/versions"))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def expire_lease(scenario: AppealsScenario) -> None:
    await execute(scenario, "UPDATE reply_leases SET expires_at = clock_timestamp()")


async def test_draft_is_saved_submitted_and_published_once(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, "Здравствуйте!")
    assert (begun["status"], begun["version"], begun["published_at"]) == ("draft", 1, None)
    assert await publication_jobs(scenario) == []
    assert (await scenario.appeal(found["id"]))["version"] == found["version"], "a draft changes no appeal"
    saved = await save(scenario, found, begun, TEXT)
    assert (saved.status_code, saved.headers["ETag"]) == (200, '"2"')
    submitted = await submit(scenario, found, saved.json())
    assert submitted.status_code == 200, submitted.text
    assert (submitted.json()["status"], submitted.json()["text"]) == ("queued", TEXT)
    assert [job[0] for job in await publication_jobs(scenario)] == [UUID(begun["id"])]
    assert (await submit(scenario, found, submitted.json())).status_code == 409
    await scenario.emit_published(submitted.json(), at=WEDNESDAY)
    (published,) = await replies_of(scenario, found)
    assert (published["id"], published["status"]) == (begun["id"], "published")
    assert (await scenario.appeal(found["id"]))["status"] == "answered"


async def test_draft_does_not_stop_the_clock(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await draft(scenario, found, TEXT)
    now = await scenario.appeal(found["id"])
    assert (now["first_response_at"], now["status"]) == (None, found["status"])


async def test_submission_repeated_with_the_same_key_publishes_once(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    first, again = [await submit(scenario, found, begun, Idempotency_Key="k") for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert len(await publication_jobs(scenario)) == 1


async def test_save_submission_and_discard_with_a_stale_version_are_refused(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, "Первый")
    assert (await save(scenario, found, begun, "Второй")).status_code == 200
    stale = await save(scenario, found, begun, "Третий")
    assert (stale.status_code, stale.headers["ETag"], stale.json()["version"]) == (412, '"2"', 2)
    assert (await submit(scenario, found, begun)).status_code == 412
    assert (await request(scenario, "DELETE", path(found, begun), If_Match='"1"')).status_code == 412
    for method, action in (("PUT", ""), ("POST", "/submit"), ("DELETE", "")):
        without = await request(scenario, method, path(found, begun, action), {"text": "Да"})
        assert without.status_code == 428, without.text
    assert (await replies_of(scenario, found))[0]["text"] == "Второй"


async def test_saving_the_same_content_keeps_the_version(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    saved = await save(scenario, found, begun, TEXT)
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    assert len(await versions(scenario, found, begun)) == 1


async def test_saves_of_one_person_within_a_minute_are_stored_as_one_version(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    reply = await draft(scenario, found, "Раз")
    for text in ("Раз два", "Раз два три"):
        reply = (await save(scenario, found, reply, text)).json()
    assert [(one["number"], one["text"]) for one in await versions(scenario, found, reply)] == [(1, "Раз два три")]
    await execute(scenario, "UPDATE reply_versions SET created_at = created_at - interval '61 seconds'")
    reply = (await save(scenario, found, reply, "Раз два три четыре")).json()
    await expire_lease(scenario)
    reply = (await save(scenario, found, reply, "Иначе", subject=COLLEAGUE)).json()
    listed = await versions(scenario, found, reply)
    assert [(one["number"], one["text"], one["author"]["id"]) for one in listed] == [
        (3, "Иначе", COLLEAGUE),
        (2, "Раз два три четыре", CENTRE_SUBJECT),
        (1, "Раз два три", CENTRE_SUBJECT),
    ]
    first = (await request(scenario, "GET", path(found, reply, "/versions?limit=2"))).json()
    rest = await request(scenario, "GET", path(found, reply, f"/versions?limit=2&cursor={first['next_cursor']}"))
    assert [one["number"] for one in first["items"] + rest.json()["items"]] == [3, 2, 1]


async def test_results_of_the_checks_are_stored_with_the_submitted_version(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, "Меры принимаются.")
    assert (await versions(scenario, found, begun))[0]["hints"] is None
    assert (await submit(scenario, found, begun)).status_code == 200
    (submitted,) = await versions(scenario, found, begun)
    codes = {hint["code"] for hint in submitted["hints"]}
    assert {"canned_phrase", "no_contact"} <= codes
    # Hints are also stored with a reply that had no draft.
    other = await appeal(scenario, author="boris", thread="vk:-101_2")
    direct = await answer(scenario, other, TEXT)
    (version,) = await versions(scenario, other, direct)
    assert (version["text"], {hint["code"] for hint in version["hints"]} >= {"no_contact"}) == (TEXT, True)


async def test_second_draft_or_reply_is_refused_naming_the_draft(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    await expire_lease(scenario)
    for body in ({"text": "Иначе", "status": "draft"}, {"text": "Иначе"}):
        refused = await request(scenario, "POST", f"/appeals/{found['id']}/replies", body, subject=COLLEAGUE)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/reply-under-way")
        assert (refused.json()["reply"]["id"], refused.json()["reply"]["status"]) == (begun["id"], "draft")


async def test_new_draft_is_accepted_after_a_discarded_one_whose_versions_stay(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, "Незаконченный текст")
    gone = await request(scenario, "DELETE", path(found, begun), If_Match='"1"')
    assert gone.status_code == 204, gone.text
    assert await replies_of(scenario, found) == []
    assert [one["text"] for one in await versions(scenario, found, begun)] == ["Незаконченный текст"]
    assert "reply_discarded" in await timeline_kinds(scenario, found)
    for method, action in (("PUT", ""), ("POST", "/submit"), ("DELETE", "")):
        answered = await request(scenario, method, path(found, begun, action), {"text": "Да"}, If_Match="*")
        assert answered.status_code == 404, answered.text
    assert (await answer(scenario, found, TEXT))["status"] == "queued"


async def test_saving_submitting_or_discarding_a_queued_reply_is_refused(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    sent = await answer(scenario, found, TEXT)
    for method, action in (("PUT", ""), ("POST", "/submit"), ("DELETE", "")):
        refused = await request(scenario, method, path(found, sent, action), {"text": "Да"}, If_Match="*")
        assert refused.status_code == 409, refused.text


async def test_interim_draft_without_a_promised_date_is_refused_at_submission(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT, kind="interim")
    refused = await submit(scenario, found, begun)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/promised_at")
    promise = {"kind": "interim", "promised_at": "2099-01-01T00:00:00+08:00"}
    saved = (await save(scenario, found, begun, TEXT, **promise)).json()
    assert (await submit(scenario, found, saved)).json()["kind"] == "interim"


async def test_draft_of_a_closed_appeal_cannot_be_submitted_and_can_be_discarded(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    closed = await scenario.move(await scenario.appeal(found["id"]), "closed", reason="Решено")
    assert closed.status_code == 200, closed.text
    refused = await submit(scenario, found, begun)
    assert (refused.status_code, refused.json()["allowed_moves"]) == (409, [])
    new = await request(scenario, "POST", f"/appeals/{found['id']}/replies", {"text": TEXT, "status": "draft"})
    assert new.status_code == 409
    assert (await request(scenario, "DELETE", path(found, begun), If_Match="*")).status_code == 204


async def test_same_final_text_as_a_recent_reply_is_refused_at_submission(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    await scenario.emit_published(await answer(scenario, found, TEXT), at=WEDNESDAY)
    begun = await draft(scenario, found, TEXT)
    refused = await submit(scenario, found, begun)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/duplicate")
    assert (await submit(scenario, found, begun, Idempotency_Key="meant")).status_code == 200


async def test_draft_cannot_be_used_by_another_organisation_or_changed_by_the_head(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    calls = (
        ("PUT", "", {"text": "Да"}), ("DELETE", "", None), ("POST", "/submit", None), ("GET", "/versions", None),
    )  # fmt: skip
    for method, action, body in calls:
        hidden = await request(
            scenario, method, path(found, begun, action), body, org=scenario.other_organisation, If_Match="*"
        )
        assert hidden.status_code == 404, hidden.text
        assert TEXT not in hidden.text
        if method != "GET":
            reader = scenario.appeals.headers("head", None, **{"If-Match": "*"})
            forbidden = await scenario.appeals.client.request(
                method, f"/api/v1{path(found, begun, action)}", json=body, headers=reader
            )
            assert forbidden.status_code == 403, forbidden.text
        anonymous = await scenario.appeals.client.request(
            method, f"/api/v1{path(found, begun, action)}", json=body
        )
        assert anonymous.status_code == 401
    other = await appeal(scenario, author="boris", thread="vk:-101_2")
    elsewhere = await request(scenario, "PUT", path(other, begun), {"text": "Да"}, If_Match="*")
    assert elsewhere.status_code == 404, "a draft of another appeal"


async def test_use_of_a_draft_by_another_person_is_refused_naming_the_lease_holder(
    scenario: AppealsScenario,
) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    lease = (await request(scenario, "GET", f"/appeals/{found['id']}/reply-lease")).json()
    assert (lease["holder"], lease["holder_name"]) == (CENTRE_SUBJECT, "Test")
    attempts: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
        ("PUT", path(found, begun), {"text": "Да"}),
        ("POST", path(found, begun, "/submit"), None),
        ("DELETE", path(found, begun), None),
        ("PUT", f"/appeals/{found['id']}/reply-lease", {}),
    )
    for method, where, body in attempts:
        refused = await request(scenario, method, where, body, subject=COLLEAGUE, If_Match="*")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/reply-being-written"), (
            refused.text
        )
        assert refused.json()["lease"] == {name: lease[name] for name in ("holder", "holder_name")} | {
            "expires_at": refused.json()["lease"]["expires_at"]
        }
    # A person cannot release a colleague's lease.
    assert (
        await request(scenario, "DELETE", f"/appeals/{found['id']}/reply-lease", subject=COLLEAGUE)
    ).status_code == 204
    assert (await save(scenario, found, begun, "Да", subject=COLLEAGUE)).status_code == 409


async def test_reply_without_a_draft_is_refused_while_a_colleague_writes(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    where = f"/appeals/{found['id']}"
    assert (await request(scenario, "PUT", f"{where}/reply-lease")).status_code == 200
    refused = await request(scenario, "POST", f"{where}/replies", {"text": TEXT}, subject=COLLEAGUE)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/reply-being-written")
    assert (await request(scenario, "POST", f"{where}/replies", {"text": TEXT})).status_code == 201
    # The reply ends the lease.
    assert (await request(scenario, "GET", f"{where}/reply-lease")).status_code == 404


async def test_colleague_may_write_after_the_lease_expired_or_was_released(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    await expire_lease(scenario)
    assert (await request(scenario, "GET", f"/appeals/{found['id']}/reply-lease")).status_code == 404
    taken = await save(scenario, found, begun, "Иначе", subject=COLLEAGUE)
    assert taken.status_code == 200, taken.text
    # The first person saves again, with an old version and an expired lease.
    assert (await save(scenario, found, begun, "Поздно")).status_code == 409
    await request(scenario, "DELETE", f"/appeals/{found['id']}/reply-lease", subject=COLLEAGUE)
    assert (await save(scenario, found, begun, "Поздно")).status_code == 412
    assert (await save(scenario, found, taken.json(), "Теперь")).status_code == 200


async def test_each_save_renews_the_lease_by_the_database_clock(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    where = f"/appeals/{found['id']}/reply-lease"
    first = (await request(scenario, "GET", where)).json()
    await save(scenario, found, begun, "Дальше")
    renewed = (await request(scenario, "GET", where)).json()
    assert renewed["acquired_at"] == first["acquired_at"]
    assert renewed["expires_at"] > first["expires_at"]
    left = await scenario.ingest.fetchval(
        "SELECT extract(epoch FROM expires_at - acquired_at) FROM reply_leases WHERE appeal_id = $1",
        UUID(found["id"]),
    )
    assert left >= 90


async def test_lease_may_be_taken_over_by_managers_and_moderators_only(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, TEXT)
    where, take = f"/appeals/{found['id']}/reply-lease", {"take_over": True}
    refused = await request(scenario, "PUT", where, take, subject=COLLEAGUE)
    assert refused.status_code == 403, refused.text
    taken = await request(scenario, "PUT", where, take, subject=MANAGER, role="manager")
    assert (taken.status_code, taken.json()["holder"]) == (200, MANAGER)
    assert (await save(scenario, found, begun, "Иначе")).status_code == 409
    entry = (await scenario.appeal(found["id"]))["timeline"][-1]
    assert (entry["kind"], entry["actor"]["id"]) == ("reply_lease_taken_over", MANAGER)
    assert entry["data"] == {"former_holder": CENTRE_SUBJECT}
    assert (await request(scenario, "PUT", where, take, role="moderator")).status_code == 200


async def test_concurrent_saves_of_two_people_lose_no_text(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    begun = await draft(scenario, found, "Начало")
    for round_number in range(5):
        await expire_lease(scenario)
        (current,) = await replies_of(scenario, found)
        answers = await asyncio.gather(
            *(
                save(scenario, found, current, f"{round_number} {subject}", subject=subject)
                for subject in (CENTRE_SUBJECT, COLLEAGUE)
            )
        )
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert (won.status_code, lost.status_code) == (200, 409), (won.text, lost.text)
        (now,) = await replies_of(scenario, found)
        assert now["text"] == won.json()["text"]
    assert now["version"] == begun["version"] + 5


async def test_concurrent_submissions_publish_once(scenario: AppealsScenario) -> None:
    for number in range(3):
        found = await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}")
        begun = await draft(scenario, found, TEXT)
        answers = await asyncio.gather(*(submit(scenario, found, begun) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await publication_jobs(scenario)) == 3


async def test_concurrent_submission_and_discard_have_one_outcome(scenario: AppealsScenario) -> None:
    for number in range(4):
        found = await appeal(scenario, author=f"a{number}", thread=f"vk:-101_{number}")
        begun = await draft(scenario, found, TEXT)
        submitted, discarded = await asyncio.gather(
            submit(scenario, found, begun), request(scenario, "DELETE", path(found, begun), If_Match='"1"')
        )
        queued = [job for job in await publication_jobs(scenario) if job[0] == UUID(begun["id"])]
        if submitted.status_code == 200:
            assert (discarded.status_code, len(queued)) == (409, 1), discarded.text
        else:
            assert (submitted.status_code, discarded.status_code, queued) == (404, 204, [])


async def test_bulk_reply_is_created_only_after_the_draft_is_discarded(scenario: AppealsScenario) -> None:
    found = await appeal(scenario)
    other = await appeal(scenario, author="boris", thread="vk:-101_2")
    begun = await draft(scenario, found, TEXT)
    incident = (await send(scenario, "/incidents", {"appeal_ids": [found["id"], other["id"]]})).json()
    sent = await send(scenario, f"/incidents/{incident['id']}/replies", {"text": "Свет включат до 18:00."})
    await scenario.handle_job(jobs.CREATE_INCIDENT_REPLIES, {"incident_reply_id": sent.json()["id"]})
    assert [reply["id"] for reply in await replies_of(scenario, found)] == [begun["id"]]
    assert (await request(scenario, "DELETE", path(found, begun), If_Match="*")).status_code == 204
    one = {"incident_reply_id": sent.json()["id"], "appeal_id": found["id"]}
    await scenario.handle_job(jobs.CREATE_INCIDENT_REPLIES, one)
    assert [reply["text"] for reply in await replies_of(scenario, found)] == ["Свет включат до 18:00."]
