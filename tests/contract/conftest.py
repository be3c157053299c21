"""Start emulators for third-party clients."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.emulator_process import EmulatorProcess

StartEmulator = Callable[..., Awaitable[EmulatorProcess]]


@pytest.fixture(scope="module")
async def start_emulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartEmulator]:
    """Start `python -m emulators.NETWORK` with given settings; the processes stop after the module's tests."""
    running: list[EmulatorProcess] = []

    async def start(network: str, **settings: object) -> EmulatorProcess:
        process = EmulatorProcess(network, tmp_path_factory.mktemp(network) / "state.sqlite3", **settings)
        running.append(process)
        await process.start()
        return process

    try:
        yield start
    finally:
        for process in running:
            await process.close()
