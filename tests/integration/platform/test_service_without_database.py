"""Responses of a service during an outage of its database."""

from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from shared.database.sessions import WriteSession
from tests.conftest import API_SERVICES, TestDatabase
from tests.integration.platform.simulated_outages import no_connections, read_only
from tests.support.eventually import eventually
from tests.support.service_under_test import service_under_test

READS = {
    "registry": "/organisations",
    "ingest": "/messages",
    "appeals": "/appeals",
    "metrics": "/metrics/sla",
    "webhooks": "/webhooks/endpoints",
}


async def test_metrics_and_health_respond_without_the_database(database: TestDatabase, keys_dir: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with service_under_test("appeals", database, keys_dir, database_url=nowhere) as appeals:
        figures = await appeals.client.get("/metrics")
        assert figures.status_code == 200
        for gauge in ("dead_letter", "overdue", "long_running"):
            assert f'gospablik_{gauge}_jobs{{service="appeals"}} NaN' in figures.text
        ready = await appeals.client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "fail")
        assert "database" in ready.json()["checks"]
        assert (await appeals.client.get("/health/live")).status_code == 200


async def test_workers_without_their_direct_connection_are_not_ready(
    database: TestDatabase, keys_dir: Path
) -> None:
    """LISTEN and jobs connect by a separate URL, which may fail while the pool of the service works."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with service_under_test(
        "metrics", database, keys_dir, process="worker", database_direct_url=nowhere
    ) as metrics:

        async def both_fail() -> bool:
            checks = (await metrics.client.get("/health/ready")).json()["checks"]
            assert "database" not in checks
            return {"worker:jobs", "worker:listen"} <= set(checks)

        await eventually(both_fail, "jobs and listen are reported")
        figures = (await metrics.client.get("/metrics")).text
        assert 'gospablik_worker_up{service="metrics",worker="jobs"} 0.0' in figures


async def test_failing_schedule_is_a_warning_of_the_readiness_check(
    database: TestDatabase, keys_dir: Path
) -> None:
    async with service_under_test("metrics", database, keys_dir) as metrics:
        assert metrics.service.jobs is not None
        metrics.service.jobs.failing_schedules["purge"] = "ValueError('no such week')"
        ready = await metrics.client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "warn", "checks": {"schedule:purge": "ValueError('no such week')"}},
    )


@pytest.mark.parametrize("name", API_SERVICES)
async def test_read_during_an_outage_gets_503_with_retry_after(
    name: str, database: TestDatabase, keys_dir: Path
) -> None:
    async with service_under_test(name, database, keys_dir) as service:  # type: ignore[arg-type]
        path, headers = f"/api/v1{READS[name]}", service.headers("moderator")
        assert (await service.client.get(path, headers=headers)).status_code == 200
        async with no_connections(database):
            unavailable = await service.client.get(path, headers=headers)
        assert (unavailable.status_code, unavailable.json()["type"]) == (503, "/problems/unavailable"), (
            unavailable.text
        )
        assert int(unavailable.headers["Retry-After"]) > 0
        assert (await service.client.get(path, headers=headers)).status_code == 200


async def test_write_with_a_lost_commit_response_is_reported_as_unknown(
    database: TestDatabase, keys_dir: Path
) -> None:
    """The commit succeeds but its confirmation is lost, so the response says that the outcome is unknown."""
    sessions = WriteSession.sync_session_class

    def lose_response(session: Session) -> None:
        if not session.in_nested_transaction():
            raise ConnectionResetError("connection was closed in the middle of operation")

    async with service_under_test("registry", database, keys_dir) as registry:
        body = {"name": "Школа № 1", "kind": "institution"}
        headers = registry.headers("moderator")
        event.listen(sessions, "after_commit", lose_response)
        try:
            answer = await registry.client.post("/api/v1/organisations", headers=headers, json=body)
        finally:
            event.remove(sessions, "after_commit", lose_response)
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert "not known" in answer.json()["detail"]
        made = await registry.client.get("/api/v1/organisations", headers=headers)
    assert [one["name"] for one in made.json()["items"]] == ["Школа № 1"]


async def test_sign_in_during_an_outage_gets_an_oauth_error(database: TestDatabase, keys_dir: Path) -> None:
    form = {"grant_type": "password", "username": "nobody", "password": "wrong"}
    async with service_under_test("registry", database, keys_dir) as registry:
        async with no_connections(database):
            unavailable = await registry.client.post("/api/v1/auth/token", data=form)
        assert (unavailable.status_code, unavailable.json()["error"]) == (503, "temporarily_unavailable"), (
            unavailable.text
        )
        assert unavailable.headers["Cache-Control"] == "no-store"
        assert int(unavailable.headers["Retry-After"]) > 0
        assert (await registry.client.post("/api/v1/auth/token", data=form)).json()["error"] == "invalid_grant"


async def test_read_only_server_is_not_ready_and_its_connections_are_dropped(
    database: TestDatabase, keys_dir: Path
) -> None:
    form = {"grant_type": "password", "username": "nobody", "password": "wrong"}
    async with service_under_test("registry", database, keys_dir) as registry:
        async with read_only(database):
            ready = await registry.client.get("/health/ready")
            assert (ready.status_code, list(ready.json()["checks"])) == (503, ["database"])
            answer = await registry.client.post("/api/v1/auth/token", data=form)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            for _ in range(3):  # fill the pool with connections that stay read-only
                async with registry.service.database.read() as one, registry.service.database.read() as other:
                    await one.execute(text("SELECT 1"))
                    await other.execute(text("SELECT 1"))
        assert (await registry.client.get("/health/ready")).status_code in (200, 503)
        assert (await registry.client.get("/health/ready")).status_code == 200
        answer = await registry.client.post("/api/v1/auth/token", data=form)
        assert answer.json()["error"] == "invalid_grant"
