"""Fixtures that emulate VK without a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.settings import VkSettings


@pytest.fixture
def settings(tmp_path: Path) -> VkSettings:
    """Settings of an emulated VK with its state in the test's own folder."""
    return VkSettings(data=tmp_path / "vk.sqlite3", citizens=20)


@pytest.fixture
def world(settings: VkSettings) -> Iterator[EmulatedVk]:
    """An emulated VK with one page, `school1`."""
    made = EmulatedVk(settings)
    made.create_page(name="Школа № 1", screen_name="school1")
    yield made
    made.store.close()
