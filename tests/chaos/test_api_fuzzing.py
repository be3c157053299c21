"""The whole OpenAPI document under a fuzzer, through the gateway, as each role: no 5xx, no undocumented answer."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.auth.rights import Role
from tests.e2e.actors import Person
from tests.e2e.conftest import World, enter_world
from tests.support.embedded_stack import running_stack

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
# Signing in is throttled by design, and a stream never ends.
LEFT_OUT = "/auth/|/stream"


@pytest.fixture(scope="module")
def called() -> set[str]:
    """The operations that the fuzzer called, as whichever role."""
    return set()


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One stack for all roles: what one of them made is there for the next."""
    folder = tmp_path_factory.mktemp("fuzz")
    async with running_stack(folder, seed_demo=True) as stack, AsyncExitStack() as exits:
        yield await enter_world(stack, exits)


@pytest.mark.parametrize("role", list(Role))
async def test_no_request_breaks_the_api(stage: World, role: Role, called: set[str], tmp_path: Path) -> None:
    person = await Person.sign_in(stage.anyone, USERNAMES[role])
    assert (await person.get("/me"))["person"]["role"] == role
    report, told = tmp_path / "report.txt", tmp_path / "told.ndjson"
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
            "--exclude-path-regex",
            LEFT_OUT,
            "--report",
            "ndjson",
            "--report-ndjson-path",
            str(told),
            "--continue-on-failure",
            "--no-color",
            stdout=output,
            stderr=output,
            cwd=tmp_path,
        )
        code = await process.wait()
    assert code == 0, report.read_text(errors="replace")[-12_000:]
    called |= operations(told)
    told.unlink()
    health = await stage.anyone.get("/health")
    assert health.json()["status"] == "pass"


def operations(told: Path) -> set[str]:
    """Those that a run of the fuzzer called at least once."""
    found = set()
    with told.open(encoding="utf-8") as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished")
            if scenario and scenario["recorder"].get("interactions"):
                found.add(scenario["recorder"]["label"])
    return found


async def test_every_operation_was_called(stage: World, called: set[str]) -> None:
    """It comes after the runs of all roles."""
    document = (await stage.anyone.get(f"{stage.stack.gateway}/openapi.json")).json()
    printed = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        if not re.search(LEFT_OUT, path)
        for method in methods.keys() & {"get", "put", "post", "patch", "delete"}
    }
    assert printed
    assert not printed - called
