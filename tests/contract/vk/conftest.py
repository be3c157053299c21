"""A running VK emulator with one page."""

import pytest

from tests.contract.conftest import StartEmulator
from tests.contract.vk.emulator_page import VkPage


@pytest.fixture(scope="module")
async def page(start_emulator: StartEmulator) -> VkPage:
    """A page of a network without a limit per second, with sixty wall calls per day."""
    emulator = await start_emulator(
        "vk",
        user_per_second=0,
        group_per_second=0,
        daily_limits='{"wall.get": 60, "wall.getById": 1}',
        day_seconds=10_000_000_000,
    )
    return await VkPage.open(emulator)


@pytest.fixture(scope="module")
async def strict_page(start_emulator: StartEmulator) -> VkPage:
    """A page of a network with two calls in three seconds and three calls of wall.get per day."""
    emulator = await start_emulator(
        "vk",
        user_per_second=2,
        group_per_second=2,
        daily_limits='{"wall.get": 3}',
        day_seconds=10_000_000_000,
        rate_window_seconds=3,
    )
    return await VkPage.open(emulator)
