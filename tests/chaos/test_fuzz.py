"""The whole OpenAPI document under a fuzzer, through the gateway: no 5xx, no undocumented answer."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import World

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_200)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("username", ["centre", "org"])
async def test_no_request_breaks_the_api(world: World, username: str, tmp_path: Path) -> None:
    person = world.centre if username == "centre" else world.org
    report = tmp_path / "report.txt"
    with report.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{world.stack.gateway}/openapi.json",
            "--header",
            f"Authorization: Bearer {person.token}",
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "10",
            "--seed",
            "1",
            "--workers",
            "2",
            "--max-time",
            "240",
            # Signing in is throttled by design, and a stream never ends.
            "--exclude-path-regex",
            "/auth/|/stream",
            "--continue-on-failure",
            "--no-color",
            stdout=output,
            stderr=output,
            cwd=tmp_path,
        )
        code = await process.wait()
    assert code == 0, report.read_text(errors="replace")[-12_000:]
    health = await world.anyone.get("/health")
    assert health.json()["status"] == "pass"
