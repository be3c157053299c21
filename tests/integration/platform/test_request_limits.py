"""Rate limits, response headers, query timeouts and security events of requests."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from sqlalchemy import text
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from services.registry.access import people
from shared.service import ReadTransaction, UncheckedWriteTransaction
from tests.conftest import TestDatabase
from tests.support.service_under_test import ServiceUnderTest, service_under_test

ORGANISATIONS = "/api/v1/organisations"


async def test_caller_over_the_rate_limit_gets_retry_after(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir, requests_per_minute="3") as registry:
        headers = registry.headers("analyst")
        answers = [await registry.client.get(ORGANISATIONS, headers=headers) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert answers[0].headers["ratelimit"] == '"default";r=2;t=20'
        refused = answers[3]
        assert (refused.headers["content-type"], refused.json()["type"]) == (
            "application/problem+json",
            "/problems/too-many-requests",
        )
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"].startswith('"default";r=0;')
        other = {"Authorization": f"Bearer {registry.token('analyst', subject='another')}"}
        assert (await registry.client.get(ORGANISATIONS, headers=other)).status_code == 200


async def test_responses_forbid_caching_and_content_sniffing(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as registry:
        answers = [
            await registry.client.get(ORGANISATIONS, headers=registry.headers("analyst")),
            await registry.client.get(ORGANISATIONS),
            await registry.client.get("/api/v1/nothing"),
            await registry.client.post(ORGANISATIONS, content=b"[" * 300, headers=registry.headers("moderator")),
        ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 400]
    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_slow_read_is_cancelled_and_reported(database: TestDatabase, keys_dir: Path) -> None:
    router = APIRouter()

    @router.get("/slow")
    async def slow(session: ReadTransaction) -> None:
        await session.execute(text("SELECT pg_sleep(60)"))

    @router.get("/written")
    async def written(session: UncheckedWriteTransaction) -> str:
        return str(await session.scalar(text("SHOW statement_timeout")))

    async with service_under_test("registry", database, keys_dir, statement_timeout_seconds="0.2") as registry:
        app: Any = registry.client._transport.app  # type: ignore[attr-defined]
        before = list(app.router.routes)
        app.include_router(router)
        try:
            answer = await registry.client.get("/slow")
            assert (
                await registry.client.get("/written")
            ).json() == "0"  # writes on the same pool have no such limit
        finally:
            app.router.routes[:] = before
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/query-timeout")


def security_events(lines: list[Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if name not in {"log_level", "module"}}
        for line in lines
        if line.get("module") == "security"
    ]


async def test_refusals_and_sign_ins_are_logged_without_secrets(database: TestDatabase, keys_dir: Path) -> None:
    async with service_under_test("registry", database, keys_dir) as registry:
        async with registry.service.database.write() as session:
            await people.ensure_demo_people(session)
        lines = await _send_requests(registry)
    found = security_events(lines)
    assert [line["event"] for line in found] == [
        "signed_in",
        "sign_in_failed",
        "sign_in_failed",
        "request_refused",
        "request_refused",
    ]
    assert [line.get("name") for line in found[:3]] == ["ops", "ops", None]
    assert all(line["ip_address"] == "192.0.2.7" for line in found)
    assert [(line["status"], line.get("actor")) for line in found[3:]] == [(401, None), (403, "somebody")]
    assert all(line["request_id"] for line in found)
    assert not any(secret in str(lines) for secret in ("hunter2", "GUESSED", "Bearer", "forged"))


async def _send_requests(registry: ServiceUnderTest) -> list[Any]:
    headers = {"X-Real-Ip": "192.0.2.7"}
    form = {"grant_type": "password", "username": "ops"}
    token = registry.token("head", subject="somebody")
    with capture_logs(processors=[merge_contextvars]) as lines:
        for more in (
            {"password": "demo"},
            {"password": "GUESSED"},
            {"username": "hunter2", "password": "GUESSED"},
        ):
            await registry.client.post("/api/v1/auth/token", data=form | more, headers=headers)
        for bearer in ("forged", token):
            asked = headers | {"Authorization": f"Bearer {bearer}"}
            await registry.client.get("/api/v1/clients", headers=asked)
    return list(lines)
