"""Invalid requests get a problem document with the right status and field, and change nothing."""

from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.conftest import RunningDemo


def problem(answer: httpx.Response, status: int, slug: str, pointer: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json()
    assert body["type"].endswith(f"/problems/{slug}"), body
    assert body["status"] == status
    assert body["detail"]
    if pointer is not None:
        assert pointer in [error["pointer"] for error in body["errors"]], body
    return body


async def create_appeal(demo: RunningDemo, network: str = "vk", *, foreign: bool = False) -> dict[str, Any]:
    page = demo.other_organisations_page(network) if foreign else demo.page(network)
    question = f"Когда отремонтируют крыльцо? {uuid4().hex[:8]}"
    await demo.network(network).citizen(page["external_id"], "comment", question)
    listed = await demo.centre.appeal_about(question)
    return await demo.centre.appeal(listed["id"])


async def test_unknown_organisation_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    answer = await demo.centre.ask(
        "POST",
        f"/appeals/{appeal['id']}/moves",
        json={"to": "assigned", "organisation_id": str(uuid4()), "reason": "не наше"},
        headers={"If-Match": f'"{appeal["version"]}"'},
    )
    problem(answer, 422, "invalid", "/organisation_id")
    after = await demo.centre.appeal(appeal["id"])
    assert (after["version"], after["organisation"]) == (appeal["version"], appeal["organisation"])


async def test_empty_or_too_long_reply_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    for text in ("", "   ", "а" * 20_001):
        answer = await demo.org.ask(
            "POST", f"/appeals/{appeal['id']}/replies", json={"text": text, "kind": "final"}
        )
        problem(answer, 422, "invalid", "/text")
    after = await demo.centre.appeal(appeal["id"])
    assert (after["replies"], after["version"]) == ([], appeal["version"])


async def test_reply_to_closed_appeal_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    moved = await demo.centre.ask(
        "POST",
        f"/appeals/{appeal['id']}/moves",
        json={"to": "not_required", "reason": "проверка"},
        headers={"If-Match": f'"{appeal["version"]}"'},
    )
    assert moved.status_code == 200, moved.text
    answer = await demo.org.ask(
        "POST", f"/appeals/{appeal['id']}/replies", json={"text": "Здравствуйте!", "kind": "final"}
    )
    problem(answer, 409, "conflict")
    assert (await demo.centre.appeal(appeal["id"]))["replies"] == []


async def test_missing_or_stale_version_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    body = {"to": "in_progress"}
    path = f"/appeals/{appeal['id']}/moves"
    problem(await demo.org.ask("POST", path, json=body), 428, "precondition-required")
    stale = {"If-Match": f'"{appeal["version"] + 7}"'}
    problem(await demo.org.ask("POST", path, json=body, headers=stale), 412, "precondition-failed")


async def test_invalid_token_is_refused(demo: RunningDemo) -> None:
    for header in ("Bearer nonsense", f"Bearer {demo.org.token[:-6]}AAAAAA", "Basic b3JnOmRlbW8=", ""):
        for path in ("/appeals", "/messages", "/organisations", "/metrics/sla", "/webhooks/endpoints", "/me"):
            answer = await demo.anyone.get(f"/api/v1{path}", headers={"Authorization": header} if header else {})
            problem(answer, 401, "unauthenticated")


async def test_appeal_of_another_organisation_is_not_found(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo, foreign=True)
    path = f"/appeals/{appeal['id']}"
    problem(await demo.org.ask("GET", path), 404, "not-found")
    reply = {"text": "Здравствуйте!", "kind": "final"}
    problem(await demo.org.ask("POST", f"{path}/replies", json=reply), 404, "not-found")
    move = await demo.org.ask("POST", f"{path}/moves", json={"to": "in_progress"}, headers={"If-Match": "*"})
    problem(move, 404, "not-found")
    after = await demo.centre.appeal(appeal["id"])
    assert (after["version"], after["replies"]) == (appeal["version"], [])


async def test_malformed_json_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    answer = await demo.org.ask(
        "POST",
        f"/appeals/{appeal['id']}/replies",
        content=b'{"text": "no end',
        headers={"content-type": "application/json"},
    )
    problem(answer, 400, "bad-request")


async def test_cursor_of_another_list_is_refused(demo: RunningDemo) -> None:
    await create_appeal(demo)
    await create_appeal(demo)
    cursor = (await demo.centre.get("/appeals", limit=1))["next_cursor"]
    assert cursor
    for path, params in (("/messages", {}), ("/appeals", {"status": "assigned"})):
        answer = await demo.centre.ask("GET", path, params={"cursor": cursor, **params})
        problem(answer, 422, "invalid", "query/cursor")
    problem(
        await demo.org.ask("GET", "/appeals", params={"cursor": cursor, "limit": 1}),
        422,
        "invalid",
        "query/cursor",
    )


async def test_unknown_path_is_not_found(demo: RunningDemo) -> None:
    for path in ("/api/v1/nowhere", "/api/v2/appeals", "/internal/publications"):
        problem(await demo.anyone.get(path), 404, "not-found")
    problem(await demo.anyone.post("/internal/publications", json={}), 404, "not-found")
    page = await demo.anyone.get("/nowhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8"), (
        "the page must be the console's"
    )
    problem(await demo.centre.ask("GET", f"/appeals/{uuid4()}"), 404, "not-found")
    problem(await demo.centre.ask("GET", "/appeals/none"), 422, "invalid", "path/appeal_id")


async def test_body_of_50_megabytes_is_refused(demo: RunningDemo) -> None:
    appeal = await create_appeal(demo)
    body = b'{"kind": "final", "text": "' + b"a" * (50 * 1024 * 1024) + b'"}'
    answer = await demo.org.ask(
        "POST", f"/appeals/{appeal['id']}/replies", content=body, headers={"content-type": "application/json"}
    )
    problem(answer, 413, "payload-too-large")
    assert (await demo.centre.appeal(appeal["id"]))["replies"] == []


async def test_wrong_password_is_refused(demo: RunningDemo) -> None:
    form = {"grant_type": "password", "username": "centre", "password": "wrong"}
    answer = await demo.anyone.post("/api/v1/auth/token", data=form)
    assert answer.status_code in {400, 401}
    assert answer.json()["error"] == "invalid_grant"
