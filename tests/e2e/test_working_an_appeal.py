"""The commands of docs/frontend/working-an-appeal.md, run as written, print the output that it shows."""

import asyncio
import os
import re
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.embedded.settings import EmbeddedSettings, port_field
from tests.support.embedded_stack import RunningSystem, running_stack
from tests.support.eventually import HANG_SECONDS

ROOT = Path(__file__).parents[2]
DATA_DIR = ".data/walkthrough"
START = "make run"
_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_SETTING = re.compile(r"(GOSPABLIK_\w+)=(\$\(.*?\)|\S+)")
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"
# Output that differs between runs: parts that the document omits, and times.
_VARYING = re.compile(rf"(?P<left_out>…)|{_TIME}")
_END = "end of the commands"


@dataclass(frozen=True)
class Step:
    """Commands of the document with the output that it shows after them; None if it shows none."""

    commands: str
    shown: str | None

    @property
    def starts_run(self) -> bool:
        """Return whether these commands start the run, in the first terminal."""
        return START in self.commands


def steps(document: str) -> list[Step]:
    """Return the commands of the document with their output, in order."""
    found: list[Step] = []
    for block in _BLOCK.finditer(document):
        if block["language"] == "bash":
            found.append(Step(block["text"], None))
        else:
            assert found[-1].shown is None, f"two outputs of {found[-1].commands}"
            found[-1] = Step(found[-1].commands, block["text"])
    return found


def as_pattern(line: str) -> str:
    """Return a pattern that matches the output for a line of the document."""
    pattern, at = "", 0
    for found in _VARYING.finditer(line):
        pattern += re.escape(line[at : found.start()]) + (".*" if found["left_out"] else _TIME)
        at = found.end()
    return pattern + re.escape(line[at:])


def differences(shown: str, output: str) -> Iterator[str]:
    """Yield the lines of the document that the output lacks at their position."""
    expected, given = shown.splitlines(), output.splitlines()
    for number in range(max(len(expected), len(given))):
        line = expected[number] if number < len(expected) else "(nothing)"
        found = given[number] if number < len(given) else "(nothing)"
        if re.fullmatch(as_pattern(line), found) is None:
            yield f"shown: {line}\nfound: {found}"


class Shell:
    """The second terminal: one bash process that runs the blocks, with the addresses of this run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncIterator["Shell"]:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def run(self, commands: str) -> str:
        """Run a block to its end and return its output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{commands}\necho {shlex.quote(_END)}\n".encode())
        await self._process.stdin.drain()
        lines: list[str] = []
        try:
            async with asyncio.timeout(HANG_SECONDS):
                while (line := (await self._process.stdout.readline()).decode()) != f"{_END}\n":
                    lines.append(line)
                    assert line, f"the commands failed:\n{commands}\n{''.join(lines)}"
        except TimeoutError:
            raise AssertionError(f"the commands do not end:\n{commands}\n{''.join(lines)}") from None
        return "".join(lines)


def settings_of(commands: str, folder: Path) -> Mapping[str, str]:
    """Return the settings with which the document starts the run; `$(cat FILE)` is the content of the file."""
    return {
        name: (folder / value.removeprefix("$(cat ").removesuffix(")")).read_text().strip()
        if value.startswith("$(cat ")
        else value
        for name, value in _SETTING.findall(commands)
    }


def ports_of(system: RunningSystem) -> dict[str, str]:
    """Return the settings that give a run the ports of this run, as in the document."""
    return {f"GOSPABLIK_{port_field(name).upper()}": url.rpartition(":")[2] for name, url in system.urls.items()}


@pytest.mark.long
@pytest.mark.timeout(1_200)
async def test_commands_print_what_the_document_shows(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("walk")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    document = (ROOT / "docs" / "frontend" / "working-an-appeal.md").read_text(encoding="utf-8")
    defaults = EmbeddedSettings.model_construct()
    ports: dict[str, str] = {}
    wrong: list[str] = []
    async with Shell.opened(folder) as shell, AsyncExitStack() as first_terminal:
        system: RunningSystem | None = None
        for step in steps(document):
            if step.starts_run:
                chosen = dict(settings_of(step.commands, folder))
                assert chosen.pop("GOSPABLIK_DATA_DIR") == DATA_DIR
                await first_terminal.aclose()
                run = running_stack(folder / DATA_DIR, seed_demo=True, environment={**ports, **chosen})
                system = await first_terminal.enter_async_context(run)
                ports = ports_of(system)
                continue
            assert system is not None
            here = step.commands.replace(defaults.url("gateway"), system.gateway).replace(
                defaults.url("vk"), system.vk
            )
            output = await shell.run(here)
            wrong += differences(step.shown or "", output)
    assert not wrong, "\n\n".join(wrong)
