"""The whole OpenAPI document under a fuzzer, through the gateway, as each role: no 5xx, no undocumented answer."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.access import Role
from tests.e2e.conftest import World, enter_world
from tests.e2e.people import Person
from tests.stack import running_stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
USERNAMES = {
    Role.MODERATOR: "centre",
    Role.ANALYST: "analyst",
    Role.HEAD: "head",
    Role.AUDITOR: "auditor",
    Role.OPERATIONS: "ops",
    Role.MANAGER: "manager",
    Role.APPROVER: "approver",
    Role.EXECUTOR: "org",
}
# Every role meets examples and random calls. Those who may do most at the centre and at an organisation also meet
# each boundary of each parameter. Eight minutes in all.
WITH_BOUNDARIES = {Role.MODERATOR, Role.MANAGER}
SHORT = ("--phases", "examples,fuzzing", "--max-examples", "4", "--max-time", "30")
LONG = ("--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--max-time", "80")


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One stack for all roles: what one of them made is there for the next."""
    folder = tmp_path_factory.mktemp("fuzz")
    async with running_stack(folder, seed_demo=True) as stack, AsyncExitStack() as exits:
        yield await enter_world(stack, exits)


@pytest.mark.parametrize("role", list(Role))
async def test_no_request_breaks_the_api(stage: World, role: Role, tmp_path: Path) -> None:
    person = await Person.sign_in(stage.anyone, USERNAMES[role])
    assert (await person.get("/me"))["person"]["role"] == role
    report = tmp_path / "report.txt"
    with report.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{stage.stack.gateway}/openapi.json",
            "--header",
            f"Authorization: Bearer {person.token}",
            "--checks",
            CHECKS,
            *(LONG if role in WITH_BOUNDARIES else SHORT),
            "--seed",
            "1",
            "--workers",
            "2",
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
    health = await stage.anyone.get("/health")
    assert health.json()["status"] == "pass"
