"""A stack of its own for each chaos test: what is killed here must not trouble others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import World, enter_world
from tests.support.embedded_stack import running_stack


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A fresh stack with the demo registry and silent citizens."""
    async with running_stack(tmp_path, seed_demo=True) as stack, AsyncExitStack() as exits:
        yield await enter_world(stack, exits)
