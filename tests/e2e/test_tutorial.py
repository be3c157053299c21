"""The commands of docs/tutorial.md, run as written, give the results that it describes."""

import asyncio
import csv
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.embedded.temporary_postgres import free_port
from tests.e2e.conftest import PAGE_OWNERS, STARTER_RULES, RunningDemo, activate_rules
from tests.support.eventually import HANG_SECONDS

pytestmark = pytest.mark.long  # waits for the real services at each step

ROOT = Path(__file__).parents[2]


def tutorial_script(demo: RunningDemo, listener_port: int) -> str:
    """Return the bash blocks of the tutorial as one script, with the addresses of this run."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    for default, here in (
        ("9099", str(listener_port)),  # replaced first: other ports may contain these digits
        ("http://127.0.0.1:8080", demo.system.gateway),
        ("http://127.0.0.1:8090", demo.system.vk),
        ("http://127.0.0.1:8091", demo.system.ok),
        (".venv/bin/gospablik", "gospablik"),
    ):
        assert default in script
        script = script.replace(default, here)
    # On a busy machine the pauses of the document may be too short.
    return f"set -euo pipefail\nsleep() {{ command sleep $(($1 * 6)); }}\n{script}"


@pytest.fixture
async def starter_rules(demo: RunningDemo) -> AsyncIterator[None]:
    """Activate the rules of a new installation; restore the page-owner rules afterwards."""
    await activate_rules(demo.centre, STARTER_RULES)
    yield
    await activate_rules(demo.centre, PAGE_OWNERS)


@pytest.mark.usefixtures("starter_rules")
async def test_tutorial_commands_give_described_results(demo: RunningDemo, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        tutorial_script(demo, free_port()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{ROOT}/.venv/bin{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"},
    )
    out, err = await asyncio.wait_for(process.communicate(), HANG_SECONDS)
    output = out.decode()
    assert process.returncode == 0, f"{output}\n{err.decode()}"
    assert "https://vk.com/wall-" in output
    assert "https://ok.ru/" in output
    answers = [json.loads(line) for line in output.splitlines() if line.startswith('{"items"')]
    assert len(answers) == 2
    for answer in answers:
        assert [item["text"] for item in answer["items"]].count(
            "Здравствуйте! Бригада выехала, исправим сегодня до 20:00."
        ) == 1
    assert output.count("(signature valid)") >= 4
    assert "appeal.answered" in output
    why = next(line for line in output.splitlines() if "опасность: «искрит»" in line)
    assert output.count(f"{why}\n") == 2, "the appeal and its alert name the words that made it urgent"
    (agreement,) = [line for line in output.splitlines() if line.startswith("{'needs_answer'")]
    assert "'organisation': True" in agreement
    # Routed by the starter rules, although written on the page of another organisation.
    named = [line for line in output.splitlines() if line.startswith("Администрация")]
    assert [line.rpartition("образования ")[2] for line in named] == [
        "«город Улан-Удэ»", *["«Кабанский район»"] * 3,
    ]  # fmt: skip
    understood = list(csv.DictReader((tmp_path / "classified.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["needs_answer"] for row in understood] == ["yes", "yes", "no"]
    assert [row["group"] for row in understood] == ["Энергетика", "Здравоохранение", ""]
    assert understood[0]["why"].endswith("место: «оймур»; «ленина 5»; нет света: «света»")
