"""The README's walk, copied line by line, does what it says."""

import asyncio
import csv
import json
import os
import re
from pathlib import Path

from tests.e2e.conftest import World

ROOT = Path(__file__).parents[2]


def walk(world: World, listener_port: int) -> str:
    """The walk's lines as one script, with this run's addresses in place of the default ones."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## The main job") : text.index("## Where things are")]
    script = "\n".join(re.findall(r"```bash\n(.*?)```", section, re.DOTALL))
    for default, here in (
        ("http://127.0.0.1:8080", world.stack.gateway),
        ("http://127.0.0.1:8090", world.stack.vk),
        ("http://127.0.0.1:8091", world.stack.ok),
        ("9099", str(listener_port)),
        (".venv/bin/gospablik", "gospablik"),
    ):
        assert default in script
        script = script.replace(default, here)
    return f"set -euo pipefail\n{script}"


async def test_the_walk_works_as_written(world: World, tmp_path: Path, unused_tcp_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        walk(world, unused_tcp_port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{ROOT}/.venv/bin{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"},
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
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
    assert output.count("(signature good)") >= 4
    assert "appeal.answered" in output
    why = next(line for line in output.splitlines() if "опасность: «искрит»" in line)
    assert output.count(f"{why}\n") == 2, "the case and its alert say by which words it is urgent"
    (agreement,) = [line for line in output.splitlines() if line.startswith("{'need'")]
    assert "'owner': False" in agreement
    understood = list(csv.DictReader((tmp_path / "understood.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["needs_answer"] for row in understood] == ["yes", "yes", "no"]
    assert [row["group"] for row in understood] == ["Энергетика", "Здравоохранение", ""]
    assert understood[0]["why"].endswith("место: «оймур»; «ленина 5»; нет света: «света»")
