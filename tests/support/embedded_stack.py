"""Run the whole embedded system for end-to-end and chaos tests: real processes, real HTTP, free ports."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cli.deployment.provisioning import with_login
from cli.embedded import orphan_processes
from cli.embedded.data_dir import DataDir
from cli.embedded.secrets import load_secrets
from cli.embedded.settings import EmbeddedSettings, port_field
from cli.embedded.supervisord import Supervisor
from cli.embedded.temporary_postgres import free_port

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 60.0
# Filling the region prints only one line and takes minutes when other tests run on two slow cores.
_SILENT_SECONDS = 600.0
_ATTEMPTS = 3


class StackError(Exception):
    """The run did not start or recover; the message contains its output."""


@dataclass
class RunningSystem:
    """A running system: the addresses of its processes, and methods to kill and restart them."""

    data_dir: Path
    urls: dict[str, str]
    admin_url: str
    owner_url: str
    output: Path
    _supervisor: Supervisor

    @property
    def gateway(self) -> str:
        """Return the base URL of the gateway, without `/api/v1`."""
        return self.urls["gateway"]

    @property
    def vk(self) -> str:
        """Return the base URL of the VK emulator."""
        return self.urls["vk"]

    @property
    def ok(self) -> str:
        """Return the base URL of the OK emulator."""
        return self.urls["ok"]

    def service_database_url(self, service: str) -> str:
        """Return the database URL with the role of a service."""

        secrets = load_secrets(self.data_dir / "secrets")
        return with_login(self.admin_url, service, secrets.service_passwords[service])

    async def pid(self, name: str) -> int:
        """Return the process id of a service, `gateway-service`, `postgres` …; 0 while it is down."""
        return (await asyncio.to_thread(self._supervisor.states))[name].pid

    async def kill(self, name: str) -> int:
        """Kill a process of the run, as a crash would; supervisor restarts it. Return the killed process id."""
        pid = await self.pid(name)
        if pid == 0:
            raise StackError(f"{name} is not running")
        os.kill(pid, signal.SIGKILL)
        return pid

    async def restart_postgres(self) -> None:
        """Restart the database while everything else keeps running."""
        await asyncio.to_thread(self._supervisor.stop, "postgres")
        await asyncio.to_thread(self._supervisor.run, "postgres")

    async def stop(self, name: str) -> None:
        """Stop a process of the run; supervisor does not restart it."""
        await asyncio.to_thread(self._supervisor.stop, name)

    async def start(self, name: str) -> None:
        """Start a stopped process of the run."""
        await asyncio.to_thread(self._supervisor.run, name)

    async def wait_until_healthy(self, within: float = 60) -> None:
        """Wait until the gateway reports all services ready. Raises StackError after a timeout."""
        last = "no answer"
        try:
            async with asyncio.timeout(within), aiohttp.ClientSession() as http:
                while True:
                    try:
                        async with http.get(f"{self.gateway}/health") as response:
                            last = await response.text()
                            if response.status == 200:
                                return
                    except (aiohttp.ClientError, OSError) as error:
                        last = repr(error)
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise StackError(f"not healthy within {within:g} s: {last}") from None

    def log(self, name: str) -> str:
        """Return the log of a process of the run."""
        return (self.data_dir / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")


@asynccontextmanager
async def running_stack(
    data_dir: Path, *, seed_demo: bool = False, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningSystem]:
    """Run `gospablik up` in this data folder until the block ends, then stop all its processes.

    `seed_demo` fills the registry with the demo's region. Citizens write only if `environment` sets
    GOSPABLIK_CITIZENS_PER_MINUTE; made-up history is written only if it sets GOSPABLIK_DEMO_WEEKS. Data of an
    earlier run in the folder is kept.
    """
    process, stack = await _start(_prepared(data_dir), seed_demo=seed_demo, environment=environment or {})
    try:
        yield stack
    finally:
        await _stop(process, stack.data_dir)


async def _start(
    data_dir: Path, *, seed_demo: bool, environment: Mapping[str, str]
) -> tuple[asyncio.subprocess.Process, RunningSystem]:
    output = data_dir.with_name(data_dir.name + ".up.log")
    for _ in range(_ATTEMPTS):
        process = await _spawn(data_dir, output, seed_demo=seed_demo, environment=environment)
        try:
            return process, await _ready(process, data_dir, output)
        except StackError:
            await _stop(process, data_dir)
            # Retry: another process may take a port between its choice and its use.
            if "is already in use" not in _output(output):
                raise
        except BaseException:
            await _stop(process, data_dir)
            raise
    raise StackError(f"no free ports after {_ATTEMPTS} attempts:\n{_output(output)}")


def _prepared(data_dir: Path) -> Path:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    return data_dir.absolute()


def _output(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")


async def _spawn(
    data_dir: Path, output: Path, *, seed_demo: bool, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("GOSPABLIK_", "EMULATOR_"))
    }
    names = EmbeddedSettings.model_construct(database_admin_url=None).ports()
    ports = {f"GOSPABLIK_{port_field(name).upper()}": str(free_port()) for name in names}
    own = {
        "GOSPABLIK_DATA_DIR": str(data_dir),
        "GOSPABLIK_CITIZENS_PER_MINUTE": "0",
        "GOSPABLIK_DEMO_WEEKS": "0",
        "COLUMNS": "200",
    }
    with output.open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cli.main",
            "up",
            "--demo" if seed_demo else "--no-demo",
            cwd=_ROOT,
            env=inherited | own | ports | dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )


async def _ready(process: asyncio.subprocess.Process, data_dir: Path, output: Path) -> RunningSystem:
    """Wait until the run reports that it is ready. Slow progress is accepted; a run that stops printing fails."""
    path = data_dir / "run" / "run.json"
    loop = asyncio.get_running_loop()
    printed, last_progress = 0, loop.time()
    while True:
        if process.returncode is not None:
            raise StackError(f"the run ended with {process.returncode}:\n{_output(output)}")
        if (size := len(_output(output))) > printed:
            printed, last_progress = size, loop.time()
        if loop.time() > last_progress + _SILENT_SECONDS:
            raise StackError(f"not up, and nothing new printed for {_SILENT_SECONDS:g} s:\n{_output(output)}")
        found = _read(path)
        # A killed run leaves its file behind, so accept only a file written by the current process.
        if found and found["ready"] and found["pid"] == process.pid:
            return RunningSystem(
                data_dir,
                found["urls"],
                found["admin_url"],
                found["owner_url"],
                output,
                Supervisor(Path(found["supervisor_socket"])),
            )
        await asyncio.sleep(0.1)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


async def _stop(process: asyncio.subprocess.Process, data_dir: Path) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
    await asyncio.to_thread(orphan_processes.stop_orphans, DataDir(data_dir))
