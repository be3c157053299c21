"""A separate embedded run for each chaos test, so that killed processes do not affect others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import RunningDemo, connect_to_demo
from tests.support.embedded_stack import running_stack


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[RunningDemo]:
    """A new embedded run with the demo registry and without generated messages."""
    async with running_stack(tmp_path, seed_demo=True) as system, AsyncExitStack() as exits:
        yield await connect_to_demo(system, exits)
