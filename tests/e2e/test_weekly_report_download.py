"""The weekly report of a running system, downloaded by the head with the command line."""

import json
import os
from pathlib import Path

import pytest

from shared import clock
from tests.e2e.conftest import RunningDemo
from tests.support.forked_program import run_program

BEGINNINGS = {"json": b'{"status":"preliminary"', "html": b"<!", "pdf": b"%PDF-", "xlsx": b"PK"}


@pytest.mark.parametrize("kind", BEGINNINGS)
async def test_report_of_this_week_is_downloaded_in_each_format(
    demo: RunningDemo, tmp_path: Path, kind: str
) -> None:
    year, number, _ = clock.today().isocalendar()
    week, file = f"{year}-W{number:02}", tmp_path / f"report.{kind}"
    command = ("report", "weekly", "--week", week, "--format", kind, "--out", str(file))
    done = await run_program(
        "cli.main", *command, "--url", demo.system.gateway, "--user", "head", env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = file.read_bytes()
    assert content.lower().startswith(BEGINNINGS[kind].lower())
    if kind == "json":
        assert json.loads(content)["report"]["week"] == week


async def test_download_of_a_nonexistent_week_fails_and_names_the_week(demo: RunningDemo, tmp_path: Path) -> None:
    command = ("report", "weekly", "--week", "2026-W60", "--out", str(tmp_path / "x.pdf"))
    done = await run_program("cli.main", *command, "--url", demo.system.gateway, env={**os.environ})
    assert done.returncode == 1
    assert "2026-W60" in done.stderr
    assert not (tmp_path / "x.pdf").exists()
