"""Fuzz all operations through the gateway as each role: no 5xx, no undocumented response."""

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
from tests.e2e.conftest import RunningDemo, connect_to_demo
from tests.support.embedded_stack import running_stack
from tests.support.eventually import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

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
# Every role sends examples and random requests. The roles with the most rights at the centre and at an
# organisation also send each boundary value of each parameter. Five minutes in total.
WITH_BOUNDARIES = {Role.MODERATOR, Role.MANAGER}
SHORT = ("--phases", "examples,fuzzing", "--max-examples", "4", "--max-time", "18")
LONG = ("--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--max-time", "45")
ONCE = ("--phases", "examples,fuzzing", "--max-examples", "1")
# Excluded: sign-in, which is throttled, and the stream, which never ends.
EXCLUDED_PATHS = "/auth/|/stream"


@pytest.fixture(scope="module")
async def running_demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningDemo]:
    """One embedded run for all roles, so that a role can read what earlier roles created."""
    folder = tmp_path_factory.mktemp("fuzz")
    async with running_stack(folder, seed_demo=True) as system, AsyncExitStack() as exits:
        demo = await connect_to_demo(system, exits)

        async def whole_document() -> bool:
            document = (await demo.anyone.get("/openapi.json")).json()
            return "paths" in document and "x-missing" not in document

        # At the first request the services build their documents, which is slow while other tests run.
        await eventually(whole_document, "the document of all services")
        yield demo


@pytest.mark.parametrize("role", list(Role))
async def test_fuzzed_requests_get_documented_responses(
    running_demo: RunningDemo, role: Role, tmp_path: Path
) -> None:
    await fuzz(running_demo, role, tmp_path, LONG if role in WITH_BOUNDARIES else SHORT)
    health = await running_demo.anyone.get("/health")
    assert health.json()["status"] == "pass"


async def fuzz(running_demo: RunningDemo, role: Role, folder: Path, options: tuple[str, ...]) -> set[str]:
    """Run the fuzzer as a person of the role and return the operations that it called; fail on its findings."""
    person = await Person.sign_in(running_demo.anyone, USERNAMES[role])
    assert (await person.get("/me"))["person"]["role"] == role
    report, report_lines = folder / "report.txt", folder / "report_lines.ndjson"
    with report.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{running_demo.system.gateway}/openapi.json",
            "--header",
            f"Authorization: Bearer {person.token}",
            "--checks",
            CHECKS,
            *options,
            "--seed",
            "1",
            # With two threads, CPython 3.11 miscounts the nesting depth of sources that Hypothesis parses.
            "--workers",
            "1",
            "--request-timeout",
            "60",
            "--exclude-path-regex",
            EXCLUDED_PATHS,
            "--report",
            "ndjson",
            "--report-ndjson-path",
            str(report_lines),
            "--continue-on-failure",
            "--no-color",
            stdout=output,
            stderr=output,
            cwd=folder,
        )
        code = await process.wait()
    assert code == 0, failures(report)
    called = operations(report_lines)
    report_lines.unlink()
    return called


def failures(report: Path) -> str:
    """Return the failures in the output of the fuzzer, or the end of the output if it lists none."""
    printed = report.read_text(errors="replace")
    _before, heading, failed = printed.partition(" FAILURES ")
    return failed[:8_000] if heading else printed[-8_000:]


def operations(report_lines: Path) -> set[str]:
    """Return the operations that a run of the fuzzer called at least once."""
    found = set()
    with report_lines.open(encoding="utf-8") as lines:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished")
            if scenario and scenario["recorder"].get("interactions"):
                found.add(scenario["recorder"]["label"])
    return found


async def test_fuzzer_calls_every_operation(running_demo: RunningDemo, tmp_path: Path) -> None:
    """No time limit: the number of operations called within a limit depends on the machine."""
    document = (await running_demo.anyone.get(f"{running_demo.system.gateway}/openapi.json")).json()
    documented = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        if not re.search(EXCLUDED_PATHS, path)
        for method in methods.keys() & {"get", "put", "post", "patch", "delete"}
    }
    assert documented
    assert not documented - await fuzz(running_demo, Role.MODERATOR, tmp_path, ONCE)
