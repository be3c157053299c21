"""A separate embedded run for each chaos test, so that killed processes do not affect others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import World, enter_world
from tests.support.embedded_stack import running_stack


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A new embedded run with the demo registry; citizens write nothing."""
    async with running_stack(tmp_path, seed_demo=True) as stack, AsyncExitStack() as exits:
        yield await enter_world(stack, exits)
