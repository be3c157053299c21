"""A service whose database is away still tells operators how it is."""

from pathlib import Path

from tests.conftest import TestDatabase
from tests.harness import service_under_test


async def test_figures_and_health_answer_without_the_database(database: TestDatabase, keys_dir: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with service_under_test("appeals", database, keys_dir, database_url=nowhere) as appeals:
        figures = await appeals.client.get("/metrics")
        assert figures.status_code == 200
        assert 'gospablik_jobs_held{service="appeals"} NaN' in figures.text
        ready = await appeals.client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "fail")
        assert "database" in ready.json()["checks"]
        assert (await appeals.client.get("/health/live")).status_code == 200
